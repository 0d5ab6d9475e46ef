//! The evidence on which a machine was given up.

use crate::{Attempt, MachineId, Timestamp};
use serde::{Deserialize, Serialize};

/// The evidence on which a machine was given up: what each witness said, and what was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeathCertificate {
    /// When the controller made up its mind.
    pub at: Timestamp,
    /// What it is taken for. One from before there was more than one verdict is of a machine that was gone.
    #[serde(default, skip_serializing_if = "Verdict::is_gone")]
    pub verdict: Verdict,
    /// When its last heartbeat came, if one ever did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_heartbeat: Option<Timestamp>,
    /// What the controller's own probe met with.
    pub probe: String,
    /// What the provider said.
    pub provider: String,
    /// What other machines met with that were asked to look.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<PeerWord>,
    /// What was tried in this silence, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
}

/// What a machine that was given up is taken for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Its provider says that it is not there, and will not come back: nothing runs on it.
    #[default]
    Gone,
    /// Its provider calls it running, nobody reaches it, and all was tried. Something may run on it until
    /// it was destroyed.
    Hangs,
    /// Its provider says that it is being ended, and will not come back. Something may run on it until that is done.
    Ending,
}

impl Verdict {
    /// Whether nothing runs on it any more.
    pub fn is_gone(&self) -> bool {
        *self == Self::Gone
    }
}

/// What another machine met with that was asked to look whether a machine's agent is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PeerWord {
    /// Who looked.
    pub peer: MachineId,
    /// When it said so.
    pub at: Timestamp,
    /// Whether the agent answered it.
    pub sight: Sight,
    /// What it met with, in words.
    pub said: String,
}

/// Whether a machine's agent answered another machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sight {
    /// It did.
    Answered,
    /// It did not.
    Silent,
    /// Who was asked cannot say: it was not reached itself, or is too old to know the question. That is
    /// no evidence of anything.
    Unknown,
}
