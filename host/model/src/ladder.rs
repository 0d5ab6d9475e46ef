//! What was tried with a machine to have it answer again.

use crate::Timestamp;
use serde::{Deserialize, Serialize};

/// What can be tried from outside of a machine. What its agent and its task sitters try within, they
/// try by themselves.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// Its provider ends the agent and starts it again. Tasks go on meanwhile.
    RestartAgent,
    /// Its provider ends all of it and starts it again, as the same machine. Its tasks end with it, and
    /// are started again.
    Reboot,
}

impl Rung {
    /// What it is, behind "the provider of m-3".
    pub fn words(self) -> &'static str {
        match self {
            Self::RestartAgent => "starts its agent again",
            Self::Reboot => "reboots it",
        }
    }

    /// Whether it ends the machine's tasks: then more has to speak for it.
    pub fn ends_tasks(self) -> bool {
        match self {
            Self::RestartAgent => false,
            Self::Reboot => true,
        }
    }
}

/// One attempt: recorded before anything is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Attempt {
    /// What was tried.
    pub rung: Rung,
    /// When.
    pub at: Timestamp,
    /// What spoke for it.
    pub why: String,
}
