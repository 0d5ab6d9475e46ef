//! A task's directory, and what is said over its socket.
//!
//! | file | what it is |
//! |---|---|
//! | `spec.json` | the [`TaskSpec`]: what to run, and how |
//! | `state.json` | the [`TaskState`], kept for the next sitter |
//! | `child` | the `/proc/<pid>/stat` line that the child wrote about itself before exec |
//! | `lock` | locked by the sitter, and by its child until exec |
//! | `stdout.fifo`, `stderr.fifo` | what the task writes to; it holds them open for reading too |
//! | `logs/` | `stdout.log`, `stderr.log`, and older ones with a number |
//! | `control.sock` | the socket: one JSON value a line, [`Request`] and [`TaskState`] |
//!
//! The path of a Unix socket holds 108 bytes at most, and a task's directory may be longer:
//! connect through [`socket_path`], which goes by way of a descriptor of the directory.

pub use cerebro_supervise::{Exit, Policy};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::PathBuf;

/// The variable by which a task's processes are found where there is no cgroup.
pub const MARKER: &str = "CEREBRO_TASK_DIR";

/// What to run, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Its whole environment, but for what the user's entry adds (`HOME`, `USER`, `PATH`).
    pub env: BTreeMap<String, String>,
    /// Where it starts.
    pub cwd: PathBuf,
    /// The user that it runs as, by number or name; none for the sitter's own.
    pub user: Option<String>,
    /// The signal that asks it to stop.
    pub stop_signal: i32,
    /// When it is started again, and when given up.
    pub policy: Policy,
    /// The control group that its tree runs in, below the roots; made by whoever wrote this.
    pub cgroup: Option<String>,
    /// A log file's size, in bytes, at which the next one is begun.
    pub log_bytes: u64,
    /// Log files that are kept beside the one being written.
    pub log_files: u32,
}

/// How a task is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskState {
    /// Where it stands.
    pub phase: Phase,
    /// The task's process, while there is one.
    pub pid: Option<i32>,
    /// The sitter's process.
    pub sitter: i32,
    /// Whether the process was started by an earlier sitter.
    pub adopted: bool,
    /// How often it was started at all.
    pub incarnation: u64,
    /// How often it was started again.
    pub restarts: u32,
    /// How it ended last.
    pub last_exit: Option<Exit>,
    /// When that was seen, in microseconds since 1970.
    pub ended_at: Option<u64>,
    /// When it was started last, in microseconds since 1970; exec had succeeded by then.
    pub started_at: Option<u64>,
    /// The kernel's number for the boot that the process belongs to.
    pub boot: String,
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It runs.
    Running,
    /// It ended, and waits before it is started again.
    BackingOff,
    /// It was asked to stop.
    Stopping,
    /// It ended as it may, or was stopped.
    Stopped,
    /// It was given up.
    Failed,
}

/// What a client asks; each connection is told the present state first, and every change of it
/// after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// End the task: its signal, its grace, then its whole tree.
    Stop,
    /// End the task and start it again.
    Restart,
    /// Send the task a signal.
    Signal(i32),
    /// End the sitter; refused by silence while the task runs.
    Exit,
}

/// Where to connect, given an open descriptor of the task's directory.
pub fn socket_path(directory: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/control.sock", directory.as_raw_fd()))
}
