//! What a call is given.

use crate::logbook::LogSink;
use async_trait::async_trait;
use cerebro_model::{
    Digest, Grants, InstanceId, JobName, MachineId, Options, Ports, Version, ZoneName,
};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// All that one call of a component may see and use.
#[derive(Clone)]
pub struct Call {
    /// What is deployed or checked.
    pub context: Context,
    /// What the job lets the component do.
    pub grants: Grants,
    /// The directory that stands for `/`: `/` itself where the machine has a file system of its
    /// own.
    pub root: PathBuf,
    /// How much it may use.
    pub limits: Limits,
    /// Where artifacts come from.
    pub artifacts: Arc<dyn ArtifactSource>,
    /// Where its log goes.
    pub log: Arc<dyn LogSink>,
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

/// Where artifacts come from: on an agent, a cache in front of the cluster's store.
#[async_trait]
pub trait ArtifactSource: Send + Sync {
    /// The path of a local file whose content has this digest, and which nobody changes.
    async fn fetch(&self, digest: Digest) -> Result<PathBuf, ArtifactError>;
}

/// Why an artifact is not to be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ArtifactError {
    /// The store does not have it.
    #[error("the cluster's store has no artifact `{0}`; upload it first")]
    NotFound(Digest),
    /// It could not be brought.
    #[error("{0}")]
    Failed(String),
}
