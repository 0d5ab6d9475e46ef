//! What a recipe did on a machine, as its agent tells: bodies and paths of the agent's own API, which
//! the controller passes on. All of it needs the machine's token, since it shows what is in files.

use cerebro_model::{DeploymentId, Effect, InstanceId, Kept, Timestamp};
use serde::{Deserialize, Serialize};

/// On the agent: what an assignment's recipe would do now. `POST` an `Assignment`, get a `Plan`.
pub const PLAN: &str = "/v1/plan";
/// On the agent: who wrote a path last, with the query `path`.
pub const WHY: &str = "/v1/why";
/// On the agent: what has changed since Cerebro wrote it.
pub const DRIFT: &str = "/v1/drift";

/// What more of a call is asked for, as a query.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams,
)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Also from where in the component each effect came: its recording is replayed for that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sites: bool,
}

/// On the agent: what the recipe of a deployment did for an instance, a [`CallReport`].
pub fn call(instance: &InstanceId, deployment: &DeploymentId) -> String {
    format!("/v1/instances/{instance}/calls/{deployment}")
}

/// On the agent: the recording of that call, to be run again elsewhere.
pub fn recording(instance: &InstanceId, deployment: &DeploymentId) -> String {
    format!("{}/recording", call(instance, deployment))
}

/// What a recipe did for one instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CallReport {
    /// The instance.
    pub instance: InstanceId,
    /// The deployment that it was for.
    pub deployment: DeploymentId,
    /// Which try it was, from 1.
    pub attempt: u32,
    /// The component's digest.
    pub component: String,
    /// When it began.
    pub at: Timestamp,
    /// How far it is.
    pub state: CallState,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What is wrong with its journal, if it is not whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torn: Option<String>,
    /// What it did, in its order.
    pub effects: Vec<EffectReport>,
}

/// How far a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CallState {
    /// It is under way, or was cut off.
    Open,
    /// It succeeded.
    Succeeded,
    /// It failed, and what it did stays.
    Failed,
    /// What it did was taken back.
    RolledBack,
}

/// One effect of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EffectReport {
    /// Its number, from 1.
    pub n: u32,
    /// The number of the component's call that it was part of; 0 for what is done at the end.
    pub call: u32,
    /// When it was begun.
    pub at: Timestamp,
    /// How long it took, in microseconds; none if nobody lived to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<u64>,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it was, with how the path was before and after.
    #[serde(flatten)]
    pub effect: Effect,
    /// From where in the component that call was made, where that was asked for and the component is at
    /// hand: functions, by name where the component has names, and how far into each, innermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub site: Vec<String>,
    /// How a file's text changed, in the unified form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
    /// Whether it was taken back.
    pub undone: bool,
    /// Why it was not, where that was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
}

/// Who wrote a path last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Provenance {
    /// The path, as links lead to it.
    pub path: String,
    /// For which instance.
    pub instance: InstanceId,
    /// The deployment.
    pub deployment: DeploymentId,
    /// The component's digest.
    pub component: String,
    /// The number of the component's call.
    pub call: u32,
    /// When.
    pub at: Timestamp,
    /// What it did.
    pub effect: Effect,
    /// How the path differs now from what was left; none if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<String>,
}
