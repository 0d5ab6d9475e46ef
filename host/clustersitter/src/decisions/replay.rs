//! Takes looks again that were kept: they decide the same, or it is told where they do not.

use super::read::{Kept, Looks};
use super::write::segments;
use super::{Head, LogError};
use cerebro_api::explain::Replay;
use cerebro_model::DecisionId;
use cerebro_planner::cluster::{Again, Look, compare};
use std::path::Path;

/// What comes of a look that is taken again.
pub fn again(head: &Head, look: Result<&Look, &str>) -> Replay {
    let look = match look {
        Ok(look) => look,
        Err(why) => {
            let version = head.version.clone();
            return Replay::Unreadable { why: why.to_owned(), version };
        }
    };
    let plan = look.plan();
    let then = match head.decisions() {
        Ok(then) => then,
        Err(error) => {
            let why = format!("a step is of a sort that this version does not know: {error}");
            return Replay::Unreadable { why, version: head.version.clone() };
        }
    };
    match compare(&then, &plan.decisions) {
        Again::Same => {
            let notes: Vec<_> = plan.notes.iter().map(ToString::to_string).collect();
            let missing = head.held.iter().find(|held| !notes.contains(&held.what));
            match missing {
                None => Replay::Same,
                Some(held) => Replay::Differs {
                    then: Some(held.what.clone()),
                    now: None,
                    version: head.version.clone(),
                },
            }
        }
        Again::Differs { then, now, .. } => {
            Replay::Differs { then, now, version: head.version.clone() }
        }
    }
}

/// The same of one that was found.
pub fn of(kept: &Kept) -> Replay {
    again(&kept.head, kept.look.as_ref().map_err(String::as_str))
}

/// What comes of a whole log.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Looks that decide the same again.
    pub same: usize,
    /// Those that do not, and those that cannot be taken again, with what comes of them.
    pub others: Vec<(DecisionId, Replay)>,
    /// Segments that do not end with a whole look: which, and why.
    pub torn: Vec<(String, String)>,
}

/// Takes every look of a log again.
pub fn all(directory: &Path) -> Result<Outcome, LogError> {
    let mut outcome = Outcome::default();
    for path in segments(directory)? {
        let mut looks = Looks::of(&path)?;
        while let Some(head) = looks.next_head() {
            match again(&head, looks.look()) {
                Replay::Same => outcome.same += 1,
                other => outcome.others.push((head.id, other)),
            }
        }
        if let Some(why) = looks.torn() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            outcome.torn.push((name, why.to_owned()));
        }
    }
    Ok(outcome)
}
