//! What a call would do.

use crate::{Digest, Effect};
use serde::{Deserialize, Serialize};

/// How sure a line of a plan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sureness {
    /// It happens just so.
    Certain,
    /// It happens; what comes of it nobody can know, but it cannot go beyond a bound.
    Bounded,
    /// It happens; what comes of it nobody can know.
    Unbounded,
}

/// One effect of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlanLine {
    /// The number of the call that it is part of.
    pub call: u32,
    /// How sure it is.
    pub sure: Sureness,
    /// What it is.
    #[serde(flatten)]
    pub effect: Effect,
    /// How a file's text changes, in the unified form; none if it is no text, or holds a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
    /// What more a person should know: the bound of a command, or on what the line rests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Where a plan ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PlanEnd {
    /// Where the call ends.
    Whole,
    /// Where the component asks for what nobody can know yet.
    Cut(String),
    /// Where the call fails, as it would when it is made.
    Fails(String),
}

/// What a call would do, in its order, on this machine as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Plan {
    /// The component's digest.
    pub component: String,
    /// What it would do.
    pub lines: Vec<PlanLine>,
    /// Where the plan ends.
    pub end: PlanEnd,
}

impl Plan {
    /// The exit code that says what there is: 0 nothing to do, 10 certain changes, 11 with what
    /// nobody can know, 12 a plan that is cut, 1 a call that fails.
    pub fn exit_code(&self) -> u8 {
        match self.end {
            PlanEnd::Fails(_) => 1,
            PlanEnd::Cut(_) => 12,
            PlanEnd::Whole if self.lines.is_empty() => 0,
            PlanEnd::Whole if self.lines.iter().all(|line| line.sure == Sureness::Certain) => 10,
            PlanEnd::Whole => 11,
        }
    }

    /// What is the same for machines of which the same is planned.
    pub fn digest(&self) -> Digest {
        // A plan is of strings and numbers, and so can be written.
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}
