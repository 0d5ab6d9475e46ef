//! Instances: one copy of a job's task, on one machine.

use crate::{DeploymentId, InstanceId, JobName, MachineId, Ports, Timestamp, ZoneName};
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
    /// When it was told to run that.
    pub since: Timestamp,
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
