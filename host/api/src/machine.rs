//! Bodies of the agent's own API: the tasks of one machine, and the machine itself.

use cerebro_model::{
    InstanceStatus, MachineId, MachineStats, Phase, TaskConfiguration, Timestamp, ZoneName,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Who decides whether a task runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TaskOwner {
    /// Whoever asks the machine's agent.
    Machine,
    /// The controller: the task is an instance of a job.
    Controller,
}

/// What was asked for last of a task that is the machine's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// That it run.
    Started,
    /// That it do not.
    #[default]
    Stopped,
}

/// A task of a machine.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MachineTask {
    /// Its name; an instance's is its id.
    pub name: String,
    /// Who decides whether it runs.
    pub owner: TaskOwner,
    /// What was asked for last, where the machine decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Wanted>,
    /// Where it stands.
    pub phase: Phase,
    /// Why it stands there, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Its process, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The process that watches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sitter: Option<u32>,
    /// How often it was started again.
    pub restarts: u32,
    /// When it was started last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// How it ended last, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<String>,
    /// What it says of itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// What its limits are enforced by.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub enforcement: String,
    /// How often it broke each limit: `cpu`, `mem`, `time-limit`; and what the kernel killed for
    /// want of memory: `oom-kills`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub violations: BTreeMap<String, u64>,
    /// Its configuration, where it was asked for alone and is the machine's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<TaskConfiguration>,
    /// What the controller is told of it, where the controller decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceStatus>,
    /// Where to read on, and to act on it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub links: BTreeMap<String, String>,
}

/// A file of a task's output.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LogFile {
    /// The task's name.
    pub task: String,
    /// The file's name, as `?name=` takes it.
    pub name: String,
    /// Its size, in bytes.
    pub size: u64,
    /// When it was written last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Timestamp>,
    /// Where to read it.
    pub link: String,
}

/// How a machine is doing, at length.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MachineReport {
    /// The machine.
    pub machine: MachineId,
    /// Its zone, in a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<ZoneName>,
    /// The agent's version.
    pub version: String,
    /// When this was measured, by the machine's clock.
    pub at: Timestamp,
    /// Seconds since the machine booted.
    pub uptime: u64,
    /// What heartbeats carry too.
    #[serde(flatten)]
    pub stats: MachineStats,
    /// Cores.
    pub cores: u32,
    /// Cores that were at work since this was asked before, or since the agent began.
    pub cores_used: f64,
    /// Swap in use, in bytes.
    pub swap_used: u64,
    /// Swap in all, in bytes.
    pub swap_total: u64,
    /// Open files of the whole machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_files: Option<OpenFiles>,
    /// Each file system on a disk.
    pub disks: Vec<DiskUse>,
    /// Each network interface.
    pub networks: Vec<NetworkUse>,
    /// How much work waits for `cpu`, `memory` and `io`, where the kernel tells.
    pub pressure: BTreeMap<String, Pressure>,
    /// What is wrong with the machine.
    pub problems: Vec<MachineProblem>,
    /// What each task uses.
    pub tasks: Vec<TaskUse>,
}

/// Open files of a machine, by `/proc/sys/fs/file-nr`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OpenFiles {
    /// Those that there are.
    pub used: u64,
    /// Those that there may be.
    pub most: u64,
}

/// How full a file system is.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DiskUse {
    /// Where it is mounted.
    pub mount: String,
    /// The device.
    pub device: String,
    /// The file system's type.
    pub file_system: String,
    /// Its size, in bytes.
    pub total: u64,
    /// Bytes free to everyone.
    pub free: u64,
    /// Whether nothing can be written to it.
    pub read_only: bool,
}

/// What went over a network interface since the machine booted.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NetworkUse {
    /// Its name.
    pub interface: String,
    /// Bytes that came.
    pub received: u64,
    /// Bytes that went.
    pub sent: u64,
    /// Packets that could not be received or sent.
    pub errors: u64,
}

/// Pressure stall information: percent of the time in which work waited, over 10, 60 and 300 s.
/// The kernel's `Documentation/accounting/psi.rst`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Pressure {
    /// Some of it waited.
    pub some: [f64; 3],
    /// All of it did.
    pub full: [f64; 3],
}

/// Something that is wrong with a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MachineProblem {
    /// What sort of thing: `disk-full`, `read-only`, `clock`, `descriptors`, `memory`.
    pub kind: String,
    /// What it is, in a sentence.
    pub message: String,
    /// Since when, by the machine's clock.
    pub since: Timestamp,
}

/// What a task uses.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TaskUse {
    /// The task.
    #[serde(flatten)]
    pub task: MachineTask,
    /// What its sitter measured; none if it has none that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub uses: Option<serde_json::Value>,
}
