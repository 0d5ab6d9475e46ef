//! Bodies of requests and answers that are not model types themselves.

use cerebro_model::{
    Capacity, Deployment, Digest, EventKind, Instance, InstanceStatus, JobName, JobRecord, Line,
    Machine, MachineId, MachineStats, Options, Recipe, SecretName, Subject, Timestamp, Unbounded,
    Version,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// An artifact that the cluster's store took.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Artifact {
    /// Its digest: how a job's options name it.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// Asks for a deployment of a job as it is defined now.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeployRequest {
    /// What to deploy.
    pub version: Version,
    /// Added to the job's `recipe_options` for this deployment; wins over what is there.
    #[serde(default, skip_serializing_if = "Options::is_empty")]
    #[schema(value_type = Object)]
    pub options: Options,
}

/// A secret, without what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SecretView {
    /// Its name.
    pub name: SecretName,
    /// Its size in bytes.
    pub size: u64,
    /// When there was none of that name before.
    pub created_at: Timestamp,
    /// When it was set last.
    pub changed_at: Timestamp,
    /// The jobs whose grants name it, as they are defined now.
    pub jobs: Vec<JobName>,
}

/// A job with what runs of it.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JobView {
    /// The job.
    #[serde(flatten)]
    pub record: JobRecord,
    /// Its latest deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Deployment>,
    /// Instances that it should have.
    pub wanted: u32,
    /// Instances that are healthy, or have done their work.
    pub healthy: u32,
    /// Why instances are missing, if any cannot be placed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// What its components want and it does not grant: with these lines added it can be deployed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Line>,
    /// Grants with which a component can do anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unbounded: Vec<Unbounded>,
}

/// A component that was uploaded, and who must grant more before it can be deployed there.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PushedRecipe {
    /// The component.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// The jobs that name it and do not grant all that it wants.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<MissingGrants>,
}

/// What a job does not grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MissingGrants {
    /// The job.
    pub job: JobName,
    /// The lines to add.
    pub lines: Vec<Line>,
}

/// A machine with what is known of it beside the store.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MachineView {
    /// The machine.
    #[serde(flatten)]
    pub machine: Machine,
    /// When it was last heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_heartbeat: Option<Timestamp>,
    /// What it said then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<MachineStats>,
    /// The agent's process id, as the machine sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_pid: Option<u32>,
    /// What is free: its capacity less what its instances reserve.
    pub free: Capacity,
    /// The number of instances placed on it.
    pub instances: u32,
}

/// An instance with what its machine says of it.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TaskView {
    /// The instance.
    #[serde(flatten)]
    pub instance: Instance,
    /// The version that it should run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Its machine's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
    /// The machine's last word on this placement, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<InstanceStatus>,
}

/// From an agent that has started.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JoinRequest {
    /// The token that its machine was created with.
    pub token: String,
    /// Where it listens.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// The port it listens on.
    pub port: u16,
    /// Its process id, as its machine sees it.
    pub pid: u32,
    /// The agent's version.
    pub version: String,
}

/// The controller's answer to an agent: whom it should obey.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Term {
    /// The controller's term; one that is lower than the agent has seen is refused.
    pub term: u64,
}

/// From an agent, each second.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Heartbeat {
    /// The token that its machine was created with.
    pub token: String,
    /// Its process id, as its machine sees it.
    pub pid: u32,
    /// How the machine is doing.
    pub stats: MachineStats,
}

/// From an agent, whenever something changed: everything that it runs, and what it saw.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Report {
    /// The token that its machine was created with.
    pub token: String,
    /// Every instance that the machine knows.
    pub instances: Vec<InstanceStatus>,
    /// What it saw since the last report that was taken.
    #[serde(default)]
    pub events: Vec<ReportedEvent>,
}

/// Something that an agent saw.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReportedEvent {
    /// When, by the machine's clock.
    pub at: Timestamp,
    /// What sort of thing.
    pub kind: EventKind,
    /// What it is about.
    #[serde(flatten)]
    pub subject: Subject,
    /// What happened, in a sentence.
    pub message: String,
}

/// The answer of an agent to a probe.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AgentHealth {
    /// Whose agent this is: a probe that meets another one has failed.
    pub machine: MachineId,
    /// The agent's process id, as its machine sees it.
    pub pid: u32,
}
