//! The tasks of instances: started, followed, stopped.

use crate::agent::Agent;
use crate::checks::{self, Health};
use crate::disk::{DiskError, chain};
use crate::follow::{self, Owner};
use crate::spec::{self, NoPort, Place};
use crate::{disk, logs};
use cerebro_model::{Assignment, EventKind, InstanceId};
use cerebro_tasksitter::protocol::{Phase, TaskSpec, TaskState};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// What a task that is stopped may take beyond its grace.
pub const STOPS_WITHIN: Duration = Duration::from_secs(15);
/// Lines of a task that failed which its status holds.
pub const LAST_LINES: usize = 5;

/// Why a task could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// Its files cannot be written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// It refers to a port that it does not have.
    #[error(transparent)]
    NoPort(#[from] NoPort),
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
    let spec = spec_of(agent, &record.assignment)?;
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
        (entry.task, entry.hold) = (None, None);
        entry.note.clear();
        entry.last_lines.clear();
    });
    follow(agent, id, false);
    Ok(())
}

fn spec_of(agent: &Agent, assignment: &Assignment) -> Result<TaskSpec, NoPort> {
    let instance = &assignment.instance;
    let place = Place {
        name: instance.id.to_string(),
        environment: spec::environment(&agent.settings, assignment),
        ports: &instance.ports,
        cgroup: agent.cgroup_path(&format!("task-{}", instance.id)),
    };
    let as_root = nix::unistd::geteuid().is_root();
    spec::of(&agent.settings, &assignment.deployment.job.task_configuration, place, as_root)
}

/// Follows the sitter of an instance from now on, and launches one whenever there is none.
/// `found` tells whether the task is an earlier agent's.
pub fn follow(agent: &Arc<Agent>, id: &InstanceId, found: bool) {
    let owner = OfInstance { agent: agent.clone(), id: id.clone() };
    let follower = follow::follow(agent.sitters.clone(), owner, found);
    agent.table.update(id, |entry| entry.follower = Some(follower));
}

/// Has a task go on that an earlier boot of the machine left.
pub fn resume(agent: &Arc<Agent>, id: &InstanceId) {
    let record = agent.table.update(id, |entry| {
        entry.hold = None;
        entry.record.boot.clone_from(&agent.boot);
        entry.record.clone()
    });
    // Without this, it would wait for the controller's word again after a crash of ours.
    if let Some(Err(error)) = record.map(|record| agent.disk.save(&record)) {
        tracing::error!(%id, error = chain(&error), "an instance cannot be kept");
    }
    follow(agent, id, true);
}

/// The task of an instance.
struct OfInstance {
    agent: Arc<Agent>,
    id: InstanceId,
}

impl Owner for OfInstance {
    fn dir(&self) -> PathBuf {
        self.agent.disk.task_dir(&self.id)
    }

    async fn saw(&self, before: Option<&TaskState>, state: &TaskState) {
        let has_ended = matches!(state.phase, Phase::BackingOff | Phase::Failed | Phase::Stopped)
            || state.restarts > before.map_or(0, |last| last.restarts);
        let lines = match has_ended {
            true => Some(logs::last_words(&self.dir(), LAST_LINES).await),
            false => None,
        };
        let output = lines.clone().filter(|_| state.phase == Phase::Failed).unwrap_or_default();
        let is_new = before
            .is_none_or(|last| (last.incarnation, last.pid) != (state.incarnation, state.pid));
        self.agent.table.update(&self.id, |entry| {
            entry.note = output;
            if let Some(lines) = lines {
                entry.last_lines = lines;
            }
            let Some(task) = entry.record.task.clone() else { return };
            let checks = task.deployment.job.health_checks.len();
            if state.pid.is_none() || is_new {
                (entry.checks, entry.health) = (None, Health::unknown(checks));
            }
            // Before it is ready, its checks would say nothing but that.
            if state.pid.is_some() && state.ready && entry.checks.is_none() {
                entry.checks = Some(checks::start(&self.agent, &task, state));
            }
            entry.task = Some(state.clone());
        });
    }

    fn tell(&self, kind: EventKind, message: String) {
        self.agent.tell_of(&self.id, kind, message);
    }

    fn unreachable(&self, error: &io::Error) {
        let note = format!("its task sitter does not start: {}", chain(error));
        self.agent.table.update(&self.id, |entry| entry.note = note);
    }
}

/// Keeps the last lines that the task of an instance wrote till now, for its status.
pub async fn keep_last_lines(agent: &Agent, id: &InstanceId) {
    let lines = logs::last_words(&agent.disk.task_dir(id), LAST_LINES).await;
    let are_news = agent.table.read(id, |entry| entry.last_lines != lines) == Some(true);
    if are_news {
        agent.table.update(id, |entry| entry.last_lines = lines);
    }
}

/// Ends the task of an instance and its sitter; that there is none is no error.
pub async fn stop(agent: &Arc<Agent>, id: &InstanceId) -> Result<(), TaskError> {
    let dir = agent.disk.task_dir(id);
    // First: it would launch another sitter for the one that ends now.
    let task = agent.table.update(id, |entry| {
        (entry.follower, entry.checks) = (None, None);
        (entry.record.task.clone(), entry.hold.take())
    });
    let Some((Some(task), hold)) = task else { return Ok(()) };
    // What an earlier boot left has ended with it.
    if hold.is_none() {
        let within = task.deployment.job.task_configuration.stop_grace.duration() + STOPS_WITHIN;
        let end = agent.sitters.end(&dir, |state| {
            agent.table.update(id, |entry| entry.task = Some(state));
        });
        timeout(within, end).await.map_err(|_| TaskError::DoesNotEnd(within))??;
    }
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
