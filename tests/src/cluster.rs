//! A running cluster: `cerebro dev` as a child, and what one asks of it.

use crate::{built, canary, component, portal, processes};
use anyhow::{Context, Result, bail, ensure};
use cerebro_api::Client;
use cerebro_api::body::{DeployRequest, MachineView, TaskView};
use cerebro_linux::process::descendants;
use cerebro_model::{Deployment, Event, EventKind, InstanceId, JobName, MachineId, Phase};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take here before it counts as never.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a task may take to answer, also on a busy machine.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// How a cluster is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Zones, as `ZONE=MIN..MAX`.
    pub zones: Vec<String>,
    /// What each machine has to give.
    pub machine: String,
    /// No isolation, even as root.
    pub unprivileged: bool,
    /// Each machine has a network of its own, which takes root.
    pub own_network: bool,
    /// The port to listen on; the next free one if it is taken.
    pub port: u16,
    /// Whatever dies is replaced at once, however much it is.
    pub no_repair_limits: bool,
}

impl Default for Options {
    /// Three machines in the two zones of the examples.
    fn default() -> Self {
        Self {
            zones: vec!["aws-us-west-2a=2".to_owned(), "aws-us-east-1b=1".to_owned()],
            machine: "cpus=4,mem=4096".to_owned(),
            unprivileged: false,
            own_network: false,
            port: 0,
            no_repair_limits: false,
        }
    }
}

/// A cluster of local machines; dropped, it leaves nothing behind.
pub struct Cluster {
    child: Child,
    data: PathBuf,
    base: String,
    /// The controller's client.
    pub client: Client,
}

/// Tries until `attempt` finds something; an error says what was never found.
pub async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut attempt: impl FnMut() -> F,
) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = attempt().await {
            return Ok(found);
        }
        ensure!(Instant::now() < end, "not within {} s: {what}", PATIENCE.as_secs());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The first port from `port` on that nobody listens on; any free one for 0.
fn free_port(port: u16) -> Result<u16> {
    let candidates = if port == 0 { 0..=0 } else { port..=port.saturating_add(100) };
    let free = candidates.into_iter().find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
    Ok(free.context("no port is free")?.local_addr()?.port())
}

impl Cluster {
    /// Starts a cluster with its files in `data`, and waits until its machines have joined.
    pub async fn start(data: &Path, options: &Options) -> Result<Self> {
        fs::create_dir_all(data)?;
        let data = data.canonicalize()?;
        let port = free_port(options.port)?;
        let log = File::options().create(true).append(true).open(data.join("cerebro.log"))?;
        let mut command = Command::new(built()?.join("bin/cerebro"));
        command
            .arg("dev")
            .arg("--data")
            .arg(&data)
            .arg("--listen")
            .arg(format!("127.0.0.1:{port}"));
        command.arg("--machine").arg(&options.machine);
        for zone in &options.zones {
            command.arg("--zone").arg(zone);
        }
        if options.unprivileged {
            command.arg("--unprivileged");
        }
        if options.own_network {
            command.args(["--network", "own"]);
        }
        if options.no_repair_limits {
            command.arg("--no-repair-limits");
        }
        command.env("CEREBRO_DIE_AT", die_at(&data));
        // Away from the terminal's Ctrl-C, which is ours to pass on.
        command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().context("cannot start `cerebro dev`")?;
        let base = format!("http://127.0.0.1:{port}");
        let client = Client::new(&base)?;
        let mut cluster = Self { child, data, base, client };
        cluster.wait_for_machines(options).await?;
        canary::set(&cluster.client).await?;
        Ok(cluster)
    }

    async fn wait_for_machines(&mut self, options: &Options) -> Result<()> {
        let wanted: usize = options.zones.iter().filter_map(|zone| min_of(zone)).sum();
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("`cerebro dev` ended ({status}):\n{}", self.log_tail());
            }
            let machines = self.client.machines().await.unwrap_or_default();
            if machines.iter().filter(|view| view.machine.state.is_active()).count() >= wanted {
                return Ok(());
            }
            ensure!(Instant::now() < end, "{wanted} machines never joined:\n{}", self.log_tail());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The last words of the controller.
    pub fn log_tail(&self) -> String {
        let text = fs::read_to_string(self.data.join("cerebro.log")).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Where page and API are.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Where the controller answers for names.
    pub async fn dns_port(&self) -> Result<u16> {
        let events = self.client.events(1000).await?;
        let started = events.iter().rev().find(|it| it.kind == EventKind::ControllerStarted);
        let words = started.map(|it| it.message.as_str()).unwrap_or_default();
        let address = words.split("names are answered at ").nth(1);
        let address = address.and_then(|rest| rest.trim().parse::<SocketAddr>().ok());
        Ok(address.with_context(|| format!("no names are answered: {words}"))?.port())
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Runs `cerebro` against this cluster; what it prints, if it ends well.
    pub fn cerebro(&self, arguments: &[&str]) -> Result<String> {
        let output = self.try_cerebro(arguments)?;
        let words = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "`cerebro {}`: {}: {words}",
            arguments.join(" "),
            output.status
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Runs `cerebro` against this cluster, however it ends.
    pub fn try_cerebro(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(built()?.join("bin/cerebro"));
        Ok(command.args(["--server", &self.base]).args(arguments).output()?)
    }

    /// Uploads the components that the examples name.
    pub async fn upload_components(&self) -> Result<()> {
        let names = [
            ("mystartup.recipes.deploy", "release"),
            ("redis", "redis"),
            ("http-check", "http_check"),
            ("tcp-check", "tcp_check"),
        ];
        for (name, file) in names {
            self.client.put_recipe(&name.parse()?, component(file)?).await?;
        }
        Ok(())
    }

    /// Defines the example job.
    pub async fn define_portal(&self) -> Result<JobName> {
        let job = portal::job()?;
        self.client.put_job(&job, None).await?;
        Ok(job.dns_basename)
    }

    /// Triggers a deployment of an artifact.
    pub async fn deploy(
        &self,
        job: &JobName,
        version: &str,
        artifact: Vec<u8>,
    ) -> Result<Deployment> {
        let artifact = self.client.post_artifact(artifact).await?;
        let options =
            [("artifact".to_owned(), artifact.digest.to_string().into())].into_iter().collect();
        Ok(self.client.deploy(job, &DeployRequest::new(version.parse()?, options)).await?)
    }

    /// Waits for the end of a deployment.
    pub async fn ended(&self, deployment: &Deployment) -> Result<Deployment> {
        until("the deployment ends", || async {
            self.client.deployment(&deployment.id).await.ok().filter(|now| now.state.has_ended())
        })
        .await
        .with_context(|| self.log_tail())
    }

    /// The instances of a job.
    pub async fn tasks(&self, job: &JobName) -> Result<Vec<TaskView>> {
        let all = self.client.tasks().await?;
        Ok(all.into_iter().filter(|view| view.instance.job == *job).collect())
    }

    /// Waits until `count` instances of a job are healthy, and gives them.
    pub async fn healthy(&self, job: &JobName, count: usize) -> Result<Vec<TaskView>> {
        until("every instance is healthy", || async {
            let tasks = self.tasks(job).await.ok()?;
            let healthy =
                |view: &&TaskView| view.status.as_ref().is_some_and(|s| s.phase == Phase::Healthy);
            (tasks.len() == count && tasks.iter().filter(healthy).count() == count).then_some(tasks)
        })
        .await
        .with_context(|| self.log_tail())
    }

    /// Events above number `after`.
    pub async fn events_after(&self, after: u64) -> Result<Vec<Event>> {
        let latest = self.client.events(1000).await?;
        Ok(latest.into_iter().filter(|event| event.seq > after).collect())
    }

    /// The number of the newest event.
    pub async fn last_event(&self) -> Result<u64> {
        Ok(self.client.events(1).await?.last().map_or(0, |event| event.seq))
    }

    /// A machine.
    pub async fn machine(&self, id: &MachineId) -> Result<MachineView> {
        let all = self.client.machines().await?;
        all.into_iter()
            .find(|view| view.machine.id == *id)
            .with_context(|| format!("{id} is not there"))
    }

    /// What a task answers at `/` of its port `http`.
    pub fn ask(&self, task: &TaskView) -> Result<String> {
        let address = task.address.context("its machine has no address")?;
        let port = *task.instance.ports.values().next().context("it has no port")?;
        let mut stream =
            TcpStream::connect_timeout(&SocketAddr::new(address, port), ANSWERS_WITHIN)?;
        stream.set_read_timeout(Some(ANSWERS_WITHIN))?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: portal\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        Ok(body.trim().to_owned())
    }

    /// A task's directory on its machine.
    pub fn task_dir(&self, task: &TaskView) -> PathBuf {
        let machine = self.data.join("machines").join(task.instance.machine.as_str());
        machine.join("data/tasks").join(task.instance.id.as_str())
    }

    /// What the task's sitter keeps of it: `pid`, `sitter`, `started_at` and the rest.
    pub fn task_state(&self, task: &TaskView) -> Option<serde_json::Value> {
        let text = fs::read(self.task_dir(task).join("state.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// The task's own process, as this host sees it.
    pub fn task_pid(&self, task: &TaskView) -> Result<i32> {
        self.process_of(task, "pid")
    }

    /// The task's sitter.
    pub fn sitter_pid(&self, task: &TaskView) -> Result<i32> {
        self.process_of(task, "sitter")
    }

    /// The process that the task's state names under `key`, as its machine sees it.
    fn process_of(&self, task: &TaskView, key: &str) -> Result<i32> {
        let (id, machine) = (&task.instance.id, &task.instance.machine);
        let state = self.task_state(task).with_context(|| format!("{id} has no state"))?;
        let inner = state[key].as_u64().with_context(|| format!("{id} has no {key}"))?;
        let own = |pid: &i32| {
            processes::is_running(*pid)
                && processes::inner_pid(*pid).is_some_and(|own| u64::from(own) == inner)
        };
        let found = self.machine_processes(machine).into_iter().find(own);
        found.with_context(|| format!("the {key} of {id}, {inner}, does not run on {machine}"))
    }

    /// Every process below the init of a machine.
    pub fn machine_processes(&self, id: &MachineId) -> Vec<i32> {
        init_of(&self.data.join("machines").join(id.as_str())).map(descendants).unwrap_or_default()
    }

    /// Every process below the init of any machine of this cluster.
    pub fn processes(&self) -> Vec<i32> {
        let machines = fs::read_dir(self.data.join("machines")).into_iter().flatten().flatten();
        machines.filter_map(|machine| init_of(&machine.path())).flat_map(descendants).collect()
    }

    /// Every process of an instance, on whichever machine of this cluster.
    pub fn instance_processes(&self, id: &InstanceId) -> Vec<i32> {
        let entry = format!("CEREBRO_INSTANCE={id}");
        self.processes()
            .into_iter()
            .filter(|pid| processes::has_environment(*pid, &entry))
            .collect()
    }

    /// A machine's init.
    pub fn init_pid(&self, id: &MachineId) -> Result<i32> {
        let init = init_of(&self.data.join("machines").join(id.as_str()));
        init.with_context(|| format!("{id} has no init"))
    }

    /// A machine's agent.
    pub fn agent_pid(&self, id: &MachineId) -> Result<i32> {
        let own = self.machine_processes(id);
        let found = processes::by_arguments(&["machinesitter", id.as_str()]);
        let found = found.into_iter().find(|pid| own.contains(pid));
        found.with_context(|| format!("{id} has no agent"))
    }

    /// The controller.
    pub fn controller_pid(&self) -> Result<i32> {
        let data = self.data.to_string_lossy();
        let found = processes::by_arguments(&["clustersitter", &data]);
        found.first().copied().context("there is no controller")
    }

    /// Has the controller die by SIGKILL at its next such moment, as `commit machine-lost: behind` or
    /// `create: before`; it is started again.
    pub fn die_at(&self, moment: &str) -> Result<()> {
        let file = die_at(&self.data);
        let new = file.with_extension("new");
        fs::write(&new, moment)?;
        Ok(fs::rename(new, file)?)
    }

    /// Whether it has.
    pub fn has_died(&self) -> bool {
        !die_at(&self.data).exists()
    }

    /// Ends the cluster as Ctrl-C would, and waits until it has cleaned up. Panics if a secret was
    /// told by then.
    pub fn stop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // Its machines' files go with it.
            let searched = self.search();
            let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT);
            let _ = self.child.wait();
            match searched {
                Err(error) if !std::thread::panicking() => panic!("{error:#}"),
                _ => {}
            }
        }
    }

    /// Searches for the secret that nobody may tell.
    fn search(&self) -> Result<()> {
        let mut processes = self.processes();
        processes.extend(descendants(self.child.id().cast_signed()));
        canary::search(&self.data, &processes)
    }
}

/// Where a controller of a build for tests is told when to die.
fn die_at(data: &Path) -> PathBuf {
    data.join("die-at")
}

/// The init of a machine, as this host sees it.
fn init_of(machine: &Path) -> Option<i32> {
    let init: serde_json::Value =
        serde_json::from_slice(&fs::read(machine.join("init.json")).ok()?).ok()?;
    init["pid"].as_i64()?.try_into().ok()
}

fn min_of(zone: &str) -> Option<usize> {
    zone.split_once('=')?.1.split("..").next()?.parse().ok()
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}
