//! Tasks: the process that is kept alive, its limits, and what is done about it. The keys are the
//! task sitter's flags, in snake case.

mod attributes;
mod ending;
mod limits;
mod output;
#[cfg(test)]
mod tests;
mod user;

pub use attributes::{Resource, Rlimit, Umask};
pub use ending::{Flap, MaxRestarts, StopSignal};
pub use limits::{Holds, OnViolation, OomKill, PerConstraint, Percent, Violations, Warnings};
pub use output::{PortRef, Readiness, WhenSlow};
pub use user::User;

use crate::{Cores, Megabytes, Seconds};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// The process that an instance is, as the task sitter is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct TaskConfiguration {
    /// What people call it.
    pub name: String,
    /// The command; run by `/bin/sh -c`, but for one that needs no shell.
    #[serde(deserialize_with = "command")]
    pub command: String,
    /// Whether the process may end by itself with code 0.
    #[serde(default)]
    pub allow_exit: bool,
    /// Whether it is started when the machine boots, before anyone asks for it.
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
    /// The group it runs as, by number or name; none for the user's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<User>,
    /// Its supplementary groups; none for those that the user is a member of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<User>>,
    /// Whether no program that it executes may gain privileges.
    #[serde(default, skip_serializing_if = "is_false")]
    pub no_new_privileges: bool,
    /// The directory that it starts in; none for the root.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "absolute")]
    pub cwd: Option<String>,
    /// Permissions that its new files lack, in octal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub umask: Option<Umask>,
    /// Its resource limits.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, Rlimit>)]
    pub rlimits: BTreeMap<Resource, Rlimit>,
    /// Its nice value, from -20 to 19.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "nice")]
    pub nice: Option<i32>,
    /// How gladly the kernel kills it for want of memory, from -1000 to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "oom_score_adj")]
    pub oom_score_adj: Option<i32>,
    /// Megabytes of swap that it may use besides `mem`; none for 0.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "swap")]
    pub swap: Option<Megabytes>,
    /// Processes and threads that its tree may have.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "pids")]
    pub pids: Option<u32>,
    /// Whom the kernel kills at the memory limit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub oom: OomKill,
    /// Seconds after which a process counts as settled: what follows is a first restart again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle: Option<Seconds>,
    /// Seconds from one start to the next at the second restart in a row; it doubles with each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_first: Option<Seconds>,
    /// The most that `backoff_first` grows to, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_max: Option<Seconds>,
    /// So many restarts in so short a time that it counts as failed; none for no such limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flap: Option<Flap>,
    /// How it says that it is ready.
    #[serde(default, skip_serializing_if = "is_default")]
    pub readiness: Readiness,
    /// Seconds it has to become ready; none for 90, where it says so at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_within: Option<Seconds>,
    /// Seconds within which it must say `WATCHDOG=1`, again and again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<Seconds>,
    /// The signal that asks it to read its configuration again; none for `HUP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload_signal: Option<StopSignal>,
    /// Shares of its limits at which to warn.
    #[serde(default, skip_serializing_if = "PerConstraint::is_empty")]
    pub warn: Warnings,
    /// Seconds that a limit may be broken before that counts as a violation.
    #[serde(default, skip_serializing_if = "PerConstraint::is_empty")]
    pub hold: Holds,
    /// What follows a violation.
    #[serde(default, skip_serializing_if = "PerConstraint::is_empty")]
    pub on_violation: Violations,
    /// Seconds from one measure to the next where measuring is needed; none for 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll_interval: Option<Seconds>,
    /// Whether nothing is measured but what a limit needs.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disable_stat_collection: bool,
    /// Bytes of a log file at which the next one is begun; none for 10 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "log_bytes")]
    pub log_bytes: Option<u64>,
    /// Log files kept beside the one being written; none for 4.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "log_files")]
    pub log_files: Option<u32>,
    /// Seconds after which the next log file is begun; none for any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_age: Option<Seconds>,
    /// Whether older log files are compressed; none for yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_compress: Option<bool>,
    /// What happens when the disk takes less than the task says.
    #[serde(default, skip_serializing_if = "is_default")]
    pub log_when_slow: WhenSlow,
    /// Whether it has pages of its own over HTTP.
    #[serde(default, skip_serializing_if = "is_false")]
    pub http_monitoring: bool,
    /// The port of its pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_monitoring_port: Option<PortRef>,
    /// Whether its pages stay when it has ended.
    #[serde(default, skip_serializing_if = "is_false")]
    pub keep_http_running: bool,
    /// A file whose text is the version of what runs.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "absolute")]
    pub version_file: Option<String>,
}

impl TaskConfiguration {
    /// Every port that it refers to, with the key that does.
    pub fn port_refs(&self) -> impl Iterator<Item = (&'static str, &PortRef)> {
        let readiness = match &self.readiness {
            Readiness::Port(port) => Some(("readiness", port)),
            Readiness::None | Readiness::Notify => None,
        };
        let monitor = self.http_monitoring_port.as_ref().map(|port| ("http_monitoring_port", port));
        readiness.into_iter().chain(monitor)
    }

    /// What no single key shows to be wrong.
    fn fault(&self) -> Option<String> {
        let zero = |seconds: Option<Seconds>| seconds.is_some_and(|s| s.duration().is_zero());
        for (key, value) in [
            ("watchdog", self.watchdog),
            ("ready_within", self.ready_within),
            ("poll_interval", self.poll_interval),
            ("log_age", self.log_age),
            ("backoff_first", self.backoff_first),
        ] {
            if zero(value) {
                return Some(format!("`{key}` is 0: expected a number of seconds above it"));
            }
        }
        if let (Some(first), Some(max)) = (self.backoff_first, self.backoff_max)
            && first.duration() > max.duration()
        {
            return Some(format!(
                "`backoff_first` is {first} and `backoff_max` {max}: expected the first to be at most the other"
            ));
        }
        if self.ready_within.is_some() && self.readiness == Readiness::None {
            return Some(
                "`ready_within` needs a task that says when it is ready: expected `readiness`, \"notify\" or {\"port\": …}"
                    .to_owned(),
            );
        }
        if self.http_monitoring && self.http_monitoring_port.is_none() {
            return Some(
                "`http_monitoring` needs a port: expected `http_monitoring_port`".to_owned(),
            );
        }
        None
    }
}

impl Serialize for TaskConfiguration {
    fn serialize<S: Serializer>(&self, target: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, target)
    }
}

impl<'de> Deserialize<'de> for TaskConfiguration {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let task = Self::deserialize(source)?;
        match task.fault() {
            Some(fault) => Err(serde::de::Error::custom(fault)),
            None => Ok(task),
        }
    }
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

fn absolute<'de, D: Deserializer<'de>>(source: D) -> Result<Option<String>, D::Error> {
    let path = String::deserialize(source)?;
    if !path.starts_with('/') || path.contains('\0') {
        let message = format!("`{path}`: expected an absolute path, such as `/opt/startup`");
        return Err(serde::de::Error::custom(message));
    }
    Ok(Some(path))
}

/// A number in a range that its key names.
fn within<'de, D, T>(source: D, key: &str, least: T, most: T) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64> + PartialOrd + std::fmt::Display + Copy,
{
    let given = i64::deserialize(source)?;
    let number = T::try_from(given).ok().filter(|number| (least..=most).contains(number));
    number.map(Some).ok_or_else(|| {
        serde::de::Error::custom(format!("`{key}` is {given}: expected {least} to {most}"))
    })
}

fn nice<'de, D: Deserializer<'de>>(source: D) -> Result<Option<i32>, D::Error> {
    within(source, "nice", -20, 19)
}

fn oom_score_adj<'de, D: Deserializer<'de>>(source: D) -> Result<Option<i32>, D::Error> {
    within(source, "oom_score_adj", -1000, 1000)
}

/// The kernel's own bound: `PID_MAX_LIMIT`.
fn pids<'de, D: Deserializer<'de>>(source: D) -> Result<Option<u32>, D::Error> {
    within(source, "pids", 1, 4_194_304)
}

fn log_bytes<'de, D: Deserializer<'de>>(source: D) -> Result<Option<u64>, D::Error> {
    within(source, "log_bytes", 4096, 1 << 40)
}

fn log_files<'de, D: Deserializer<'de>>(source: D) -> Result<Option<u32>, D::Error> {
    within(source, "log_files", 0, 1000)
}

/// Unlike other amounts of memory, swap may be none at all.
fn swap<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Megabytes>, D::Error> {
    let megabytes = f64::deserialize(source)?;
    if megabytes == 0.0 {
        return Ok(Some(Megabytes::ZERO));
    }
    Megabytes::try_from(megabytes).map(Some).map_err(serde::de::Error::custom)
}

const fn yes() -> bool {
    true
}

const fn ten_seconds() -> Seconds {
    Seconds::new(10)
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
