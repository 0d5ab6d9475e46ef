//! Tasks, by way of their sitters: started, followed, stopped.
//!
//! A sitter is alive if it takes a connection, and dead once the connection ends and no other can
//! be made; the next one that is launched on the directory takes the task over.

use crate::agent::Agent;
use crate::checks::{self, Health};
use crate::disk::DiskError;
use crate::observe::{self, Heard};
use crate::{disk, logs, spec, time};
use cerebro_model::{Assignment, EventKind, InstanceId};
use cerebro_tasksitter::protocol::{Phase, Request, TaskState, socket_path};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

/// How long a sitter may take until it listens: the lock of the one before can take 5 s.
const LISTENS_WITHIN: Duration = Duration::from_secs(8);
/// What a task that is stopped may take beyond its grace.
const STOPS_WITHIN: Duration = Duration::from_secs(15);
/// Lines of a failed task's stderr that its status holds.
const LAST_LINES: usize = 5;

/// Why a task could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// Its files cannot be written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Its sitter does not answer.
    #[error("its task sitter does not answer")]
    Sitter(#[from] io::Error),
    /// It does not end.
    #[error("it did not end within {0:?}")]
    DoesNotEnd(Duration),
}

/// Starts the task of an instance with its present assignment.
pub fn start(agent: &Arc<Agent>, id: &InstanceId) -> Result<(), TaskError> {
    let Some(mut record) = agent.table.read(id, |entry| entry.record.clone()) else {
        return Ok(());
    };
    let dir = agent.disk.task_dir(id);
    let cgroup = prepare_cgroup(agent, &record.assignment);
    let as_root = nix::unistd::geteuid().is_root();
    let spec = spec::of(&agent.settings, &record.assignment, cgroup, as_root);
    // What the task before it left would make the sitter take the new one for stopped.
    match std::fs::remove_file(dir.join("state.json")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    disk::write(&dir.join("spec.json"), &spec)?;
    record.task = Some(record.assignment.clone());
    record.boot.clone_from(&agent.boot);
    agent.disk.save(&record)?;
    agent.table.update(id, |entry| {
        entry.record = record;
        entry.task = None;
        entry.note.clear();
    });
    follow(agent, id, false);
    Ok(())
}

/// A machine that cannot limit a task runs it all the same, and says so.
fn prepare_cgroup(agent: &Agent, assignment: &Assignment) -> Option<String> {
    let path = agent.cgroup_path(&assignment.instance.id)?;
    let task = &assignment.deployment.job.task_configuration;
    let made = agent.cgroups.as_ref()?.create(&path).and_then(|group| {
        task.cpu.map_or(Ok(()), |cpu| group.set_cpu(cpu.millis()))?;
        task.mem.map_or(Ok(()), |mem| group.set_memory(mem.bytes()))
    });
    match made {
        Ok(()) => Some(path),
        Err(error) => {
            tracing::warn!(%error, path, "a task runs without a control group");
            None
        }
    }
}

/// Follows the sitter of an instance from now on, and launches one whenever there is none.
/// `found` tells whether the task is an earlier agent's.
pub fn follow(agent: &Arc<Agent>, id: &InstanceId, found: bool) {
    let follower = {
        let (agent, id) = (agent.clone(), id.clone());
        tokio::spawn(async move { Follower { agent, id, last: None }.run(found).await })
    };
    let follower = AbortOnDropHandle::new(follower);
    agent.table.update(id, |entry| entry.follower = Some(follower));
}

struct Follower {
    agent: Arc<Agent>,
    id: InstanceId,
    last: Option<TaskState>,
}

impl Follower {
    async fn run(mut self, found: bool) {
        let dir = self.agent.disk.task_dir(&self.id);
        let mut heard = if found { Heard::Found } else { Heard::Launched };
        let (mut lost, mut failures) = (Instant::now(), 0u32);
        loop {
            match reach(&self.agent, &dir).await {
                Ok(mut states) => {
                    failures = 0;
                    if let Heard::Relaunched(after) = &mut heard {
                        *after = lost.elapsed();
                    }
                    while let Some(state) = states.next().await {
                        self.saw(state, heard).await;
                        heard = Heard::Told;
                    }
                    lost = Instant::now();
                    self.lost_sitter();
                }
                Err(error) => {
                    let note = format!("its task sitter does not start: {error}");
                    self.agent.table.update(&self.id, |entry| entry.note = note);
                    sleep(time::back_off(failures, time::jitter())).await;
                    failures = failures.saturating_add(1);
                }
            }
            if self.last.is_some() {
                heard = Heard::Relaunched(lost.elapsed());
            }
        }
    }

    fn lost_sitter(&self) {
        if let Some(last) = &self.last {
            let message = format!("task sitter {} died; another takes its place", last.sitter);
            self.agent.tell_of(&self.id, EventKind::SitterDied, message);
        }
    }

    async fn saw(&mut self, state: TaskState, heard: Heard) {
        let output = match state.phase {
            Phase::Failed => {
                let log = self.agent.disk.task_dir(&self.id).join("logs/stderr.log");
                String::from_utf8_lossy(&logs::tail(&log, LAST_LINES).await).trim_end().to_owned()
            }
            _ => String::new(),
        };
        let agent = &self.agent;
        let events = observe::events(self.last.as_ref(), &state, heard);
        let is_new_process = self
            .last
            .as_ref()
            .is_none_or(|last| (last.incarnation, last.pid) != (state.incarnation, state.pid));
        agent.table.update(&self.id, |entry| {
            entry.note = output;
            if state.pid.is_none() || is_new_process {
                entry.checks = None;
                let checks = entry.record.assignment.deployment.job.health_checks.len();
                entry.health = Health::unknown(checks);
            }
            if let (Some(_), true, Some(task)) = (state.pid, is_new_process, &entry.record.task) {
                entry.health = Health::unknown(task.deployment.job.health_checks.len());
                entry.checks = Some(checks::start(agent, task, &state));
            }
            entry.task = Some(state.clone());
        });
        for (kind, message) in events {
            agent.tell_of(&self.id, kind, message);
        }
        self.last = Some(state);
    }
}

/// Ends the task of an instance and its sitter; that there is none is no error.
pub async fn stop(agent: &Arc<Agent>, id: &InstanceId) -> Result<(), TaskError> {
    let dir = agent.disk.task_dir(id);
    // First: it would launch another sitter for the one that ends now.
    let task = agent.table.update(id, |entry| {
        (entry.follower, entry.checks) = (None, None);
        entry.record.task.clone()
    });
    let Some(Some(task)) = task else { return Ok(()) };
    let within = task.deployment.job.task_configuration.stop_grace.duration() + STOPS_WITHIN;
    timeout(within, end(agent, id, &dir)).await.map_err(|_| TaskError::DoesNotEnd(within))??;
    let record = agent.table.update(id, |entry| {
        entry.record.task = None;
        (entry.task, entry.health) = (None, Health::default());
        entry.record.clone()
    });
    if let Some(record) = record {
        agent.disk.save(&record)?;
    }
    Ok(())
}

async fn end(agent: &Agent, id: &InstanceId, dir: &Path) -> io::Result<()> {
    let mut states = reach(agent, dir).await?;
    states.ask(Request::Stop).await?;
    while let Some(state) = states.next().await {
        let rests = matches!(state.phase, Phase::Stopped | Phase::Failed) && state.pid.is_none();
        agent.table.update(id, |entry| entry.task = Some(state));
        if rests {
            states.ask(Request::Exit).await?;
        }
    }
    Ok(())
}

/// Asks the sitter of the task in `dir` for something.
pub async fn ask(dir: &Path, request: Request) -> io::Result<()> {
    let mut states = States::connect(dir).await?;
    states.ask(request).await?;
    // Its first line shows that it has read what was asked.
    states.next().await.map(drop).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Connects to the sitter of the task in `dir`, or to one that is launched for it.
async fn reach(agent: &Agent, dir: &Path) -> io::Result<States> {
    if let Ok(states) = States::connect(dir).await {
        return Ok(states);
    }
    cerebro_tasksitter::launch(&agent.settings.task_sitter(), dir)?;
    let end = Instant::now() + LISTENS_WITHIN;
    loop {
        match States::connect(dir).await {
            Ok(states) => return Ok(states),
            Err(error) if Instant::now() >= end => return Err(error),
            Err(_) => sleep(Duration::from_millis(2)).await,
        }
    }
}

/// What a sitter says, as it comes.
struct States {
    lines: Lines<BufReader<tokio::net::unix::OwnedReadHalf>>,
    requests: tokio::net::unix::OwnedWriteHalf,
}

impl States {
    async fn connect(dir: &Path) -> io::Result<Self> {
        // Kept open until the connection is made: the socket's path goes by way of it.
        let dir = File::open(dir)?;
        let stream = UnixStream::connect(socket_path(dir.as_fd())).await?;
        let (states, requests) = stream.into_split();
        Ok(Self { lines: BufReader::new(states).lines(), requests })
    }

    async fn ask(&mut self, request: Request) -> io::Result<()> {
        let mut line = serde_json::to_vec(&request)?;
        line.push(b'\n');
        self.requests.write_all(&line).await
    }

    /// The next state; none once the sitter is gone.
    async fn next(&mut self) -> Option<TaskState> {
        let line = self.lines.next_line().await.ok()??;
        serde_json::from_str(&line).ok()
    }
}
