//! What a process tree may use, and what follows if it uses more.

use crate::Seconds;
use serde::{Deserialize, Serialize};

/// Whom the kernel kills at the memory limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OomKill {
    /// All of the tree, so that no half of it lives on.
    #[default]
    Group,
    /// The one process that the kernel finds worst.
    Single,
}

/// What follows when a limit was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnViolation {
    /// It is told and counted, and nothing else.
    Warn,
    /// The task is ended; whether it is started again is `restart`'s to say.
    Restart,
    /// The task is ended, and stays so.
    Kill,
}

/// Something for each constraint of a task; none for what is usual.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PerConstraint<T> {
    /// Of `cpu`.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub cpu: Option<T>,
    /// Of `mem`.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub mem: Option<T>,
    /// Of `time_limit`.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub time_limit: Option<T>,
}

const fn none<T>() -> Option<T> {
    None
}

impl<T> PerConstraint<T> {
    /// Whether nothing is said of any.
    pub fn is_empty(&self) -> bool {
        self.cpu.is_none() && self.mem.is_none() && self.time_limit.is_none()
    }
}

// Derived, it would ask for a default of `T`.
impl<T> Default for PerConstraint<T> {
    fn default() -> Self {
        Self { cpu: None, mem: None, time_limit: None }
    }
}

/// A share of a limit at which to warn, in percent: above 0 and at most 100.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "f64", into = "f64")]
#[schema(value_type = f64)]
pub struct Percent(f64);

impl TryFrom<f64> for Percent {
    type Error = String;
    fn try_from(percent: f64) -> Result<Self, String> {
        if percent > 0.0 && percent <= 100.0 {
            Ok(Self(percent))
        } else {
            Err(format!("{percent} percent of a limit: expected above 0 and at most 100"))
        }
    }
}

impl From<Percent> for f64 {
    fn from(percent: Percent) -> f64 {
        percent.0
    }
}

/// Shares of each limit at which to warn.
pub type Warnings = PerConstraint<Vec<Percent>>;
/// How long each limit may be broken before that counts as a violation.
pub type Holds = PerConstraint<Seconds>;
/// What follows a violation of each limit.
pub type Violations = PerConstraint<OnViolation>;
