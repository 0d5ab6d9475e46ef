//! The log of decisions: each look that decides something, with all that it went by, beside the store.
//!
//! The planner is a function, so that what it went by is all that there is to say of why: it can be
//! asked again, years later, and answers the same. [`write`](mod@write) keeps looks as they are taken,
//! [`read`](mod@read) finds them, [`replay`](mod@replay) takes them again, [`frame`](mod@frame) is how they
//! lie in a file.
//!
//! It is evidence, and not truth: the store says what is. A log that cannot be written holds nothing
//! up, and is told.

mod frame;
pub mod read;
pub mod replay;
mod write;

pub use write::{DecisionLog, LogLimits};

use cerebro_api::explain::{Decided, DecisionSummary, Held};
use cerebro_model::{DecisionId, JobName, MachineId, Subject, Timestamp};
use cerebro_planner::cluster::{Decision, Fleet, Note, Plan};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// The directory of the log in a controller's data directory.
pub const DECISIONS: &str = "decisions";

/// What came of a look, as it is kept beside what the look went by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// Its id.
    pub id: DecisionId,
    /// When it was.
    pub at: Timestamp,
    /// The version of the cluster sitter that took it.
    pub version: String,
    /// What was decided, as the planner said it: another version may know other steps.
    pub steps: Vec<serde_json::Value>,
    /// The same in words.
    pub decided: Vec<Decided>,
    /// What is held back from then on, or cannot be.
    pub held: Vec<Held>,
}

impl Head {
    /// Of a plan for `fleet`, in which these notes are new.
    pub(crate) fn of(
        id: DecisionId,
        at: Timestamp,
        plan: &Plan,
        news: &[Note],
        fleet: &Fleet,
    ) -> Result<Self, serde_json::Error> {
        let decided = |it: &Decision| Decided {
            what: it.step.to_string(),
            why: it.reason.clone(),
            about: it.step.about(fleet),
            only_looks: it.step.only_looks(),
        };
        let held = |it: &Note| Held { what: it.to_string(), about: it.about() };
        Ok(Self {
            id,
            at,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            steps: plan.decisions.iter().map(serde_json::to_value).collect::<Result<_, _>>()?,
            decided: plan.decisions.iter().map(decided).collect(),
            held: news.iter().map(held).collect(),
        })
    }

    /// What was decided, as far as this version knows such steps.
    pub fn decisions(&self) -> Result<Vec<Decision>, serde_json::Error> {
        self.steps.iter().map(Decision::deserialize).collect()
    }

    /// What of it is about this, without what only looks; none if nothing is.
    pub fn about(self, wanted: &Wanted) -> Option<DecisionSummary> {
        let Self { id, at, decided, held, .. } = self;
        let decided: Vec<_> = decided
            .into_iter()
            .filter(|it| !it.only_looks && wanted.is(&it.about, &it.why))
            .collect();
        let held: Vec<_> = held.into_iter().filter(|it| wanted.is(&it.about, &it.what)).collect();
        let is_any = !decided.is_empty() || !held.is_empty();
        is_any.then_some(DecisionSummary { id, at, decided, held })
    }
}

/// Which decisions are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// About this machine.
    pub machine: Option<MachineId>,
    /// About this job.
    pub job: Option<JobName>,
}

impl Wanted {
    /// Whether something is wanted that is about this, for such a reason: an instance that goes elsewhere
    /// names the machine that it was on there.
    pub(crate) fn is(&self, about: &Subject, why: &str) -> bool {
        let names = |id: &MachineId| {
            why.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
                .any(|it| it == id.as_str())
        };
        let machine =
            self.machine.as_ref().is_none_or(|id| about.machine.as_ref() == Some(id) || names(id));
        let of_job = |job: &JobName| {
            let is_its = |id: &cerebro_model::InstanceId| {
                id.as_str().splitn(3, '.').nth(2) == Some(job.as_str())
            };
            about.job.as_ref() == Some(job) || about.instance.as_ref().is_some_and(is_its)
        };
        machine && self.job.as_ref().is_none_or(of_job)
    }
}

/// Why the log cannot be written, or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file.
    #[error("cannot {doing} `{}`: {source}", .path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// With which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A look cannot be written.
    #[error("a look cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// There is no such decision.
    #[error("there is no decision `{0}` in the log, or no longer: the oldest are forgotten first")]
    Unknown(DecisionId),
}

fn file<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> LogError + 'a {
    move |source| LogError::File { doing, path: path.to_owned(), source }
}
