//! What was done, step by step.

use serde::Serialize;
use std::time::Duration;

/// One thing that was done, or found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What it was for.
    pub what: String,
    /// The command that was run on the machine, without secrets; empty if there was none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub command: String,
    /// What came of it.
    pub outcome: Outcome,
    /// The command's exit code, if it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u32>,
    /// What it said.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub output: String,
    /// How long it took.
    #[serde(rename = "took_ms", serialize_with = "millis")]
    pub took: Duration,
}

fn millis<S: serde::Serializer>(took: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Something was found out.
    Found,
    /// All was as it should be.
    Unchanged,
    /// It is now as it should be.
    Changed,
    /// It failed.
    Failed,
}

impl Outcome {
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Found => "ok",
            Self::Unchanged => "unchanged",
            Self::Changed => "changed",
            Self::Failed => "failed",
        }
    }
}

/// How a report goes on.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// A step begins; it is for this.
    Begins(&'a str),
    /// It is over.
    Done(&'a Step),
}

/// Who is shown each step as it goes.
type Show<'a> = Box<dyn FnMut(Progress<'_>) + Send + 'a>;

/// All steps so far.
pub struct Report<'a> {
    steps: Vec<Step>,
    show: Show<'a>,
}

impl<'a> Report<'a> {
    /// An empty one, of which each step is shown to `show` as it goes.
    pub fn new(show: impl FnMut(Progress<'_>) + Send + 'a) -> Self {
        Self { steps: Vec::new(), show: Box::new(show) }
    }

    /// The steps so far.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether anything was changed on the machine.
    pub fn has_changed(&self) -> bool {
        self.steps.iter().any(|step| step.outcome == Outcome::Changed)
    }

    pub(super) fn begins(&mut self, what: &str) {
        (self.show)(Progress::Begins(what));
    }

    pub(super) fn done(&mut self, step: Step) {
        (self.show)(Progress::Done(&step));
        self.steps.push(step);
    }
}
