//! A task's directory, and what is said over its socket.
//!
//! | file | what it is |
//! |---|---|
//! | `spec.json` | the [`TaskSpec`]: what to run, and how |
//! | `state.json` | the [`TaskState`], kept for the next sitter |
//! | `child` | what the child wrote about itself before exec: its incarnation, and its `/proc/<pid>/stat` line |
//! | `exit.json` | an [`ExitNote`]: how the child ended, by someone who saw it while no sitter was there |
//! | `lock` | locked by the sitter, and by its child until exec |
//! | `stdout.fifo`, `stderr.fifo` | what the task writes to; it holds them open for reading too |
//! | `logs/` | `stdout.log`, `stderr.log`, and older ones with a number |
//! | `control.sock` | the socket: one JSON value a line, [`Request`] one way and [`Notice`] the other |
//!
//! The path of a Unix socket holds 108 bytes at most, and a task's directory may be longer:
//! connect through [`socket_path`], which goes by way of a descriptor of the directory.

pub use crate::spec::{
    Attributes, Credentials, Limits, Logs, Monitor, OomKill, Readiness, Rlimit, TaskSpec, WhenSlow,
};
pub use cerebro_supervise::{
    Action, BackOff, Constraint, Exit, Finding, Flap, Policy, Reason, Rule, Rules,
};
use serde::{Deserialize, Serialize};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::PathBuf;

/// The variable by which a task's processes are found where there is no cgroup.
pub const MARKER: &str = "CEREBRO_TASK_DIR";

/// How a task is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskState {
    /// Where it stands.
    pub phase: Phase,
    /// The task's process, while there is one.
    pub pid: Option<i32>,
    /// The sitter's process.
    pub sitter: i32,
    /// The sitter's version.
    #[serde(default)]
    pub version: String,
    /// Whether the process was started by an earlier sitter.
    pub adopted: bool,
    /// Whether the process is ready, as far as it says so.
    #[serde(default)]
    pub ready: bool,
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
    /// The same, in microseconds since the machine booted: what no clock that is set can change.
    #[serde(default)]
    pub started_after_boot: Option<u64>,
    /// Why it was given up, or ended for breaking a limit, last.
    #[serde(default)]
    pub reason: Option<Reason>,
    /// What was found by measuring, last.
    #[serde(default)]
    pub finding: Option<Finding>,
    /// What its limits are enforced by, or why not.
    #[serde(default)]
    pub enforcement: String,
    /// What the task says of itself: sd_notify's `STATUS=`.
    #[serde(default)]
    pub status: String,
    /// Counted over all incarnations.
    #[serde(default)]
    pub counts: Counts,
    /// The kernel's number for the boot that the process belongs to.
    pub boot: String,
}

/// What happened to a task, counted over all of its incarnations. What an older sitter did not count
/// is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Violations of the CPU limit.
    pub cpu_violations: u32,
    /// Violations of the memory limit.
    pub mem_violations: u32,
    /// Violations of the lifetime.
    pub time_violations: u32,
    /// Warnings at thresholds below a limit.
    pub warnings: u32,
    /// Of those, of the CPU limit.
    pub cpu_warnings: u32,
    /// Of the memory limit.
    pub mem_warnings: u32,
    /// Of the lifetime.
    pub time_warnings: u32,
    /// Processes that the kernel killed for want of memory.
    pub oom_kills: u64,
    /// Of those, in this incarnation.
    pub oom_kills_now: u64,
    /// The kernel's own counter of these, when it was looked at last.
    pub oom_counter: u64,
    /// Bytes of output that were dropped.
    pub log_bytes_dropped: u64,
}

impl Counts {
    /// Counts a warning.
    pub fn warn(&mut self, constraint: Constraint) {
        self.warnings += 1;
        *match constraint {
            Constraint::Cpu => &mut self.cpu_warnings,
            Constraint::Mem => &mut self.mem_warnings,
            Constraint::TimeLimit => &mut self.time_warnings,
        } += 1;
    }
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

impl Phase {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::BackingOff => "backing-off",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// What a client asks; each connection is told the present state first, and every change of it
/// after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Start the task, if it does not run.
    Start,
    /// End the task: its signal, its grace, then its whole tree.
    Stop,
    /// End the task and start it again.
    Restart,
    /// Have the task read its configuration again.
    Reload,
    /// Send the task a signal.
    Signal(i32),
    /// Measure the task: answered by [`Notice::Stats`].
    Stats {
        /// Its proportional set size too, which is slow to find out.
        pss: bool,
    },
    /// Go on as this program, in the same process; refused by silence if that cannot be.
    Upgrade(PathBuf),
    /// End the sitter; refused by silence while the task runs.
    Exit,
}

/// What a client is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Notice {
    /// How the task is now.
    State(Box<TaskState>),
    /// What it uses.
    Stats(Box<TaskStats>),
}

/// What a task's tree uses. None where it cannot be found out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskStats {
    /// When it was measured, in microseconds since 1970.
    pub at: u64,
    /// CPU that it has used in this incarnation, in seconds.
    pub cpu_seconds: f64,
    /// Cores that it used since it was measured before; none if it was not.
    pub cpu_cores: Option<f64>,
    /// Periods in which the kernel held it back for its CPU limit.
    pub cpu_throttled: Option<u64>,
    /// Resident memory, in bytes, pages that are shared counted in each process.
    pub rss: u64,
    /// Address space, in bytes.
    pub vmem: u64,
    /// Proportional set size, in bytes, if that was asked for.
    pub pss: Option<u64>,
    /// What the kernel counts towards the memory limit, in bytes, where there is a control group.
    pub memory: Option<u64>,
    /// Of that, what the task works with: without the page cache that it did not use lately.
    pub memory_working: Option<u64>,
    /// The most that counted so far.
    pub memory_peak: Option<u64>,
    /// Bytes that it read from storage.
    pub read_bytes: Option<u64>,
    /// Bytes that it wrote to storage.
    pub write_bytes: Option<u64>,
    /// Processes.
    pub processes: u32,
    /// Threads.
    pub threads: u32,
    /// Open descriptors.
    pub descriptors: Option<u32>,
    /// Bytes of output so far, since this sitter began.
    pub log_bytes: u64,
}

/// How a child ended, told by someone who held its pidfd while its sitter was gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitNote {
    /// Which incarnation.
    pub incarnation: u64,
    /// Its pid.
    pub pid: i32,
    /// The raw wait status.
    pub wait_status: i32,
}

/// Where to connect, given an open descriptor of the task's directory.
pub fn socket_path(directory: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/control.sock", directory.as_raw_fd()))
}
