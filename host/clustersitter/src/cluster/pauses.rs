//! Pauses: people begin and end them, the planner has them end by themselves.

use super::{ChangeError, Cluster, event};
use crate::records::Change;
use cerebro_api::body::PauseRequest;
use cerebro_model::{DecisionId, EventKind, Pause, PauseScope, Subject};
use std::time::Duration;

/// The longest author or reason, in bytes.
const LONGEST_WORDS: usize = 500;

/// Why a pause does not begin or end.
#[derive(Debug, thiserror::Error)]
pub enum PauseError {
    /// There is nothing of that name.
    #[error("nothing was paused: there is no {0}; what there is, `{1}` lists")]
    Unknown(PauseScope, &'static str),
    /// Nobody, or no reason.
    #[error("nothing was paused: `{0}` is to have 1 to {LONGEST_WORDS} bytes")]
    Words(&'static str),
    /// No end, or too late.
    #[error("nothing was paused: it is to last 1 second to {} days; it can be renewed", Pause::LONGEST.as_secs() / 86400)]
    Span,
    /// Nothing to end.
    #[error("{0} is not paused")]
    NotPaused(PauseScope),
    /// The store did not take it.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl Cluster {
    /// The pauses in force.
    pub fn pauses(&self) -> Vec<Pause> {
        let state = self.state();
        state.records.pauses.values().filter(|it| it.holds(state.now)).cloned().collect()
    }

    /// Begins a pause, or puts another in the place of one.
    pub fn pause(&self, request: PauseRequest) -> Result<Pause, PauseError> {
        let PauseRequest { scope, author, reason, seconds } = request;
        for (word, text) in [("author", &author), ("reason", &reason)] {
            if text.trim().is_empty() || text.len() > LONGEST_WORDS {
                return Err(PauseError::Words(word));
            }
        }
        let span = Duration::from_secs(seconds);
        if span.is_zero() || span > Pause::LONGEST {
            return Err(PauseError::Span);
        }
        self.change(|state| {
            match &scope {
                PauseScope::Job(job) if !state.records.jobs.contains_key(job) => {
                    return Err(PauseError::Unknown(scope, "cerebro job list"));
                }
                PauseScope::Zone(zone) if !self.policy.zones.contains_key(zone) => {
                    return Err(PauseError::Unknown(scope, "cerebro machine list"));
                }
                PauseScope::Cluster | PauseScope::Zone(_) | PauseScope::Job(_) => {}
            }
            let since = state.now;
            let until = since.after(span);
            let pause = Pause { scope, author, reason, since, until, over: None };
            let told = event(EventKind::AutomationPaused, about(&pause.scope), pause.to_string());
            Ok((Change::default().pause(pause.clone()).event(told), pause))
        })
    }

    /// Ends a pause, for whatever reason.
    pub fn end_pause(
        &self,
        scope: &PauseScope,
        why: &str,
        decision: Option<&DecisionId>,
    ) -> Result<Pause, PauseError> {
        self.change(|state| {
            let found = state.records.pauses.get(scope).filter(|pause| pause.over.is_none());
            let Some(pause) = found else { return Err(PauseError::NotPaused(scope.clone())) };
            let ended = Pause { over: Some(state.now.min(pause.until)), ..pause.clone() };
            let message = format!("{scope} is no longer paused: {why}");
            let told = event(EventKind::AutomationResumed, about(scope), message);
            let change = Change::default().pause(ended.clone()).event(told);
            Ok((change.decided(decision), ended))
        })
    }
}

fn about(scope: &PauseScope) -> Subject {
    let job = match scope {
        PauseScope::Job(job) => Some(job.clone()),
        PauseScope::Cluster | PauseScope::Zone(_) => None,
    };
    Subject { job, ..Subject::default() }
}
