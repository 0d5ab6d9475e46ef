//! What a call is given.

use crate::journal::{Medium, OpenMedium};
use crate::logbook::LogSink;
use async_trait::async_trait;
use cerebro_model::{
    Digest, Grants, InstanceId, JobName, MachineId, Options, Plan, Ports, Version, ZoneName,
};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// All that one call of a component may see and use.
#[derive(Clone)]
pub struct Call {
    /// What is deployed or checked.
    pub context: Arc<Context>,
    /// What the job lets the component do.
    pub grants: Arc<Grants>,
    /// The directory that stands for `/`: `/` itself where the machine has a file system of its
    /// own.
    pub root: PathBuf,
    /// How much it may use.
    pub limits: Limits,
    /// The directory for what outlives calls: what a component remembers, and what is still to be
    /// done once a call succeeds. It is this instance's alone, and nobody else writes there.
    pub memory: PathBuf,
    /// What the agent does for the component.
    pub agent: Arc<dyn Agent>,
    /// Where its log goes.
    pub log: Arc<dyn LogSink>,
    /// Where it is written down what a recipe does, so that it can be taken back and run again;
    /// nowhere, if nobody ever wants to.
    pub journal: Option<Journaling>,
}

/// Where a call's journal and its recording go: a directory of its own, which nobody else may read.
#[derive(Clone)]
pub struct Journaling {
    pub(crate) directory: PathBuf,
    pub(crate) open: OpenMedium,
    pub(crate) plan: Option<(Arc<Plan>, bool)>,
    pub(crate) boot: Option<String>,
}

impl Journaling {
    /// In `directory`, which is made when there is something to write.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, open: crate::journal::files(), plan: None, boot: None }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The same, held to a plan: each effect must be the next one of it, and find what the plan has
    /// found, or the call fails before it. Where the plan was cut, it may go on only if it may go
    /// `beyond`.
    pub fn held_to(self, plan: Plan, beyond: bool) -> Self {
        Self { plan: Some((Arc::new(plan), beyond)), ..self }
    }

    /// The same, as if in another boot of the machine than this one: what a test needs that has it lose
    /// its power.
    #[doc(hidden)]
    pub fn in_boot(self, boot: &str) -> Self {
        Self { boot: Some(boot.to_owned()), ..self }
    }

    /// The same, with another medium than a file.
    pub fn with_medium(
        self,
        open: impl Fn(&Path, u64) -> std::io::Result<Box<dyn Medium>> + Send + Sync + 'static,
    ) -> Self {
        Self { open: Arc::new(open), ..self }
    }
}

/// The instance that a call is for.
#[derive(Debug, Clone)]
pub struct Context {
    /// Its job.
    pub job: JobName,
    /// Its id.
    pub instance: InstanceId,
    /// Its number within job and zone.
    pub number: u32,
    /// Its zone.
    pub zone: ZoneName,
    /// Its machine.
    pub machine: MachineId,
    /// The version that is deployed.
    pub version: Version,
    /// The version that was deployed successfully before.
    pub previous_version: Option<Version>,
    /// Where it listens.
    pub address: IpAddr,
    /// The ports that it listens on.
    pub ports: Ports,
    /// The job's options for this component.
    pub options: Options,
}

/// How much a call may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of the component's own memory.
    pub memory: usize,
    /// Time from the start to the end of the call.
    pub wall: Duration,
    /// Bytes of its log.
    pub log_bytes: usize,
    /// Lines of its log.
    pub log_lines: usize,
    /// Core instances that the component may consist of; a Python runtime holds 40.
    pub instances: usize,
    /// Tables that it may hold.
    pub tables: usize,
    /// Bytes kept of what a command writes to stdout and to stderr, each.
    pub output: usize,
    /// Bytes that one archive may unpack to.
    pub unpacked_bytes: u64,
    /// Entries that one archive may hold.
    pub unpacked_entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            wall: Duration::from_secs(300),
            log_bytes: 1 << 20,
            log_lines: 10_000,
            instances: 100,
            tables: 200,
            output: 256 << 10,
            unpacked_bytes: 8 << 30,
            unpacked_entries: 500_000,
        }
    }
}

/// What the agent does for a component, beyond files, commands and the network.
#[async_trait]
pub trait Agent: Send + Sync {
    /// The path of a local file whose content has this digest, and which nobody changes: from a
    /// cache in front of the cluster's store.
    async fn artifact(&self, digest: Digest) -> Result<PathBuf, AgentError>;

    /// Where what is fetched from elsewhere is kept, under its digest, beside what the cluster's
    /// store gave.
    fn artifacts(&self) -> &Path;

    /// How a task of this machine is: the call's own, or the one of that name; none if it was never
    /// started.
    async fn task(&self, name: Option<&str>) -> Result<Option<TaskStatus>, AgentError>;

    /// What a task's tree uses; none if it does not run.
    async fn task_usage(&self, name: Option<&str>) -> Result<Option<TaskUsage>, AgentError>;

    /// The last lines of a task's output.
    async fn task_output(
        &self,
        name: Option<&str>,
        stderr: bool,
        lines: usize,
    ) -> Result<Vec<String>, AgentError>;

    /// Sends a signal to a task's process.
    async fn signal_task(&self, name: Option<&str>, signal: i32) -> Result<(), AgentError>;

    /// Ends a task and starts it again.
    async fn restart_task(&self, name: Option<&str>) -> Result<(), AgentError>;

    /// The addresses of a name, as the machine has them now.
    async fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((host, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }

    /// A secret of the cluster's.
    async fn secret(&self, name: &str) -> Result<Vec<u8>, AgentError>;
}

/// Why the agent cannot do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AgentError {
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// This agent never does that.
    #[error("{0}")]
    Unsupported(String),
    /// It went wrong.
    #[error("{0}")]
    Failed(String),
}

/// How a task is.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskStatus {
    /// `running`, `backing-off`, `stopping`, `stopped` or `failed`.
    pub phase: String,
    /// Whether it has said that it is ready, or need not.
    pub ready: bool,
    /// Its process, if there is one.
    pub pid: Option<u32>,
    /// How often it was started.
    pub incarnation: u64,
    /// How often it was started again because it had ended.
    pub restarts: u32,
    /// How long its process has lived.
    pub age: Option<Duration>,
    /// How it ended last, in words.
    pub last_exit: Option<String>,
}

/// What a task's whole tree of processes uses.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskUsage {
    /// Seconds of CPU time since its process began.
    pub cpu_seconds: f64,
    /// Cores in use between this and the last look; none at the first.
    pub cpu_cores: Option<f64>,
    /// Resident memory in bytes.
    pub resident: u64,
    /// Memory in bytes as it counts towards its limit, where the kernel tells.
    pub memory: Option<u64>,
    /// Its memory limit in bytes, if it has one.
    pub memory_limit: Option<u64>,
    /// Processes.
    pub processes: u32,
    /// Threads.
    pub threads: u32,
    /// Open descriptors.
    pub descriptors: Option<u32>,
}
