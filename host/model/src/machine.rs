//! Machines, and what is known of them.

use crate::{Cores, Labels, Lock, MachineId, MachineState, Megabytes, Origin, Timestamp, ZoneName};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

/// What a machine has to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Capacity {
    /// Cores.
    #[serde(deserialize_with = "none_or_more")]
    pub cpu: Cores,
    /// Memory.
    #[serde(deserialize_with = "none_or_more")]
    pub mem: Megabytes,
    /// Disk; nothing where nobody said what there is.
    #[serde(default, deserialize_with = "none_or_more")]
    pub disk: Megabytes,
}

/// An amount of which nothing may be left, as it is on a machine that is full.
fn none_or_more<'de, D, T>(source: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + TryFrom<f64, Error: fmt::Display>,
{
    let amount = f64::deserialize(source)?;
    if amount == 0.0 { Ok(T::default()) } else { T::try_from(amount).map_err(D::Error::custom) }
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
    /// Where else what runs on it is reached: names lead there too.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schema(value_type = BTreeSet<String>)]
    pub also_at: BTreeSet<IpAddr>,
    /// The port that its agent listens on, once it has joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_port: Option<u16>,
    /// What operators say of it, for the `placement` of jobs.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    #[schema(value_type = BTreeMap<String, String>)]
    pub labels: Labels,
    /// Why it must never be terminated, if it must not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<Lock>,
    /// Where it comes from, and so what may become of it.
    #[serde(default, skip_serializing_if = "Origin::is_provisioned")]
    pub origin: Origin,
}

impl Machine {
    /// The label that every machine has: its id.
    pub const OWN_LABEL: &str = "machine";

    /// One that is still to be made.
    pub fn new(id: MachineId, zone: ZoneName, capacity: Capacity, created_at: Timestamp) -> Self {
        let (state, labels) = (MachineState::Pending, Labels::new());
        let (address, agent_port, lock) = (None, None, None);
        let (origin, also_at) = (Origin::Provisioned, BTreeSet::new());
        Self {
            id,
            zone,
            capacity,
            state,
            created_at,
            address,
            also_at,
            agent_port,
            labels,
            lock,
            origin,
        }
    }

    /// One that is there, and that an operator joins by hand.
    #[must_use]
    pub fn joined_by_hand(self, host: String, join_by: Timestamp) -> Self {
        Self { origin: Origin::Joined { host, join_by }, ..self }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_machine_is_read_back_and_one_from_before_has_no_disk() {
        let full = Capacity { cpu: Cores::ZERO, mem: Megabytes::ZERO, disk: Megabytes::ZERO };
        let json = serde_json::to_string(&full).unwrap();
        assert_eq!(serde_json::from_str::<Capacity>(&json).unwrap(), full);
        let before: Capacity = serde_json::from_str(r#"{"cpu":0.5,"mem":10}"#).unwrap();
        assert_eq!((before.cpu.millis(), before.mem.get(), before.disk.get()), (500, 10, 0));
        assert!(serde_json::from_str::<Capacity>(r#"{"cpu":-1,"mem":10}"#).is_err());
    }
}
