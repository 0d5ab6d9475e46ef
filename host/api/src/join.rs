//! Machines that an operator joins by hand: what is ordered, and what their agents are made of.

use cerebro_model::{Capacity, Digest, Labels, MachineId, Timestamp, ZoneName};
use serde::{Deserialize, Serialize};

/// How long an agent has to join, in seconds, where nobody says otherwise.
pub const JOINS_WITHIN: u64 = 900;

/// Asks for a machine to be expected: one that is there, and that an operator joins by hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinOrderRequest {
    /// The machine, as the operator calls it.
    pub host: String,
    /// The zone that it stands in.
    pub zone: ZoneName,
    /// What it has to give.
    pub capacity: Capacity,
    /// What there is to say of it, for the `placement` of jobs.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    #[schema(value_type = BTreeMap<String, String>)]
    pub labels: Labels,
    /// Seconds that its agent has to join: an hour at most.
    #[serde(default = "joins_within")]
    pub joins_within: u64,
}

fn joins_within() -> u64 {
    JOINS_WITHIN
}

/// A machine that is expected, and all that its agent needs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JoinOrder {
    /// Its id.
    pub machine: MachineId,
    /// What its agent joins with: once, and soon. It is told here, and never again.
    pub join_token: String,
    /// Until when.
    pub join_by: Timestamp,
    /// The controller's base URL, as other machines reach it.
    pub controller: String,
    /// The agent's programs.
    pub programs: Vec<AgentProgram>,
}

impl std::fmt::Debug for JoinOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinOrder").field("machine", &self.machine).finish_non_exhaustive()
    }
}

/// What an agent on another machine is made of, and whom it calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AgentKit {
    /// The controller's base URL, as other machines reach it.
    pub controller: String,
    /// The programs.
    pub programs: Vec<AgentProgram>,
}

/// A program of the agent's, as the controller has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AgentProgram {
    /// Its file's name.
    pub name: String,
    /// What is in it: `GET /v1/agent/{digest}` has its bytes.
    pub digest: Digest,
    /// Its size, in bytes.
    pub size: u64,
    /// The processors that it is for, as `uname -m` calls them; none if it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
}
