//! What the planner looks at.

use super::{Approvals, Limits, Named, Own, SeenInstance};
use cerebro_model::{
    Attempt, Capacity, Deployment, DeploymentId, DeploymentState, InstanceId, JobName, JobRecord,
    Machine, MachineId, Pause, PauseScope, PeerWord, Timestamp, Tombstone, ZoneName,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// Everything that is known of the cluster at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Fleet {
    /// The jobs.
    pub jobs: BTreeMap<JobName, JobRecord>,
    /// The deployments that are kept.
    pub deployments: BTreeMap<DeploymentId, Deployment>,
    /// The instances, each with its machine's word on its present placement.
    pub instances: BTreeMap<InstanceId, SeenInstance>,
    /// The machines, each with what was heard of it.
    pub machines: BTreeMap<MachineId, ObservedMachine>,
    /// The number that the next placement gets.
    pub next_placement: u64,
    /// What the brakes go by.
    pub brakes: BrakeRecords,
    /// What the controller knows of itself.
    pub own: Own,
    /// What people have approved.
    pub approvals: Approvals,
    /// What is published, by name: `<zone>.<basename>`.
    #[serde(default)]
    pub names: BTreeMap<String, Named>,
    /// Zones for which the provider had no machine when it was asked last.
    #[serde(default)]
    pub full: BTreeMap<ZoneName, Full>,
}

/// That a provider has no machine to give in a zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Full {
    /// When it said so first.
    pub since: Timestamp,
    /// When it said so last. It is asked again each minute at the latest, for as long as a machine is wanted there.
    pub at: Timestamp,
    /// In its words.
    pub why: String,
}

impl Full {
    /// How long its word is good for.
    const HOLDS: Duration = Duration::from_secs(300);

    /// Whether that is so still, as far as anybody knows.
    pub fn holds(&self, now: Timestamp) -> bool {
        now.since(self.at) < Self::HOLDS
    }
}

/// What was recorded for the brakes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BrakeRecords {
    /// Pauses: the last one of each scope, whether it is over or not.
    #[serde(with = "pauses")]
    pub pauses: BTreeMap<PauseScope, Pause>,
    /// Machines that were given up lately.
    pub tombstones: BTreeMap<MachineId, Tombstone>,
    /// Whether repairs are only proposed, if a person has said so or not.
    pub observe_only: Option<bool>,
}

/// As a list: a scope is no name that JSON could have for a field.
mod pauses {
    use cerebro_model::{Pause, PauseScope};
    use serde::{Deserialize, Deserializer, Serializer};
    use std::collections::BTreeMap;

    pub fn serialize<S: Serializer>(
        pauses: &BTreeMap<PauseScope, Pause>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(pauses.values())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<PauseScope, Pause>, D::Error> {
        let pauses = Vec::<Pause>::deserialize(from)?;
        Ok(pauses.into_iter().map(|pause| (pause.scope.clone(), pause)).collect())
    }
}

impl Fleet {
    /// The deployment that a job's instances should run: the one on its way, else the last that
    /// succeeded. One that failed is nobody's target.
    pub fn target(&self, job: &JobName) -> Option<&Deployment> {
        let of_job = || self.deployments.values().filter(|d| d.job_name() == job);
        let newest = |state: fn(&DeploymentState) -> bool| {
            of_job().filter(|d| state(&d.state)).max_by_key(|d| d.id.ordinal())
        };
        newest(DeploymentState::is_running)
            .or_else(|| newest(|s| matches!(s, DeploymentState::Succeeded { .. })))
    }

    /// The same of every job that there is and that has one.
    pub(super) fn targets(&self) -> HashMap<&JobName, &Deployment> {
        let mut targets: HashMap<&JobName, &Deployment> = HashMap::new();
        let rank = |it: &Deployment| (it.state.is_running(), it.id.ordinal());
        let wanted = |it: &&Deployment| it.state.is_running() || it.state.has_succeeded();
        for deployment in self.deployments.values().filter(wanted) {
            let target = targets.entry(deployment.job_name()).or_insert(deployment);
            if rank(deployment) > rank(target) {
                *target = deployment;
            }
        }
        targets.retain(|job, _| self.jobs.contains_key(*job));
        targets
    }
}

/// A machine with what was heard of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObservedMachine {
    /// The machine.
    pub machine: Machine,
    /// When its last heartbeat came, since this controller started.
    pub last_heartbeat: Option<Timestamp>,
    /// What the controller's last probe met with.
    pub probe: Option<Probe>,
    /// What the provider said last.
    pub provider: Option<ProviderWord>,
    /// What other machines said last that were asked to look at it.
    pub peers: BTreeMap<MachineId, PeerWord>,
    /// When it was heard again after a silence, lately.
    pub comebacks: Vec<Timestamp>,
    /// What was tried with it, lately.
    pub attempts: Vec<Attempt>,
    /// How many instances its agent said it has, when it reported last to this controller.
    pub reported: Option<usize>,
    /// The placements that are to leave it, and that its agent has ended.
    pub ended: BTreeSet<u64>,
    /// Since when this controller has seen nothing placed on it.
    pub idle_since: Option<Timestamp>,
}

/// The controller's own look at an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// When it ended.
    pub at: Timestamp,
    /// Whether the agent answered.
    pub answered: bool,
    /// What it met with, in words.
    pub said: String,
}

/// The provider's word on a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderWord {
    /// When it came.
    pub at: Timestamp,
    /// Whether the machine is there.
    pub presence: Presence,
    /// In words.
    pub said: String,
}

/// Whether a machine is there, by its provider's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// It runs.
    Running,
    /// It is being ended for good, by whomever; until that is done, something of it may run.
    Ending,
    /// It is known to be gone. A listing that lacks it never means this.
    Gone,
    /// The provider could not say.
    Unknown,
}

/// What the operator has settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The zones in which machines can be had.
    pub zones: BTreeMap<ZoneName, ZonePolicy>,
    /// What a new machine has to give.
    pub machine_capacity: Capacity,
    /// When this controller started: silence before it is no evidence.
    pub started_at: Timestamp,
    /// How long a machine may be silent before it is looked at: three missed heartbeats by
    /// default, so that one lost packet is no alarm.
    pub suspect_after: Duration,
    /// How long a machine may take to join.
    pub join_within: Duration,
    /// The share of a zone's machines, in percent, above which silence is taken for our own fault.
    pub breaker_percent: u32,
    /// How fast, and how much, at most.
    pub limits: Limits,
    /// Whether names are published.
    #[serde(default)]
    pub publishes: bool,
}

impl Policy {
    /// The time within which every machine that lives is heard.
    pub fn detection(&self) -> Duration {
        self.suspect_after * 2
    }
}

/// What the operator has settled for one zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZonePolicy {
    /// Machines that are kept, with work or without: those without are the warm ones.
    pub min: u32,
    /// Machines that there may be.
    pub max: u32,
    /// How many without work are kept beyond `min`; as many as there are if nothing is said.
    pub idle: Option<u32>,
    /// How long a machine has been without work before it is one too many.
    pub idle_for: Duration,
}

impl ZonePolicy {
    /// How long a machine is without work before it is one too many, where nobody said: longer than
    /// a rollout, which may need it again.
    pub const IDLE_FOR: Duration = Duration::from_secs(600);

    /// From `min` to `max` machines, of which none is ever too many.
    pub fn new(min: u32, max: u32) -> Self {
        Self { min, max, idle: None, idle_for: Self::IDLE_FOR }
    }
}
