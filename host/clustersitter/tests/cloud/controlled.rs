//! A controller by a settings file, and what one asks of it.

use crate::insides::Insides;
use async_trait::async_trait;
use cerebro_api::Client;
use cerebro_api::body::TaskView;
use cerebro_model::{Event, EventKind, JobName, MachineId, Phase};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::net::{IpAddr, TcpListener};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

/// How long anything may take to come about: agents are fetched, and compile what they run.
pub const BOUND: Duration = Duration::from_secs(120);
/// The access key's id.
pub const KEY: &str = "AKIDEXAMPLE";

/// Instances' addresses are this host's: one at a time.
static TURN: Mutex<()> = Mutex::const_new(());

/// What is at Amazon, as far as one looks at it or changes it behind the controller's back.
#[async_trait]
pub trait Cloud: Send + Sync {
    /// Instances that the cluster made and that are not ended, by their machines.
    async fn alive(&self) -> BTreeMap<MachineId, Vec<Alive>>;

    /// Ends one, as somebody at the console would.
    async fn terminate(&self, id: &str);

    /// What name servers answer now.
    async fn resolve(&self, name: &str) -> BTreeSet<IpAddr>;
}

/// An instance that is not ended.
#[derive(Debug, Clone)]
pub struct Alive {
    /// Its id.
    pub id: String,
    /// Its address.
    pub address: IpAddr,
}

/// A controller, and the insides of its instances; dropped, nothing of either is left.
pub struct Controlled {
    pub client: Client,
    pub insides: Insides,
    pub port: u16,
    controller: Option<Child>,
    dir: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Controlled {
    /// One that is not started yet.
    pub async fn new() -> Self {
        let turn = TURN.lock().await;
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        Self {
            client: Client::new(format!("http://127.0.0.1:{port}")).unwrap(),
            insides: Insides::new(&dir.path().join("instances")),
            port,
            controller: None,
            dir,
            _turn: turn,
        }
    }

    /// Writes its settings: these, and those that every controller here has.
    pub fn settle(&self, more: &str) {
        let settings = format!(
            r#"
data = "{data}"
listen = "127.0.0.1:{port}"
advertise = "http://127.0.0.1:{port}"
cluster = "prod"
machines = "ec2"
bin_dir = "{bin}"
{more}
[machine]
cpus = 2
mem = 3500
disk = 10000
"#,
            data = self.dir.path().join("data").display(),
            port = self.port,
            bin = cerebro_tests::built().unwrap().join("bin").display(),
        );
        fs::write(self.settings(), settings).unwrap();
    }

    /// The settings file.
    pub fn settings(&self) -> PathBuf {
        self.dir.path().join("settings.toml")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clustersitter"));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("CEREBRO_DIE_AT", self.die_at_file())
            .stdin(Stdio::null());
        command
    }

    /// Runs `clustersitter` with these arguments, until it ends.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().unwrap()
    }

    /// Starts the controller, or another one after it has died.
    pub fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.log()).unwrap();
        let mut command = self.command();
        command.arg("--settings").arg(self.settings()).process_group(0);
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        self.controller = Some(child);
    }

    /// Kills the controller.
    pub fn stop(&mut self) {
        if let Some(mut controller) = self.controller.take() {
            let _ = controller.kill();
            let _ = controller.wait();
        }
    }

    /// Loses the store, and all that lies beside it, of a controller that is stopped, and begins a new one.
    pub fn begin_anew(&self) {
        let data = self.dir.path().join("data");
        fs::remove_dir_all(&data).unwrap();
        let cerebro = cerebro_tests::built().unwrap().join("bin/cerebro");
        let begun = Command::new(cerebro).args(["store", "begin", "--data"]).arg(&data).output();
        let begun = begun.unwrap();
        assert!(begun.status.success(), "{}", String::from_utf8_lossy(&begun.stderr));
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("controller.log")
    }

    fn die_at_file(&self) -> PathBuf {
        self.dir.path().join("die-at")
    }

    /// Has the controller die by SIGKILL at its next such moment.
    pub fn die_at(&self, moment: &str) {
        let new = self.dir.path().join("die-at.new");
        fs::write(&new, moment).unwrap();
        fs::rename(new, self.die_at_file()).unwrap();
    }

    /// Whether the controller has died by SIGKILL since it was started.
    pub fn has_died(&mut self) -> bool {
        let status = self.controller.as_mut().and_then(|it| it.try_wait().unwrap());
        match status {
            None => false,
            Some(status) => {
                assert_eq!(status.signal(), Some(9), "the controller ended by itself: {status}");
                true
            }
        }
    }

    /// Whether every machine is one instance, and every instance a machine. Never is one there twice.
    pub async fn is_one_to_one(&self, cloud: &dyn Cloud) -> bool {
        let alive = cloud.alive().await;
        let doubles: Vec<_> = alive.iter().filter(|(_, all)| all.len() > 1).collect();
        assert!(doubles.is_empty(), "a machine is there twice: {doubles:?}");
        self.active().await.is_some_and(|active| active.iter().eq(alive.keys()))
    }

    /// Asks again until there is an answer.
    pub async fn until<T>(&self, what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = attempt().await {
                return found;
            }
            assert!(begun.elapsed() < BOUND, "not within {BOUND:?}: {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Ids of machines that have joined and are in use.
    pub async fn active(&self) -> Option<BTreeSet<MachineId>> {
        let machines = self.client.machines().await.ok()?;
        let active = machines.into_iter().filter(|it| it.machine.state.is_active());
        Some(active.map(|it| it.machine.id).collect())
    }

    /// The tasks of a job, once there are so many, and all are healthy and have been heard of.
    pub async fn healthy(&self, job: &JobName, count: usize) -> Option<Vec<TaskView>> {
        let mut tasks = self.client.tasks().await.ok()?;
        tasks.retain(|task| task.instance.job == *job);
        let is_healthy =
            |it: &TaskView| it.status.as_ref().is_some_and(|it| it.phase == Phase::Healthy);
        (tasks.len() == count && tasks.iter().all(is_healthy)).then_some(tasks)
    }

    pub async fn told(&self, kind: EventKind, machine: &MachineId) -> Option<Event> {
        let events = self.client.events(1000).await.ok()?;
        let is_it = |it: &Event| it.kind == kind && it.subject.machine.as_ref() == Some(machine);
        events.into_iter().find(is_it)
    }
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn tail(path: &Path, count: usize) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

impl Drop for Controlled {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            eprintln!("the controller's last words:\n{}", tail(&self.log(), 60));
            for instance in fs::read_dir(self.dir.path().join("instances")).into_iter().flatten() {
                let path = instance.map(|it| it.path()).unwrap_or_default();
                eprintln!("{}:\n{}", path.display(), tail(&path.join("log"), 8));
            }
        }
        self.insides.end();
    }
}
