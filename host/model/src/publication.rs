//! What is published in DNS of one job in one zone.

use crate::{JobName, MachineId, Timestamp, ZoneName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// How a job's names are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// How long whoever asked may keep an answer, in seconds; an instance that ends on purpose is taken out so
    /// long before.
    #[serde(default = "usual")]
    #[schema(value_type = u32)]
    pub ttl: Lifetime,
}

const fn usual() -> Lifetime {
    Lifetime(5)
}

impl Dns {
    /// Whether it is what holds where nothing is said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Dns {
    fn default() -> Self {
        Self { ttl: usual() }
    }
}

/// The lifetime of an answer, in whole seconds: an hour at most, for whoever kept it longer would ask a dead
/// machine, and a rollout would wait for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Lifetime(u32);

impl Lifetime {
    /// In seconds.
    pub fn seconds(self) -> u32 {
        self.0
    }

    /// As a span of time.
    pub fn span(self) -> std::time::Duration {
        std::time::Duration::from_secs(self.0.into())
    }
}

impl TryFrom<u32> for Lifetime {
    type Error = String;
    fn try_from(seconds: u32) -> Result<Self, String> {
        match seconds {
            0..=3600 => Ok(Self(seconds)),
            _ => Err(format!("a TTL of {seconds} s: expected 3600 at most")),
        }
    }
}

impl From<Lifetime> for u32 {
    fn from(lifetime: Lifetime) -> Self {
        lifetime.0
    }
}

/// What is to be published of one job in one zone: `<n>.<zone>.<basename>` for each member, and
/// `<zone>.<basename>` with the addresses of all. It is recorded before anybody is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Publication {
    /// The job.
    pub job: JobName,
    /// The zone.
    pub zone: ZoneName,
    /// How long answers may be kept.
    #[schema(value_type = u32)]
    pub ttl: Lifetime,
    /// Who is published, by number.
    pub members: BTreeMap<u32, Member>,
    /// Raised by one whenever this changes; the first is 1.
    pub revision: u64,
    /// Placements that were taken out and may still run, and when that was decided: who asked before may
    /// still go there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left: BTreeMap<u64, Timestamp>,
}

/// One instance, as it is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Member {
    /// Which placement of it serves.
    pub placement: u64,
    /// On which machine.
    pub machine: MachineId,
    /// At which addresses.
    #[schema(value_type = Vec<String>)]
    pub addresses: BTreeSet<IpAddr>,
}

impl Publication {
    /// The name of what is published, `<zone>.<basename>`.
    pub fn name(&self) -> String {
        Self::name_of(&self.zone, &self.job)
    }

    /// The same, of a job in a zone.
    pub fn name_of(zone: &ZoneName, job: &JobName) -> String {
        format!("{zone}.{job}")
    }

    /// Whether a placement is published.
    pub fn has(&self, placement: u64) -> bool {
        self.members.values().any(|member| member.placement == placement)
    }
}
