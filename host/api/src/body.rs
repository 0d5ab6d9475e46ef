//! Bodies of requests and answers that are not model types themselves.

use cerebro_model::{
    Assignment, Attempt, Capacity, Deployment, Digest, EventKind, HeldTo, Instance, InstanceStatus,
    JobName, JobRecord, Line, Machine, MachineId, MachineStats, Options, Origin, Pause, PauseScope,
    Recipe, Seconds, SecretName, Subject, Timestamp, Unbounded, Version, WhenBusy, ZoneSettings,
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
    /// Plans to hold it to, as `POST /v1/jobs/{job}/plans` gave them, uploaded as an artifact. What
    /// they were made with is what is deployed; `version` and `options` must not say otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply_plan: Option<HeldTo>,
    /// What becomes of it while another deployment of the job is on its way, if not what the job's
    /// rollout says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_busy: Option<WhenBusy>,
}

impl DeployRequest {
    /// For a version, with these options, held to no plan.
    pub fn new(version: Version, options: Options) -> Self {
        Self { version, options, apply_plan: None, when_busy: None }
    }
}

/// Asks for a pause of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseDeploymentRequest {
    /// Why, for those who find it paused.
    pub reason: String,
    /// Seconds after which it goes on by itself; without, a person must let it.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Seconds>,
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
    /// When it was heard again after a silence of its own; the last few times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comebacks: Vec<Timestamp>,
    /// What was tried to have it answer again; the last few times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// Whether nothing is heard of it, though something should be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspect: bool,
    /// Since when it is without work, as far as this controller has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_since: Option<Timestamp>,
    /// Whether it is of the controller's own host, where its processes are: it has no SSH server.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_local: bool,
}

impl MachineView {
    /// Its state in one word; what is observed wins over what was decided.
    pub fn word(&self) -> &'static str {
        if self.suspect { "suspect" } else { self.machine.state.word() }
    }

    /// What there is to say beside that word: of its state, and of its lock.
    pub fn details(&self) -> String {
        let lock = self.machine.lock.as_ref().map(|lock| format!("locked: {}", lock.reason));
        let state = Some(self.machine.state.details()).filter(|words| !words.is_empty());
        let origin = match &self.machine.origin {
            Origin::Provisioned => None,
            Origin::Joined { host, .. } => Some(format!("joined by hand: {host}")),
        };
        state.into_iter().chain(origin).chain(lock).collect::<Vec<_>>().join("; ")
    }
}

/// Why something is asked for.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Because {
    /// In the operator's words.
    pub reason: String,
}

/// Asks for a machine to be drained.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DrainRequest {
    /// Why, in the operator's words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Begin though something on it fits nowhere else: that stays until there is room.
    pub force: bool,
}

/// A machine that the provider has for the cluster, and that no record tells of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StrayView {
    /// Its name.
    #[schema(value_type = String)]
    pub machine: MachineId,
    /// When it was listed first.
    #[schema(value_type = String)]
    pub since: Timestamp,
}

/// Asks for a machine to be left alone.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MaintainRequest {
    /// Why, in the operator's words.
    pub reason: String,
    /// For how long, from when it begins.
    #[schema(value_type = f64)]
    pub lasts: Seconds,
    /// Drain it first.
    #[serde(default)]
    pub drain: bool,
    /// Drain it though something on it fits nowhere else.
    #[serde(default)]
    pub force: bool,
}

/// A zone, with what it has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ZoneView {
    /// What counts for it.
    #[serde(flatten)]
    pub settings: ZoneSettings,
    /// Whether that was set while the cluster ran, over what the controller was started with.
    pub is_set: bool,
    /// Machines that there are, or are coming.
    pub machines: u32,
    /// Those of them without work.
    pub without_work: u32,
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

/// Asks for a pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// What is to stand still.
    pub scope: PauseScope,
    /// Who wants that.
    pub author: String,
    /// Why.
    pub reason: String,
    /// After how many seconds it ends by itself; 30 days at most.
    pub seconds: u64,
}

/// How the cluster is, in sentences.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Status {
    /// The controller's term.
    pub term: u64,
    /// What is not as it should be; nothing if all is well.
    pub faults: Vec<String>,
    /// The pauses that are in force.
    pub pauses: Vec<Pause>,
    /// Whether repairs are only proposed.
    pub observe_only: bool,
}

/// A person says yes to a repair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Who.
    pub author: String,
}

/// Has repairs only proposed, or done without being asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RepairModeRequest {
    /// Whether they are only proposed.
    pub observe_only: bool,
    /// Who wants that.
    pub author: String,
}

/// From an agent that has started.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JoinRequest {
    /// The token that its machine was created with, or its own.
    pub token: String,
    /// A token of its own making, which counts from now on in place of that: the one that it joins with is worth
    /// nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_token: Option<String>,
    /// Where it listens.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// Where else what runs on its machine is reached, as at an address of the other family: names lead there too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub also_at: Vec<IpAddr>,
    /// The port it listens on.
    pub port: u16,
    /// Its process id, as its machine sees it.
    pub pid: u32,
    /// The agent's version.
    pub version: String,
    /// The highest term that it has obeyed.
    #[serde(default)]
    pub term: u64,
    /// What it runs: a controller that takes its machine over takes that over too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<Assignment>,
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
