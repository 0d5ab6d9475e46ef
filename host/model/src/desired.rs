//! What a machine should run: what the controller tells its agent.

use crate::{Deployment, Instance, MachineId};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Everything that one machine should run. What is not in it should not run there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MachineDesired {
    /// The machine that this is for.
    pub machine: MachineId,
    /// The controller's term: a machine that has seen a greater one refuses this.
    pub term: u64,
    /// Grows with each change within a term; what a blocking query waits to see passed.
    pub index: u64,
    /// What should run.
    pub assignments: Vec<Assignment>,
    /// Agents of some other machines: who reaches none of them either is cut off itself. They come
    /// along, and are no news of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub peers: Vec<SocketAddr>,
}

/// One instance that a machine should run, with all that this takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Assignment {
    /// The instance.
    pub instance: Instance,
    /// What it should run; its id is the instance's `deployment`.
    pub deployment: Deployment,
    /// The version that this job's last successful deployment brought, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_version: Option<crate::Version>,
}
