//! A machine in a temporary directory, calls on it, and what it looks like afterwards.

use crate::language::engine;
use crate::table::Seen;
use async_trait::async_trait;
use cerebro_model::{Digest, PortName, Version};
use cerebro_recipe_engine::{
    Agent, AgentError, Call, Component, Context, Limits, LogLevel, LogLine, RunError, TaskStatus,
    TaskUsage,
};
use std::fmt::Write;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A machine's root, the cluster's store, and what was logged.
pub struct Machine {
    pub(crate) dir: tempfile::TempDir,
    /// Journals so far.
    pub(crate) journals: AtomicU32,
    log: Arc<Mutex<Vec<LogLine>>>,
    /// What the job grants, as JSON.
    pub grants: &'static str,
    /// The port `http`, if the job has it.
    pub port: Option<u16>,
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine {
    /// A machine with nothing on it, whose job grants what the examples need and has a port.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["root", "store", "memory"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let grants = r#"{"write": ["/opt"], "commands": ["/usr/bin/touch", "/usr/bin/rm"]}"#;
        Self { dir, journals: AtomicU32::new(0), log: Arc::default(), grants, port: Some(8080) }
    }

    /// Puts an artifact into the cluster's store.
    pub fn upload(&self, bytes: &[u8]) -> String {
        let digest = Digest::of(bytes).to_string();
        fs::write(self.dir.path().join("store").join(&digest), bytes).unwrap();
        digest
    }

    /// A call for a version, and the one before it.
    pub(crate) fn call(&self, version: &str, previous: Option<&str>, options: &str) -> Call {
        let log = self.log.clone();
        let port = |number| ("http".parse::<PortName>().unwrap(), number);
        let context = Context {
            job: "portal.startup.com".parse().unwrap(),
            instance: "0.aws-us-west-2a.portal.startup.com".parse().unwrap(),
            number: 0,
            zone: "aws-us-west-2a".parse().unwrap(),
            machine: "m-1".parse().unwrap(),
            version: version.parse().unwrap(),
            previous_version: previous.map(|v| v.parse::<Version>().unwrap()),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ports: self.port.map(port).into_iter().collect(),
            options: serde_json::from_str(options).unwrap(),
        };
        Call {
            context: Arc::new(context),
            grants: Arc::new(serde_json::from_str(self.grants).unwrap()),
            root: self.root(),
            limits: Limits { wall: Duration::from_secs(60), ..Limits::default() },
            memory: self.dir.path().join("memory"),
            agent: Arc::new(Store(self.dir.path().join("store"))),
            log: Arc::new(move |line: LogLine| log.lock().unwrap().push(line)),
            journal: None,
        }
    }

    /// Deploys, and tells what came of it.
    pub async fn deploy(
        &self,
        recipe: &Component,
        version: &str,
        previous: Option<&str>,
        options: &str,
    ) -> Seen {
        let (call, start) = (self.call(version, previous, options), Instant::now());
        let ended = engine().deploy(recipe, call).await;
        self.seen(start, ended.map(|()| "ok".to_owned()))
    }

    /// Takes away again, and tells what came of it.
    pub async fn undeploy(&self, recipe: &Component, version: &str, options: &str) -> Seen {
        let (call, start) = (self.call(version, None, options), Instant::now());
        let ended = engine().undeploy(recipe, call).await;
        self.seen(start, ended.map(|()| "ok".to_owned()))
    }

    /// Checks, and tells what came of it.
    pub async fn check(&self, check: &Component, options: &str) -> Seen {
        let (call, start) = (self.call("1.0", None, options), Instant::now());
        let ended = engine().check(check, call).await;
        let report = ended.map(|report| {
            let mut text = format!("{:?}: {}", report.status, report.message);
            for metric in report.metrics {
                // How long it took is not alike; that it is no nonsense is.
                let sense = if (1e-6..10.0).contains(&metric.value) { "some" } else { "no sense" };
                write!(text, " [{} {sense} {}]", metric.name, metric.unit).unwrap();
            }
            text
        });
        self.seen(start, report)
    }

    pub(crate) fn seen(&self, start: Instant, ended: Result<String, RunError>) -> Seen {
        let took = start.elapsed();
        let ended = ended.unwrap_or_else(|error| format!("error: {error}"));
        let lines = std::mem::take(&mut *self.log.lock().unwrap());
        let important = lines.into_iter().filter(|line| line.level >= LogLevel::Info);
        let log = important.map(|line| match line.level {
            LogLevel::Info => self.blot(&line.message),
            level => format!("{level}: {}", self.blot(&line.message)),
        });
        Seen { took, ended: self.blot(&ended), log: log.collect(), tree: self.tree() }
    }

    /// What is on it.
    pub(crate) fn tree(&self) -> Vec<String> {
        let mut tree = Vec::new();
        list(&self.root(), "", &mut tree);
        tree
    }

    /// The directory that stands for its `/`.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// Without the path of its root, which no two machines share.
    pub(crate) fn rootless(&self, text: &str) -> String {
        text.replace(self.root().to_str().unwrap(), "ROOT")
    }

    /// Without what differs from machine to machine.
    fn blot(&self, text: &str) -> String {
        let text = self.rootless(text);
        let text = match self.port {
            Some(port) if port != 8080 => text.replace(&format!(":{port}"), ":PORT"),
            _ => text,
        };
        // What was left of the time when it was asked for.
        match text.split_once(" within ") {
            Some((before, _)) => format!("{before} within TIME"),
            None => text,
        }
    }
}

/// Every path below `dir`, sorted, with its mode and what it holds.
fn list(dir: &Path, name: &str, to: &mut Vec<String>) {
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap()).collect();
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let (path, name) = (entry.path(), format!("{name}/{}", entry.file_name().display()));
        let metadata = fs::symlink_metadata(&path).unwrap();
        let mode = metadata.permissions().mode() & 0o7777;
        if metadata.is_symlink() {
            to.push(format!("{name} -> {}", fs::read_link(&path).unwrap().display()));
        } else if metadata.is_dir() {
            to.push(format!("{name}/ {mode:04o}"));
            list(&path, &name, to);
        } else {
            let content = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            to.push(format!("{name} {mode:04o} {content:?}"));
        }
    }
}

/// A release: a tar with one directory on top.
pub fn release(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(text.len() as u64);
        builder.append_data(&mut header, format!("portal/{name}"), text.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// An agent that has artifacts and nothing else.
struct Store(PathBuf);

fn nothing<T>() -> Result<T, AgentError> {
    Err(AgentError::Unsupported("this machine has artifacts and nothing else".to_owned()))
}

#[async_trait]
impl Agent for Store {
    async fn artifact(&self, digest: Digest) -> Result<PathBuf, AgentError> {
        let path = self.0.join(digest.to_string());
        let missing = || AgentError::NotFound(format!("there is no artifact `{digest}`"));
        path.exists().then_some(path).ok_or_else(missing)
    }

    fn artifacts(&self) -> &Path {
        &self.0
    }

    async fn task(&self, _: Option<&str>) -> Result<Option<TaskStatus>, AgentError> {
        nothing()
    }

    async fn task_usage(&self, _: Option<&str>) -> Result<Option<TaskUsage>, AgentError> {
        nothing()
    }

    async fn task_output(
        &self,
        _: Option<&str>,
        _: bool,
        _: usize,
    ) -> Result<Vec<String>, AgentError> {
        nothing()
    }

    async fn signal_task(&self, _: Option<&str>, _: i32) -> Result<(), AgentError> {
        nothing()
    }

    async fn restart_task(&self, _: Option<&str>) -> Result<(), AgentError> {
        nothing()
    }

    async fn secret(&self, _: &str) -> Result<Vec<u8>, AgentError> {
        nothing()
    }
}
