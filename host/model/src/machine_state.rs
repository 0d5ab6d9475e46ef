//! Where a machine is in its life.

use crate::{DeathCertificate, Seconds, Timestamp, Verdict};
use serde::{Deserialize, Serialize};

/// Where a machine is in its life.
///
/// Outside of this crate a state can be read and not made: it comes from the moves of a
/// [`Machine`](crate::Machine) alone. That a machine is suspected is no state: it is observed, not decided, and ends with the
/// first heartbeat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum MachineState {
    /// The intent to create it is recorded; it may or may not exist.
    #[non_exhaustive]
    #[serde(alias = "provisioning")]
    Pending,
    /// Its agent has joined.
    #[non_exhaustive]
    Active {
        /// When it joined first, or came out of maintenance.
        since: Timestamp,
    },
    /// Nothing new is placed on it, and what is on it moves elsewhere.
    #[non_exhaustive]
    Draining {
        /// When it joined first, or came out of maintenance.
        since: Timestamp,
        /// What for.
        drain: Drain,
    },
    /// Left alone by everything that Cerebro does by itself.
    #[non_exhaustive]
    Maintenance {
        /// Why, and how long.
        maintenance: Maintenance,
    },
    /// Given up; its instances are placed elsewhere, and what may be left of it is destroyed.
    #[non_exhaustive]
    Lost {
        /// Who saw it die.
        certificate: DeathCertificate,
    },
    /// The intent to destroy it is recorded; no instance is on it.
    #[non_exhaustive]
    Terminating {
        /// Why.
        reason: String,
        /// Who saw it die, if it did. Nothing that must be alone starts elsewhere before it is gone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        certificate: Option<DeathCertificate>,
    },
}

/// Why a machine is drained, how far that is, and what follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Drain {
    /// When it was asked for.
    pub begun_at: Timestamp,
    /// Why, in the operator's words; empty if none were given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What follows.
    #[serde(default)]
    pub then: AfterDrain,
    /// When nothing was on it any more, and its agent ran nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drained_at: Option<Timestamp>,
}

impl Drain {
    /// One that begins at `begun_at`.
    pub fn new(begun_at: Timestamp, reason: String, then: AfterDrain) -> Self {
        Self { begun_at, reason, then, drained_at: None }
    }
}

/// What follows once a machine is drained.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum AfterDrain {
    /// Nothing: it stays as it is until somebody says.
    #[default]
    Stay,
    /// Maintenance begins.
    Maintain {
        /// Why.
        reason: String,
        /// How long, from then on.
        #[schema(value_type = f64)]
        lasts: Seconds,
    },
    /// It is destroyed and forgotten.
    Remove,
}

/// Why a machine is left alone, and until when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Maintenance {
    /// When it began.
    pub begun_at: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
    /// Why.
    pub reason: String,
}

/// Why a machine must never be terminated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Lock {
    /// Why, in the operator's words.
    pub reason: String,
    /// When it was locked.
    pub at: Timestamp,
}

impl MachineState {
    /// Whether instances may be placed on it.
    pub fn is_active(&self) -> bool {
        matches!(self, Self::Active { .. })
    }

    /// Whether it is still to be made, or to join.
    pub fn is_pending(&self) -> bool {
        matches!(self, Self::Pending)
    }

    /// Whether it has joined and was not given up: its agent is listened to, and what is placed on
    /// it is to run there.
    pub fn runs(&self) -> bool {
        matches!(self, Self::Active { .. } | Self::Draining { .. } | Self::Maintenance { .. })
    }

    /// Whether its silence is held against it: it has joined, and nobody has it left alone.
    pub fn is_watched(&self) -> bool {
        matches!(self, Self::Active { .. } | Self::Draining { .. })
    }

    /// By which evidence it was given up, if it was.
    pub fn certificate(&self) -> Option<&DeathCertificate> {
        match self {
            Self::Lost { certificate } => Some(certificate),
            Self::Terminating { certificate, .. } => certificate.as_ref(),
            _ => None,
        }
    }

    /// Whether something may still run on it: that its provider calls it gone is the only thing that rules
    /// it out. What must be alone is not started elsewhere meanwhile.
    pub fn may_run_tasks(&self) -> bool {
        self.certificate().is_none_or(|certificate| !certificate.verdict.is_gone())
    }

    /// Why it is drained, if it is.
    pub fn drain(&self) -> Option<&Drain> {
        match self {
            Self::Draining { drain, .. } => Some(drain),
            _ => None,
        }
    }

    /// One word for a person.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active { .. } => "active",
            Self::Draining { .. } => "draining",
            Self::Maintenance { .. } => "maintenance",
            Self::Lost { .. } => "lost",
            Self::Terminating { .. } => "terminating",
        }
    }

    /// What there is to say beside that word; empty if nothing.
    pub fn details(&self) -> String {
        match self {
            Self::Pending | Self::Active { .. } => String::new(),
            Self::Draining { drain, .. } => {
                let what = match drain.drained_at {
                    Some(_) => "drained",
                    None => "drains",
                };
                let then = match &drain.then {
                    AfterDrain::Stay => String::new(),
                    AfterDrain::Maintain { lasts, .. } => format!(", then {lasts} of maintenance"),
                    AfterDrain::Remove => ", then is removed".to_owned(),
                };
                let why = if drain.reason.is_empty() { "" } else { ": " };
                format!("{what}{then}{why}{}", drain.reason)
            }
            Self::Maintenance { maintenance } => {
                format!("until {}: {}", maintenance.until, maintenance.reason)
            }
            Self::Lost { certificate } => match certificate.verdict {
                Verdict::Gone | Verdict::Ending => format!("provider: {}", certificate.provider),
                Verdict::Hangs => format!("nobody reaches it; provider: {}", certificate.provider),
            },
            Self::Terminating { reason, .. } => reason.clone(),
        }
    }
}
