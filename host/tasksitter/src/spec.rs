//! What to run, and how: `spec.json`.

use cerebro_supervise::Policy;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What to run, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Its whole environment, but for what the user's entry adds (`HOME`, `USER`, `PATH`).
    pub env: BTreeMap<String, String>,
    /// Where it starts.
    pub cwd: PathBuf,
    /// Whom it runs as, and with what privileges.
    #[serde(default)]
    pub credentials: Credentials,
    /// What the kernel gives every process of its own, and that it may be given otherwise.
    #[serde(default)]
    pub attributes: Attributes,
    /// The signal that asks it to stop.
    #[serde(default = "sigterm")]
    pub stop_signal: i32,
    /// The signal that asks it to read its configuration again.
    #[serde(default = "sighup")]
    pub reload_signal: i32,
    /// When it is started again, and when given up.
    pub policy: Policy,
    /// What its tree may use.
    #[serde(default)]
    pub limits: Limits,
    /// The control group that its tree runs in, below the roots; the sitter makes it.
    #[serde(default)]
    pub cgroup: Option<String>,
    /// How it says that it is ready.
    #[serde(default)]
    pub readiness: Readiness,
    /// Where its output goes.
    #[serde(default)]
    pub logs: Logs,
    /// How often its use is measured where the kernel does not enforce a limit, or where there are
    /// thresholds to warn at.
    #[serde(default = "one_second")]
    pub poll_interval: Duration,
    /// Nothing is measured but what a limit needs.
    #[serde(default)]
    pub disable_stat_collection: bool,
    /// Its own pages over HTTP.
    #[serde(default)]
    pub monitor: Option<Monitor>,
    /// A file whose text is the version of what runs.
    #[serde(default)]
    pub version_file: Option<PathBuf>,
}

impl TaskSpec {
    /// What runs `argv` in `cwd` and changes nothing else.
    pub fn new(argv: Vec<String>, cwd: PathBuf) -> Self {
        Self {
            name: String::new(),
            argv,
            env: BTreeMap::new(),
            cwd,
            credentials: Credentials::default(),
            attributes: Attributes::default(),
            stop_signal: sigterm(),
            reload_signal: sighup(),
            policy: Policy::default(),
            limits: Limits::default(),
            cgroup: None,
            readiness: Readiness::default(),
            logs: Logs::default(),
            poll_interval: one_second(),
            disable_stat_collection: false,
            monitor: None,
            version_file: None,
        }
    }
}

impl TaskSpec {
    /// Whether both streams go to one file, and so through one FIFO, in the order of their lines.
    pub fn one_stream(&self) -> bool {
        self.logs.stdout.is_some() && self.logs.stdout == self.logs.stderr
    }
}

/// Whom a task runs as. Names are looked up at each start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Credentials {
    /// The user, by number or name; none for the sitter's own.
    pub user: Option<String>,
    /// The group, by number or name; none for the user's own.
    pub group: Option<String>,
    /// The supplementary groups; none for those that the user is a member of.
    pub groups: Option<Vec<String>>,
    /// No program that it executes can gain privileges: `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privileges: bool,
}

/// What the kernel keeps of a process and hands on to its children.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Attributes {
    /// Permissions that its new files lack.
    pub umask: u32,
    /// Its resource limits, by `setrlimit`'s names in lower case, such as `nofile`; those that are
    /// not named are the sitter's, but for `core`, which is 0.
    pub rlimits: BTreeMap<String, Rlimit>,
    /// Its nice value, from -20 to 19.
    pub nice: Option<i32>,
    /// How gladly the kernel kills it for want of memory, from -1000 to 1000.
    pub oom_score_adj: Option<i32>,
}

impl Default for Attributes {
    fn default() -> Self {
        Self { umask: 0o022, rlimits: BTreeMap::new(), nice: None, oom_score_adj: None }
    }
}

/// A resource limit; none for no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// What holds.
    pub soft: Option<u64>,
    /// What it may raise that to.
    pub hard: Option<u64>,
}

/// What a tree may use; none for no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// CPU, in thousandths of a core.
    pub cpu_millis: Option<u32>,
    /// Memory, in bytes.
    pub memory: Option<u64>,
    /// Swap that it may use besides, in bytes.
    pub swap: u64,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// Whom the kernel kills at the memory limit.
    pub oom: OomKill,
}

/// Whom the kernel kills at the memory limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OomKill {
    /// All of the tree, so that no half of it lives on.
    #[default]
    Group,
    /// The one process that the kernel finds worst; the task goes on if that was not its first.
    Single,
}

/// How a task says that it is ready.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Readiness {
    /// It does not: it is ready once it runs.
    #[default]
    None,
    /// By `READY=1` to the socket that `NOTIFY_SOCKET` names: sd_notify(3).
    Notify,
    /// By taking connections there.
    Port(SocketAddr),
}

/// Where output goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Logs {
    /// The file for standard output; none for `logs/stdout.log` in the task's directory. Older ones
    /// lie beside it with a number at the end.
    pub stdout: Option<PathBuf>,
    /// The file for standard error; likewise `logs/stderr.log`.
    pub stderr: Option<PathBuf>,
    /// A file's size, in bytes, at which the next one is begun.
    pub bytes: u64,
    /// A file's age at which the next one is begun; none for any.
    pub age: Option<Duration>,
    /// Files kept beside the one being written.
    pub files: u32,
    /// Whether those are compressed, by gzip.
    pub compress: bool,
    /// What happens when the disk takes less than the task says.
    pub when_slow: WhenSlow,
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            stdout: None,
            stderr: None,
            bytes: 10 << 20,
            age: None,
            files: 4,
            compress: true,
            when_slow: WhenSlow::default(),
        }
    }
}

/// What happens when the disk takes less than the task says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenSlow {
    /// The task's writes wait, as they would for a file of its own. Nothing is lost.
    #[default]
    Block,
    /// Whole lines are dropped and counted. The task never waits.
    Drop,
}

/// A task's own pages over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Monitor {
    /// Where it listens.
    pub address: SocketAddr,
    /// It goes on after the task has ended for good, stand-alone.
    #[serde(default)]
    pub keep_running: bool,
}

const fn sigterm() -> i32 {
    libc::SIGTERM
}

const fn sighup() -> i32 {
    libc::SIGHUP
}

const fn one_second() -> Duration {
    Duration::from_secs(1)
}
