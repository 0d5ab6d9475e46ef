//! Instances: one copy of a job's task, on one machine.

use crate::{DeploymentId, InstanceId, JobName, MachineId, Moves, Ports, Timestamp, ZoneName};
use serde::{Deserialize, Serialize};
use std::fmt;

/// An instance, as the controller keeps it: where it was placed and what it should run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Instance {
    /// Its identity: number, zone and job.
    pub id: InstanceId,
    /// Its job.
    pub job: JobName,
    /// Its zone.
    pub zone: ZoneName,
    /// Its number within job and zone: the lowest that was free.
    pub number: u32,
    /// Where it was placed.
    pub machine: MachineId,
    /// Raised each time that it is placed; tells an old placement's report from the present one's.
    pub placement: u64,
    /// The ports that it listens on.
    #[schema(value_type = BTreeMap<String, u16>)]
    pub ports: Ports,
    /// What it should run.
    pub deployment: DeploymentId,
    /// When it was told to run that, or to start again.
    pub since: Timestamp,
    /// What those run that it is linked to, the nearest first, as it was told: its task is started
    /// again when this changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub beside: Vec<DeploymentId>,
    /// Where it was before, until it has moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving: Option<Box<Leaving>>,
}

/// A placement that an instance leaves, as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Leaving {
    /// Where it was.
    pub machine: MachineId,
    /// The placement.
    pub placement: u64,
    /// The ports that it has there.
    #[schema(value_type = BTreeMap<String, u16>)]
    pub ports: Ports,
    /// What it runs there.
    pub deployment: DeploymentId,
    /// When it was told to run that.
    pub since: Timestamp,
    /// What it runs there beside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub beside: Vec<DeploymentId>,
    /// Whether it runs there until it is healthy where it was placed, or ends there before it starts.
    pub moves: Moves,
}

impl Instance {
    /// The placement that it has now, as one to leave.
    pub fn left(&self, moves: Moves) -> Box<Leaving> {
        let Self { machine, placement, ports, deployment, since, beside, .. } = self.clone();
        Box::new(Leaving { machine, placement, ports, deployment, since, beside, moves })
    }

    /// The instance as it is to run on `machine`, if it is: while it moves it may be one of two.
    pub fn on(&self, machine: &MachineId) -> Option<Self> {
        let both = self.leaving.as_ref().is_none_or(|left| left.moves == Moves::StartFirst);
        if !both {
            return None;
        }
        if self.machine == *machine {
            return Some(Self { leaving: None, ..self.clone() });
        }
        self.back().filter(|back| back.machine == *machine)
    }

    /// The instance as it was in the placement that it leaves, if it leaves one.
    pub fn back(&self) -> Option<Self> {
        let left = self.leaving.as_deref().cloned()?;
        let Leaving { machine, placement, ports, deployment, since, beside, .. } = left;
        let leaving = None;
        let (id, job, zone) = (self.id.clone(), self.job.clone(), self.zone.clone());
        let number = self.number;
        Some(Self {
            id,
            job,
            zone,
            number,
            machine,
            placement,
            ports,
            deployment,
            since,
            beside,
            leaving,
        })
    }
}

/// What a machine says of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct InstanceStatus {
    /// Which instance.
    pub id: InstanceId,
    /// Which placement of it.
    pub placement: u64,
    /// The deployment whose recipe ran last on this machine, to whatever end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// Where it stands.
    pub phase: Phase,
    /// The task's process id on the machine, while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// How often the task was started again.
    pub restarts: u32,
    /// Why it stands there, in words: the failure, or what is being done.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Since when it stands there.
    pub since: Timestamp,
    /// What is known of the process of the deployment that it should run, if there was one yet.
    #[serde(default, skip_serializing_if = "Life::is_empty")]
    pub life: Life,
}

/// What a machine knows of the process of an instance's present deployment. Whoever asks whether that
/// runs well does not want to hear of the process of the deployment before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct Life {
    /// How often it was started again.
    #[serde(skip_serializing_if = "is_zero")]
    pub restarts: u32,
    /// How it ended last, in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_exit: String,
    /// The last lines that it wrote before it ended last, or before a check failed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_lines: String,
    /// Good answers in a row of the check that has the fewest, counted up to what its job's rollout
    /// asks for; none if it has no checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passes: Option<u32>,
    /// What those that it is linked to ran when it was told to start; none if it is linked to none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub beside: Option<Vec<DeploymentId>>,
}

impl Life {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Where an instance stands on its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The machine has not begun.
    Waiting,
    /// The recipe runs.
    Deploying,
    /// The task runs; it is not yet known to be healthy.
    Starting,
    /// The task runs, and every check passes.
    Healthy,
    /// The task runs, and a check has failed too often.
    Unhealthy,
    /// The task is being ended.
    Stopping,
    /// The task ended with code 0, as it may: its work is done.
    Completed,
    /// The task does not run, and is not to be.
    Stopped,
    /// The recipe failed, or the task was given up.
    Failed,
}

impl Phase {
    /// Whether nothing more is to come of its deployment: the task serves, or has done its work.
    pub const fn is_well(self) -> bool {
        matches!(self, Self::Healthy | Self::Completed)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting",
            Self::Deploying => "deploying",
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Stopping => "stopping",
            Self::Completed => "completed",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        })
    }
}
