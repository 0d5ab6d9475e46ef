//! What the agent does for a component that runs: artifacts, tasks, secrets.

use crate::agent::Agent;
use crate::blobs::FetchError;
use crate::disk::chain;
use crate::logs::Reader;
use crate::{own, sitters, time};
use async_trait::async_trait;
use cerebro_model::{Digest, InstanceId};
use cerebro_recipe_engine::{Agent as ForComponents, AgentError, TaskStatus, TaskUsage};
use cerebro_tasksitter::protocol::{Phase, Request, TaskState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The agent, as components for one instance see it.
pub struct ForComponent {
    agent: Arc<Agent>,
    instance: InstanceId,
}

/// A task of this machine.
struct Task {
    name: String,
    dir: PathBuf,
    is_own: bool,
    state: Option<TaskState>,
}

impl ForComponent {
    pub fn new(agent: Arc<Agent>, instance: InstanceId) -> Self {
        Self { agent, instance }
    }

    /// The instance's own task, or the one of that name.
    fn find(&self, name: Option<&str>) -> Result<Task, AgentError> {
        let own = name.filter(|name| self.agent.own.has(name));
        if let Some(name) = own {
            let (dir, state) = (self.agent.own.dir(name), self.agent.own.state(name));
            return Ok(Task { name: name.to_owned(), dir, is_own: true, state });
        }
        let unknown = || AgentError::NotFound(format!("this machine has no task `{name:?}`"));
        let id = match name {
            None => self.instance.clone(),
            Some(name) => name.parse::<InstanceId>().map_err(|_| unknown())?,
        };
        let state = self.agent.table.read(&id, |entry| entry.task.clone());
        // Before it is started for the first time nothing is known of it, and that is no error.
        let state = state.or(name.is_none().then_some(None)).ok_or_else(unknown)?;
        let dir = self.agent.disk.task_dir(&id);
        Ok(Task { name: id.to_string(), dir, is_own: false, state })
    }

    async fn ask(&self, name: Option<&str>, request: Request) -> Result<(), AgentError> {
        let task = self.find(name)?;
        let asked = sitters::ask(&task.dir, request).await;
        asked.map_err(|error| {
            AgentError::Failed(format!(
                "`{}` does not run: its task sitter does not answer: {error}",
                task.name
            ))
        })
    }
}

#[async_trait]
impl ForComponents for ForComponent {
    async fn artifact(&self, digest: Digest) -> Result<PathBuf, AgentError> {
        self.agent.blobs.file(digest).await.map_err(|error| match error {
            FetchError::NotFound(_) => AgentError::NotFound(format!("{error}; upload it first")),
            other => AgentError::Failed(chain(&other)),
        })
    }

    fn artifacts(&self) -> &Path {
        self.agent.blobs.directory()
    }

    async fn task(&self, name: Option<&str>) -> Result<Option<TaskStatus>, AgentError> {
        Ok(self.find(name)?.state.as_ref().map(status))
    }

    async fn task_usage(&self, name: Option<&str>) -> Result<Option<TaskUsage>, AgentError> {
        let task = self.find(name)?;
        if task.state.as_ref().is_none_or(|state| state.pid.is_none()) {
            return Ok(None);
        }
        let stats = sitters::stats(&task.dir, false).await.map_err(|error| {
            AgentError::Failed(format!("the task sitter of `{}`: {error}", task.name))
        })?;
        let limit = crate::disk::read::<cerebro_tasksitter::protocol::TaskSpec>(
            &task.dir.join("spec.json"),
        );
        Ok(Some(TaskUsage {
            cpu_seconds: stats.cpu_seconds,
            cpu_cores: stats.cpu_cores,
            resident: stats.rss,
            memory: stats.memory_working,
            memory_limit: limit.ok().flatten().and_then(|spec| spec.limits.memory),
            processes: stats.processes,
            threads: stats.threads,
            descriptors: stats.descriptors,
        }))
    }

    async fn task_output(
        &self,
        name: Option<&str>,
        stderr: bool,
        lines: usize,
    ) -> Result<Vec<String>, AgentError> {
        let file = if stderr { "logs/stderr.log" } else { "logs/stdout.log" };
        let mut reader = Reader::from_tail(self.find(name)?.dir.join(file), lines).await;
        let mut text = Vec::new();
        while let Some(piece) = reader.next(false).await {
            text.extend(piece);
        }
        Ok(String::from_utf8_lossy(&text).lines().map(str::to_owned).collect())
    }

    async fn signal_task(&self, name: Option<&str>, signal: i32) -> Result<(), AgentError> {
        self.ask(name, Request::Signal(signal)).await
    }

    async fn restart_task(&self, name: Option<&str>) -> Result<(), AgentError> {
        let task = self.find(name)?;
        match task.is_own {
            true => own::restart(&self.agent, &task.name)
                .await
                .map_err(|error| AgentError::Failed(chain(&error))),
            false => self.ask(name, Request::Restart).await,
        }
    }

    async fn secret(&self, name: &str) -> Result<Vec<u8>, AgentError> {
        let Some(link) = &self.agent.link else {
            let why = "an agent without a controller has no secrets";
            return Err(AgentError::Unsupported(why.to_owned()));
        };
        let (client, token) = (&link.client, &link.token);
        let machine = &self.agent.settings.machine;
        client.secret_for(machine, token, &self.instance, name).await.map_err(|error| {
            match error.status() {
                Some(404) => AgentError::NotFound(format!(
                    "the cluster has no secret `{name}`: `cerebro secret set {name}` keeps one"
                )),
                _ => AgentError::Failed(format!("ask the controller for `{name}`: {error}")),
            }
        })
    }
}

fn status(state: &TaskState) -> TaskStatus {
    let phase = match state.phase {
        Phase::Running => "running",
        Phase::BackingOff => "backing-off",
        Phase::Stopping => "stopping",
        Phase::Stopped => "stopped",
        Phase::Failed => "failed",
    };
    let born = state.started_after_boot.filter(|_| state.pid.is_some());
    TaskStatus {
        phase: phase.to_owned(),
        ready: state.ready,
        pid: state.pid.map(i32::cast_unsigned),
        incarnation: state.incarnation,
        restarts: state.restarts,
        age: born.map(|born| time::since_boot().saturating_sub(Duration::from_micros(born))),
        last_exit: state.last_exit.as_ref().map(ToString::to_string),
    }
}
