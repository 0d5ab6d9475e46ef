//! What to do next, and that it is kept with all that it goes by before anything comes of it.

use super::{Cluster, State, event, notes, on_disk, policy};
use crate::decisions::{DecisionLog, Head, LogError};
use crate::records::{LoadError, NewEvent};
use cerebro_model::{DecisionId, EventKind, Subject, Timestamp};
use cerebro_planner::cluster::{Clocks, Decision, Entry, Plan, Step};
use std::time::Duration;

/// How long a log is left alone that could not be written: its next look is all of the fleet.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a look decides.
#[derive(Debug, Default)]
pub struct Planned {
    /// What it is.
    pub plan: Plan,
    /// Under which id it is kept, if it decides something and that is kept.
    pub decision: Option<DecisionId>,
}

/// What was decided last, and what of it is kept.
#[derive(Debug, Default)]
pub(super) struct Last {
    steps: Vec<Step>,
    id: Option<DecisionId>,
    /// Since when the log cannot be written, when that was tried last, and what was met with.
    unlogged: Option<Unlogged>,
}

#[derive(Debug, Clone)]
struct Unlogged {
    since: Timestamp,
    tried: Timestamp,
    why: String,
}

impl Cluster {
    /// What to do next, by what the store keeps.
    pub fn plan(&self) -> Result<Planned, LoadError> {
        let mut state = self.state();
        on_disk(|| self.resolve(&mut state))?;
        let now = state.now;
        let clocks = Clocks { wall: now, monotonic: self.clock.monotonic() };
        let policy = policy(&state.records, &self.policy);
        let plan = state.kept.plan(&policy, clocks);
        // Nobody compares them where none are kept.
        let steps = self.decisions.as_ref().map(|_| deciding(&plan.decisions)).unwrap_or_default();
        let kept = match self.worth_keeping(&state, &plan, &steps) {
            Some(log) => {
                let news = notes::new(&plan.notes, &state.observed.told_notes);
                let id = log.next(self.term());
                let head = Head::of(id, now, &plan, &news, state.kept.fleet());
                let entry = state.kept.entry(&policy, now, log.wants_whole());
                Some((log, entry, head))
            }
            None => None,
        };
        state.kept.looked(&plan, now);
        state.observed.proposals.clone_from(&plan.proposals);
        let goes_on = !steps.is_empty() && steps == state.observed.decided.steps;
        let mut decision = state.observed.decided.id.clone().filter(|_| goes_on);
        if !goes_on {
            state.observed.decided.steps = steps;
        }
        drop(state);
        // The file is waited for by this look alone: agents and people are answered meanwhile.
        if let Some((log, entry, head)) = kept {
            decision = self.keep(log, &entry, head, now);
        }
        Ok(Planned { plan, decision })
    }

    /// The log, if a look is to be kept there: it decides something, or holds something back, that the one
    /// before did not.
    fn worth_keeping(&self, state: &State, plan: &Plan, steps: &[Step]) -> Option<&DecisionLog> {
        let log = self.decisions.as_ref()?;
        let last = &state.observed.decided;
        if let Some(unlogged) = &last.unlogged
            && state.now.since(unlogged.tried) < PATIENCE
        {
            return None;
        }
        let decides = !steps.is_empty() && steps != last.steps;
        let is_news = || !notes::new(&plan.notes, &state.observed.told_notes).is_empty();
        (decides || is_news()).then_some(log)
    }

    fn keep(
        &self,
        log: &DecisionLog,
        entry: &Entry,
        head: Result<Head, serde_json::Error>,
        now: Timestamp,
    ) -> Option<DecisionId> {
        let kept = on_disk(|| {
            let head = head.map_err(LogError::from)?;
            log.keep(entry, &head).map(|()| head.id)
        });
        let mut state = self.state();
        let (id, told) = match kept {
            Ok(id) => {
                let was = state.observed.decided.unlogged.take();
                let told = was.map(|_| {
                    let words = format!("decisions are kept again, from {id} on");
                    event(EventKind::DecisionsLogged, Subject::default(), words)
                });
                (Some(id), told)
            }
            Err(error) => {
                state.kept.not_kept();
                let why = error.to_string();
                let before = state.observed.decided.unlogged.clone();
                let since = before.as_ref().map_or(now, |it| it.since);
                let words = unlogged(&why);
                state.observed.decided.unlogged = Some(Unlogged { since, tried: now, why });
                let told = before
                    .is_none()
                    .then(|| event(EventKind::DecisionsUnlogged, Subject::default(), words));
                (None, told)
            }
        };
        state.observed.decided.id.clone_from(&id);
        drop(state);
        self.tell_of_the_log(told);
        id
    }

    /// That the log cannot be written stands in no repair's way, nor does it that this cannot be told.
    fn tell_of_the_log(&self, told: Option<NewEvent>) {
        let Some(told) = told else { return };
        if let Err(error) = self.tell(vec![told]) {
            tracing::error!("what is wrong with the log of decisions could not be told: {error}");
        }
    }

    /// That decisions are not kept, if they cannot be.
    pub(super) fn unlogged(&self) -> Option<String> {
        let state = self.state();
        let found = state.observed.decided.unlogged.as_ref()?;
        Some(format!("{}, since {}", unlogged(&found.why), found.since))
    }

    /// The log of decisions, if they are kept.
    pub fn decisions(&self) -> Option<&DecisionLog> {
        self.decisions.as_ref()
    }
}

/// The steps that do something, or have it recorded.
fn deciding(decisions: &[Decision]) -> Vec<Step> {
    decisions.iter().map(|it| &it.step).filter(|step| !step.only_looks()).cloned().collect()
}

fn unlogged(why: &str) -> String {
    format!("the log of decisions cannot be written, so that they cannot be explained later: {why}")
}
