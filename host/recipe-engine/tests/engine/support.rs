//! A machine in a temporary directory, and calls on it.

use async_trait::async_trait;
use cerebro_model::{Digest, Grants, Options, PortName, Version};
use cerebro_recipe_engine::{
    Agent, AgentError, Call, Compiler, Component, Context, Engine, Limits, LogLine, TaskStatus,
    TaskUsage,
};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// The engine of this process.
pub fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let compiled = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
        Engine::new(compiled, Compiler::Here).unwrap()
    })
}

/// The bytes of a component of `recipes-wasm`.
pub fn guest(name: &str) -> Vec<u8> {
    let dir =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../recipes-wasm/target/wasm32-wasip2/release");
    let path = Path::new(dir).join(format!("{name}.wasm"));
    std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask build`", path.display()))
}

pub async fn component(name: &str) -> Component {
    let bytes = guest(name);
    engine().compile(Digest::of(&bytes), bytes).await.unwrap()
}

/// A machine's root, the cluster's store, and what was logged.
pub struct Machine {
    pub dir: Dir,
    pub log: Arc<Mutex<Vec<LogLine>>>,
    pub grants: Grants,
    pub limits: Limits,
    pub ports: Vec<(&'static str, u16)>,
}

/// A machine's directory.
pub enum Dir {
    Own(tempfile::TempDir),
    #[allow(dead_code, reason = "not every suite has such")]
    Others(PathBuf),
}

impl Dir {
    pub fn path(&self) -> &Path {
        match self {
            Self::Own(dir) => dir.path(),
            Self::Others(dir) => dir,
        }
    }
}

impl Machine {
    pub fn new() -> Self {
        Self::with(Dir::Own(tempfile::tempdir().unwrap()))
    }

    /// One that another process has made, and removes.
    #[allow(dead_code, reason = "not every suite has such")]
    pub fn in_dir(dir: &Path) -> Self {
        Self::with(Dir::Others(dir.to_owned()))
    }

    fn with(dir: Dir) -> Self {
        std::fs::create_dir_all(dir.path().join("root")).unwrap();
        std::fs::create_dir_all(dir.path().join("store")).unwrap();
        let limits = Limits { wall: Duration::from_secs(60), ..Limits::default() };
        let (log, grants) = (Arc::default(), Grants::default());
        Self { dir, log, grants, limits, ports: vec![("http", 8080)] }
    }

    pub fn granting(grants: &str) -> Self {
        Self { grants: serde_json::from_str(grants).unwrap(), ..Self::new() }
    }

    /// A path of the machine, as the test sees it.
    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("root").join(path.trim_start_matches('/'))
    }

    pub fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap()
    }

    #[allow(dead_code, reason = "not every suite has such")]
    pub fn names(&self, path: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(path)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Puts an artifact into the cluster's store.
    pub fn upload(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        std::fs::write(self.dir.path().join("store").join(digest.to_string()), bytes).unwrap();
        digest
    }

    pub fn call(&self, options: &str) -> Call {
        self.call_for("1.0", None, options)
    }

    pub fn call_for(&self, version: &str, previous: Option<&str>, options: &str) -> Call {
        let options: Options = serde_json::from_str(options).unwrap();
        let log = self.log.clone();
        let port = |(name, number): &(&str, u16)| (name.parse::<PortName>().unwrap(), *number);
        Call {
            context: Arc::new(Context {
                job: "portal.startup.com".parse().unwrap(),
                instance: "0.aws-us-west-2a.portal.startup.com".parse().unwrap(),
                number: 0,
                zone: "aws-us-west-2a".parse().unwrap(),
                machine: "m-1".parse().unwrap(),
                version: version.parse().unwrap(),
                previous_version: previous.map(|v| v.parse::<Version>().unwrap()),
                address: IpAddr::V4(Ipv4Addr::LOCALHOST),
                ports: self.ports.iter().map(port).collect(),
                options,
            }),
            grants: Arc::new(self.grants.clone()),
            root: self.path("/"),
            limits: self.limits.clone(),
            memory: self.dir.path().join("memory"),
            agent: Arc::new(Host {
                store: self.dir.path().join("store"),
                is_rebound: AtomicBool::new(false),
            }),
            log: Arc::new(move |line: LogLine| log.lock().unwrap().push(line)),
            journal: None,
        }
    }

    /// Whether a line that holds `part` was logged.
    pub fn logged(&self, part: &str) -> bool {
        self.log.lock().unwrap().iter().any(|line| line.message.contains(part))
    }
}

/// A name that leads to a far address at first, and to this machine from then on.
pub const REBOUND: &str = "rebound.example";

/// The agent of such a machine: it has one task, the instance's own, and some secrets.
struct Host {
    store: PathBuf,
    is_rebound: AtomicBool,
}

#[async_trait]
impl Agent for Host {
    async fn artifact(&self, digest: Digest) -> Result<PathBuf, AgentError> {
        let path = self.store.join(digest.to_string());
        let missing = || AgentError::NotFound(format!("there is no `{digest}`; upload it first"));
        path.exists().then_some(path).ok_or_else(missing)
    }

    fn artifacts(&self) -> &Path {
        &self.store
    }

    async fn task(&self, name: Option<&str>) -> Result<Option<TaskStatus>, AgentError> {
        own(name)?;
        Ok(Some(TaskStatus {
            phase: "running".to_owned(),
            ready: true,
            pid: Some(std::process::id()),
            incarnation: 3,
            restarts: 2,
            age: Some(Duration::from_secs(90)),
            last_exit: Some("exited with code 3".to_owned()),
        }))
    }

    async fn task_usage(&self, name: Option<&str>) -> Result<Option<TaskUsage>, AgentError> {
        own(name)?;
        let cores = Some(0.5);
        Ok(Some(TaskUsage { cpu_cores: cores, resident: 64 << 20, ..TaskUsage::default() }))
    }

    async fn task_output(
        &self,
        name: Option<&str>,
        _: bool,
        lines: usize,
    ) -> Result<Vec<String>, AgentError> {
        own(name)?;
        Ok((0..lines.min(3)).map(|line| format!("line {line}")).collect())
    }

    async fn signal_task(&self, name: Option<&str>, _: i32) -> Result<(), AgentError> {
        own(name)
    }

    async fn restart_task(&self, name: Option<&str>) -> Result<(), AgentError> {
        own(name)
    }

    async fn look_up(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
        if host == REBOUND {
            let is_rebound = self.is_rebound.swap(true, Ordering::Relaxed);
            let leads_to =
                if is_rebound { Ipv4Addr::LOCALHOST } else { Ipv4Addr::new(192, 0, 2, 1) };
            return Ok(vec![leads_to.into()]);
        }
        let found = tokio::net::lookup_host((host, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }

    async fn secret(&self, name: &str) -> Result<Vec<u8>, AgentError> {
        let secret = std::fs::read(self.store.join(format!("secret-{name}")));
        secret.map_err(|_| AgentError::NotFound(format!("there is no secret `{name}`")))
    }
}

fn own(name: Option<&str>) -> Result<(), AgentError> {
    match name {
        None => Ok(()),
        Some(name) => Err(AgentError::NotFound(format!("this machine has no task `{name}`"))),
    }
}
