//! What the planner looks at.

use cerebro_model::{
    Capacity, Deployment, DeploymentId, DeploymentState, Instance, InstanceId, InstanceStatus,
    JobName, JobRecord, Machine, MachineId, Phase, Timestamp, ZoneName,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// Everything that is known of the cluster at one moment.
#[derive(Debug, Clone, Default)]
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
}

/// An instance with the last word on it.
#[derive(Debug, Clone)]
pub struct SeenInstance {
    /// The instance.
    pub instance: Instance,
    /// What its machine said last of its present placement.
    pub status: Option<InstanceStatus>,
}

impl SeenInstance {
    /// Whether it runs what it should, and well, or has done its work.
    pub fn is_healthy(&self) -> bool {
        self.phase_of_target().is_some_and(Phase::is_well)
    }

    /// Where it stands with the deployment that it should run; none if its machine has not said.
    pub fn phase_of_target(&self) -> Option<Phase> {
        let status = self.status.as_ref()?;
        let is_target = status.placement == self.instance.placement
            && status.deployment.as_ref() == Some(&self.instance.deployment);
        is_target.then_some(status.phase)
    }
}

/// A machine with what was heard of it.
#[derive(Debug, Clone)]
pub struct ObservedMachine {
    /// The machine.
    pub machine: Machine,
    /// When its last heartbeat came, since this controller started.
    pub last_heartbeat: Option<Timestamp>,
    /// What the controller's last probe met with.
    pub probe: Option<Probe>,
    /// What the provider said last.
    pub provider: Option<ProviderWord>,
}

/// The controller's own look at an agent.
#[derive(Debug, Clone)]
pub struct Probe {
    /// When it ended.
    pub at: Timestamp,
    /// Whether the agent answered.
    pub answered: bool,
    /// What it met with, in words.
    pub said: String,
}

/// The provider's word on a machine.
#[derive(Debug, Clone)]
pub struct ProviderWord {
    /// When it came.
    pub at: Timestamp,
    /// Whether the machine is there.
    pub presence: Presence,
    /// In words.
    pub said: String,
}

/// Whether a machine is there, by its provider's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It runs.
    Running,
    /// It is known to be gone. A listing that lacks it never means this.
    Gone,
    /// The provider could not say.
    Unknown,
}

/// What the operator has settled.
#[derive(Debug, Clone)]
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
}

/// What the operator has settled for one zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZonePolicy {
    /// Machines that are kept, with work or without: those without are the warm ones.
    pub min: u32,
    /// Machines that there may be.
    pub max: u32,
}
