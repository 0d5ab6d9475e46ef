//! `cerebro:recipe/task`.

use super::{Effect, Scope, State};
use crate::bindings::interfaces::task::{Host, Status, Usage};
use crate::bindings::interfaces::types::{Change, Error};
use crate::call::AgentError;
use cerebro_model::Action;
use nix::sys::signal::Signal;
use wasmtime::component::Resource;

/// Lines of output that are given at once.
const MOST_LINES: u32 = 10_000;

impl From<AgentError> for Error {
    fn from(error: AgentError) -> Self {
        match error {
            AgentError::NotFound(why) => Self::NotFound(why),
            AgentError::Unsupported(why) => Self::Unsupported(why),
            AgentError::Failed(why) => Self::Failed(why),
        }
    }
}

impl Scope {
    /// The instance's own task is what the component is here for; others must be granted.
    fn may_use_task(&self, name: Option<&str>) -> Result<(), Error> {
        let Some(name) = name else { return Ok(()) };
        self.allowed(|grants| grants.task(name))
    }

    /// Ends a task and starts it again.
    pub(super) async fn restart_task(&self, name: Option<&str>) -> Result<Option<Change>, Error> {
        self.may_use_task(name)?;
        let (named, step) = (name.map(str::to_owned), "restart".to_owned());
        let work = async {
            self.call.agent.restart_task(name).await.map(|()| Change::Done).map_err(Error::from)
        };
        self.effect(Action::Task { name: named, step }, work).await
    }

    async fn signal_task(&self, name: Option<&str>, signal: &str) -> Result<Option<Change>, Error> {
        self.may_use_task(name)?;
        let Ok(number) = format!("SIG{signal}").parse::<Signal>() else {
            let why = format!("`{signal}` is no signal: expected a name without `SIG`, as `HUP`");
            return Err(Error::Invalid(why));
        };
        let (named, step) = (name.map(str::to_owned), format!("signal {signal}"));
        let work = async {
            let sent = self.call.agent.signal_task(name, number as i32).await;
            sent.map(|()| Change::Done).map_err(Error::from)
        };
        self.effect(Action::Task { name: named, step }, work).await
    }
}

impl Host for State {
    async fn get(
        &mut self,
        name: Option<String>,
    ) -> wasmtime::Result<Result<Option<Status>, Error>> {
        let scope = self.scope();
        let status = |task: crate::call::TaskStatus| Status {
            phase: task.phase,
            ready: task.ready,
            pid: task.pid,
            incarnation: task.incarnation,
            restarts: task.restarts,
            age: task.age.map(|age| age.as_secs_f64()),
            last_exit: task.last_exit,
        };
        let work = async {
            scope.may_use_task(name.as_deref())?;
            Ok(scope.call.agent.task(name.as_deref()).await?.map(status))
        };
        scope.asked("task.get", name.as_deref().unwrap_or_default(), &name, work).await
    }

    async fn measure(
        &mut self,
        name: Option<String>,
    ) -> wasmtime::Result<Result<Option<Usage>, Error>> {
        let scope = self.scope();
        let usage = |task: crate::call::TaskUsage| Usage {
            cpu_seconds: task.cpu_seconds,
            cpu_cores: task.cpu_cores,
            resident: task.resident,
            memory: task.memory,
            memory_limit: task.memory_limit,
            processes: task.processes,
            threads: task.threads,
            descriptors: task.descriptors,
        };
        let work = async {
            scope.may_use_task(name.as_deref())?;
            Ok(scope.call.agent.task_usage(name.as_deref()).await?.map(usage))
        };
        scope.asked("task.measure", name.as_deref().unwrap_or_default(), &name, work).await
    }

    async fn output(
        &mut self,
        name: Option<String>,
        stderr: bool,
        lines: u32,
    ) -> wasmtime::Result<Result<Vec<String>, Error>> {
        let scope = self.scope();
        let asked = (&name, stderr, lines);
        let work = async {
            scope.may_use_task(name.as_deref())?;
            let lines = lines.min(MOST_LINES) as usize;
            Ok(scope.call.agent.task_output(name.as_deref(), stderr, lines).await?)
        };
        scope.asked("task.output", name.as_deref().unwrap_or_default(), &asked, work).await
    }

    async fn signal(
        &mut self,
        name: Option<String>,
        signal: String,
    ) -> wasmtime::Result<Result<Resource<Effect>, Error>> {
        let scope = self.scope();
        let work = scope.signal_task(name.as_deref(), &signal);
        self.effect("task.signal", &signal, &(&name, &signal), work).await
    }

    async fn restart(
        &mut self,
        name: Option<String>,
    ) -> wasmtime::Result<Result<Resource<Effect>, Error>> {
        let scope = self.scope();
        let about = name.clone().unwrap_or_default();
        let work = scope.restart_task(name.as_deref());
        self.effect("task.restart", &about, &name, work).await
    }
}
