//! Jobs: what a user wants to run, where, and how it is kept alive.

use crate::{
    Cores, Grants, JobName, Megabytes, PortName, RecipeName, Seconds, Timestamp, ZoneName,
};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A dictionary that Cerebro hands on to a recipe or check as it is.
pub type Options = serde_json::Map<String, serde_json::Value>;

/// The ports that a task listens on; 0 asks Cerebro to choose one that is free on the machine.
pub type Ports = BTreeMap<PortName, u16>;

/// A job, as its file describes it. The keys are the original's; those after
/// `task_configuration` are Cerebro's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The job's name, and the DNS name below which its instances are published.
    pub dns_basename: JobName,
    /// The recipe that deploys it, by the name under which it was uploaded.
    pub deployment_recipe: RecipeName,
    /// How many instances run in each zone, and what a machine there must have.
    #[serde(deserialize_with = "layout")]
    pub deployment_layout: BTreeMap<ZoneName, ZoneLayout>,
    /// Handed to the recipe as they are.
    #[serde(default, skip_serializing_if = "Options::is_empty")]
    #[schema(value_type = Object)]
    pub recipe_options: Options,
    /// Whether tasks are started again after their machine was rebooted.
    #[serde(default = "yes")]
    pub persistent: bool,
    /// The process, its limits, and what to do when it ends.
    pub task_configuration: TaskConfiguration,
    /// The ports that each instance listens on.
    #[serde(default, skip_serializing_if = "Ports::is_empty")]
    #[schema(value_type = BTreeMap<String, u16>)]
    pub ports: Ports,
    /// What decides whether an instance is healthy, beside its process being there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health_checks: Vec<HealthCheck>,
    /// What recipe and checks may do; nothing that is not named here.
    #[serde(default)]
    pub grants: Grants,
    /// How a new version replaces the one that runs.
    #[serde(default)]
    pub rollout: Rollout,
}

impl Job {
    /// CPU and memory that one instance in `zone` reserves: what its task may use, else one core
    /// and the memory that the layout names.
    pub fn reserves(&self, zone: &ZoneName) -> (Cores, Megabytes) {
        let task = &self.task_configuration;
        let layout = self.deployment_layout.get(zone).map_or(Megabytes::ZERO, |zone| zone.mem);
        (task.cpu.unwrap_or(Cores::from_millis(1000)), task.mem.unwrap_or(layout))
    }
}

/// One zone's part of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ZoneLayout {
    /// Megabytes that a machine must have to be given an instance.
    pub mem: Megabytes,
    /// The number of instances, under the name that it had in the original.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cpu: Option<InstanceCount>,
    /// The number of instances; wins over `cpu`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<InstanceCount>,
}

impl ZoneLayout {
    /// `count` instances on machines of at least `mem`.
    pub fn new(mem: Megabytes, count: u32) -> Self {
        Self { mem, cpu: None, count: Some(InstanceCount(count)) }
    }

    /// The number of instances in this zone.
    pub fn instances(&self) -> u32 {
        self.count.or(self.cpu).map_or(0, |count| count.0)
    }
}

/// A number of instances in one zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "u64")]
#[schema(value_type = u32)]
struct InstanceCount(u32);

impl TryFrom<u64> for InstanceCount {
    type Error = String;
    fn try_from(count: u64) -> Result<Self, String> {
        match u32::try_from(count) {
            Ok(count) if count <= 10_000 => Ok(Self(count)),
            _ => Err(format!("{count} instances in one zone: expected 10000 at most")),
        }
    }
}

fn layout<'de, D: Deserializer<'de>>(
    source: D,
) -> Result<BTreeMap<ZoneName, ZoneLayout>, D::Error> {
    use serde::de::Error;
    let zones = BTreeMap::<ZoneName, ZoneLayout>::deserialize(source)?;
    if zones.is_empty() {
        return Err(D::Error::custom("`deployment_layout` names no zone: expected one at least"));
    }
    for (name, zone) in &zones {
        if zone.count.is_none() && zone.cpu.is_none() {
            let message = format!(
                "zone `{name}` has no number of instances: expected `count` (or the original's `cpu`)"
            );
            return Err(D::Error::custom(message));
        }
    }
    Ok(zones)
}

/// The process that an instance is, as the task sitter is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskConfiguration {
    /// What people call it.
    pub name: String,
    /// The command; run by `/bin/sh -c`, but for one that needs no shell.
    #[serde(deserialize_with = "command")]
    pub command: String,
    /// Whether the process may end by itself with code 0.
    #[serde(default)]
    pub allow_exit: bool,
    /// Whether a machine that boots starts it before it has heard from the controller.
    #[serde(default)]
    pub auto_start: bool,
    /// Whether it is started again when it ends.
    #[serde(default = "yes")]
    pub ensure_alive: bool,
    /// How often it may be started again before it counts as failed.
    #[serde(default)]
    pub max_restarts: MaxRestarts,
    /// Whether it is started again after it was ended for breaking a limit.
    #[serde(default = "yes")]
    pub restart: bool,
    /// The user it runs as.
    #[serde(default)]
    pub uid: User,
    /// Cores that the process tree may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cores>,
    /// Megabytes that the process tree may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mem: Option<Megabytes>,
    /// Seconds after which it is ended, and started again if `restart` says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_limit: Option<Seconds>,
    /// Variables added to its environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// The signal that asks it to stop.
    #[serde(default)]
    pub stop_signal: StopSignal,
    /// Seconds it has to stop before its whole tree is killed.
    #[serde(default = "ten_seconds")]
    pub stop_grace: Seconds,
}

fn command<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    use serde::de::Error;
    let command = String::deserialize(source)?;
    if command.trim().is_empty() || command.contains('\0') {
        return Err(D::Error::custom(
            "`command` is empty or holds a NUL: expected a shell command",
        ));
    }
    Ok(command)
}

/// The signal that asks a process to stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "the names are the signals' own")]
pub enum StopSignal {
    #[default]
    Term,
    Int,
    Quit,
    Hup,
    Usr1,
    Usr2,
}

/// How often a task may be started again: a number, or -1 for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "i64", into = "i64")]
#[schema(value_type = i64)]
pub struct MaxRestarts(Option<u32>);

impl MaxRestarts {
    /// The number of restarts, or none if it never gives up.
    pub const fn limit(self) -> Option<u32> {
        self.0
    }
}

impl TryFrom<i64> for MaxRestarts {
    type Error = String;
    fn try_from(number: i64) -> Result<Self, String> {
        if number == -1 {
            return Ok(Self(None));
        }
        let limit = u32::try_from(number).map_err(|_| {
            format!("{number} restarts: expected -1 (never give up) or a number from 0")
        })?;
        Ok(Self(Some(limit)))
    }
}

impl From<MaxRestarts> for i64 {
    fn from(max: MaxRestarts) -> i64 {
        max.0.map_or(-1, i64::from)
    }
}

/// A user of the machine, by number or by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum User {
    /// By number.
    Id(u32),
    /// By name, looked up on the machine when the task starts.
    Name(String),
}

impl Default for User {
    fn default() -> Self {
        Self::Id(0)
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for User {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = User;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a user's number or name")
            }
            fn visit_u64<E: serde::de::Error>(self, id: u64) -> Result<User, E> {
                u32::try_from(id)
                    .map(User::Id)
                    .map_err(|_| E::custom(format!("{id} is not a user's number")))
            }
            fn visit_i64<E: serde::de::Error>(self, id: i64) -> Result<User, E> {
                u32::try_from(id)
                    .map(User::Id)
                    .map_err(|_| E::custom(format!("{id} is not a user's number")))
            }
            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<User, E> {
                let valid = |c: char| c.is_ascii_graphic() && c != ':' && c != '/';
                if !name.is_empty() && name.chars().all(valid) {
                    Ok(User::Name(name.to_owned()))
                } else {
                    Err(E::custom(format!("`{name}` is not a user's name")))
                }
            }
        }
        source.deserialize_any(Visitor)
    }
}

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
    /// Failures in a row that make it unhealthy; its task is then started again.
    #[serde(default = "three")]
    pub fall: u32,
}

/// How a new version replaces the one that runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// Instances that may be away at a time.
    #[serde(default = "one")]
    pub batch: u32,
    /// Seconds in which one instance must become healthy.
    #[serde(default = "two_minutes")]
    pub deadline: Seconds,
}

impl Default for Rollout {
    fn default() -> Self {
        Self { batch: one(), deadline: two_minutes() }
    }
}

/// A job as the controller keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JobRecord {
    /// What its file says.
    pub job: Job,
    /// Raised by one whenever what the file says changes; the first is 1.
    pub revision: u64,
    /// When this revision came.
    pub changed_at: Timestamp,
}

const fn yes() -> bool {
    true
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

const fn two_minutes() -> Seconds {
    Seconds::new(120)
}
