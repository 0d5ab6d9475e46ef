//! Health checks: what is asked of a task, and what follows from the answers.

use crate::{Options, RecipeName, Seconds};
use serde::{Deserialize, Serialize};

/// A health check: a component, what it is told, and how its answers are weighed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// The check, by the name under which its component was uploaded.
    pub check: RecipeName,
    /// Handed to the check as they are.
    #[serde(default, skip_serializing_if = "Options::is_empty")]
    #[schema(value_type = Object)]
    pub options: Options,
    /// Seconds from one run to the next.
    #[serde(default = "two_seconds")]
    pub interval: Seconds,
    /// Seconds that one run may take.
    #[serde(default = "two_seconds")]
    pub timeout: Seconds,
    /// Seconds after a start during which failures don't count.
    #[serde(default = "ten_seconds")]
    pub start_grace: Seconds,
    /// Passes in a row that make an instance healthy.
    #[serde(default = "one")]
    pub rise: u32,
    /// Failures in a row that make it unhealthy.
    #[serde(default = "three")]
    pub fall: u32,
    /// What a failing check says of the task.
    #[serde(default, skip_serializing_if = "CheckKind::is_liveness")]
    pub kind: CheckKind,
    /// What follows when the task does not live.
    #[serde(default, skip_serializing_if = "CheckAction::is_restart")]
    pub action: CheckAction,
}

/// What a failing check says of the task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckKind {
    /// It cannot serve at the moment: the instance is out of rotation, and the task left alone.
    Readiness,
    /// It does not live any more: `action` follows.
    #[default]
    Liveness,
}

impl CheckKind {
    fn is_liveness(&self) -> bool {
        *self == Self::Liveness
    }
}

/// What follows when a task does not live.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckAction {
    /// It is started again.
    #[default]
    Restart,
    /// It is told, and the task left alone.
    Warn,
}

impl CheckAction {
    fn is_restart(&self) -> bool {
        *self == Self::Restart
    }
}

const fn one() -> u32 {
    1
}

const fn three() -> u32 {
    3
}

const fn two_seconds() -> Seconds {
    Seconds::new(2)
}

const fn ten_seconds() -> Seconds {
    Seconds::new(10)
}
