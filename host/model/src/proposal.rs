//! What Cerebro would do if a person said yes.

use crate::{MachineId, Rung, Timestamp, ZoneName};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What would be done.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Repair {
    /// Give up a machine that all witnesses call dead.
    GiveUp,
    /// Give up a machine that never joined.
    GiveUpUnjoined,
    /// Have a machine's provider start its agent again.
    RestartAgent,
    /// Have a machine's provider reboot it.
    Reboot,
    /// Give up a machine that its provider calls running, and that nobody reaches whatever was tried.
    Replace,
}

impl From<Rung> for Repair {
    fn from(rung: Rung) -> Self {
        match rung {
            Rung::RestartAgent => Self::RestartAgent,
            Rung::Reboot => Self::Reboot,
        }
    }
}

impl Repair {
    /// Whether a machine is at its end with it.
    pub fn is_final(self) -> bool {
        match self {
            Self::GiveUp | Self::GiveUpUnjoined | Self::Replace => true,
            Self::RestartAgent | Self::Reboot => false,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::GiveUp => "give-up",
            Self::GiveUpUnjoined => "give-up-unjoined",
            Self::RestartAgent => "restart-agent",
            Self::Reboot => "reboot",
            Self::Replace => "replace",
        }
    }
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A repair that is decided and waits for a person. It vanishes when it does not apply any longer.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
pub struct Proposal {
    /// How it is named when it is approved, such as `give-up-m-3`.
    pub id: String,
    /// What would be done.
    pub repair: Repair,
    /// To which machine.
    pub machine: MachineId,
    /// Where it stands.
    pub zone: ZoneName,
    /// What speaks for it.
    pub why: String,
    /// Why it waits.
    pub waits: String,
    /// Since when there has been reason for it. An approval is good for this reason, and not for
    /// another one later.
    pub since: Timestamp,
    /// Whether it was approved, and is about to be done.
    pub approved: bool,
}

impl Proposal {
    /// The name of a repair of a machine.
    pub fn name(repair: Repair, machine: &MachineId) -> String {
        format!("{}-{machine}", repair.word())
    }
}
