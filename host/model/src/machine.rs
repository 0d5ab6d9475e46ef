//! Machines, and what is known of them.

use crate::{Cores, MachineId, Megabytes, Timestamp, ZoneName};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What a machine has to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Capacity {
    /// Cores.
    pub cpu: Cores,
    /// Memory.
    pub mem: Megabytes,
}

/// A machine, as the controller keeps it. Heartbeats are not part of it: they live in memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Machine {
    /// Its identity; never used twice. It is also the client token of its creation.
    pub id: MachineId,
    /// The zone that it stands in.
    pub zone: ZoneName,
    /// What it has to give.
    pub capacity: Capacity,
    /// Where it is in its life.
    pub state: MachineState,
    /// When Cerebro decided to create it.
    pub created_at: Timestamp,
    /// Where its agent listens, once it has joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
    /// The port that its agent listens on, once it has joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_port: Option<u16>,
}

/// Where a machine is in its life. It moves downwards only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum MachineState {
    /// The intent to create it is recorded; it may or may not exist.
    Provisioning,
    /// Its agent has joined.
    Active {
        /// When it joined first.
        since: Timestamp,
    },
    /// Found dead; its instances are placed elsewhere, and what may be left of it is destroyed.
    Lost {
        /// Who saw it die.
        certificate: DeathCertificate,
    },
    /// The intent to destroy it is recorded; no instance is on it.
    Terminating {
        /// Why.
        reason: String,
    },
}

impl MachineState {
    /// Whether instances may be placed on it.
    pub fn is_active(&self) -> bool {
        matches!(self, Self::Active { .. })
    }

    /// One word for a person.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Active { .. } => "active",
            Self::Lost { .. } => "lost",
            Self::Terminating { .. } => "terminating",
        }
    }
}

/// The evidence on which a machine was declared dead: three witnesses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeathCertificate {
    /// When the controller made up its mind.
    pub at: Timestamp,
    /// When its last heartbeat came, if one ever did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_heartbeat: Option<Timestamp>,
    /// What the controller's own probe met with.
    pub probe: String,
    /// What the provider said.
    pub provider: String,
}

/// How a machine is doing, as it says itself with each heartbeat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MachineStats {
    /// Load over 1, 5 and 15 minutes.
    pub load: [f64; 3],
    /// Memory in use, in bytes.
    pub mem_used: u64,
    /// Memory in all, in bytes.
    pub mem_total: u64,
    /// Bytes free where the agent keeps its data.
    pub disk_free: u64,
}
