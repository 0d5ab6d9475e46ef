//! `cerebro:recipe/task`.

use super::{Effect, State};
use crate::bindings::interfaces::task::{Host, Status, Usage};
use crate::bindings::interfaces::types::{Change, Error};
use crate::call::AgentError;
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

impl State {
    /// The instance's own task is what the component is here for; others must be granted.
    fn may_use_task(&self, name: Option<&str>) -> Result<(), Error> {
        let Some(name) = name else { return Ok(()) };
        self.scope.allowed(|grants| grants.task(name))
    }
}

impl Host for State {
    async fn get(
        &mut self,
        name: Option<String>,
    ) -> wasmtime::Result<Result<Option<Status>, Error>> {
        if let Err(denied) = self.may_use_task(name.as_deref()) {
            return Ok(Err(denied));
        }
        let found = self.scope.call.agent.task(name.as_deref()).await;
        let status = |task: crate::call::TaskStatus| Status {
            phase: task.phase,
            ready: task.ready,
            pid: task.pid,
            incarnation: task.incarnation,
            restarts: task.restarts,
            age: task.age.map(|age| age.as_secs_f64()),
            last_exit: task.last_exit,
        };
        Ok(found.map(|task| task.map(status)).map_err(Error::from))
    }

    async fn measure(
        &mut self,
        name: Option<String>,
    ) -> wasmtime::Result<Result<Option<Usage>, Error>> {
        if let Err(denied) = self.may_use_task(name.as_deref()) {
            return Ok(Err(denied));
        }
        let found = self.scope.call.agent.task_usage(name.as_deref()).await;
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
        Ok(found.map(|task| task.map(usage)).map_err(Error::from))
    }

    async fn output(
        &mut self,
        name: Option<String>,
        stderr: bool,
        lines: u32,
    ) -> wasmtime::Result<Result<Vec<String>, Error>> {
        if let Err(denied) = self.may_use_task(name.as_deref()) {
            return Ok(Err(denied));
        }
        let lines = lines.min(MOST_LINES) as usize;
        let output = self.scope.call.agent.task_output(name.as_deref(), stderr, lines).await;
        Ok(output.map_err(Error::from))
    }

    async fn signal(
        &mut self,
        name: Option<String>,
        signal: String,
    ) -> wasmtime::Result<Result<Resource<Effect>, Error>> {
        if let Err(denied) = self.may_use_task(name.as_deref()) {
            return Ok(Err(denied));
        }
        let Ok(number) = format!("SIG{signal}").parse::<Signal>() else {
            let why = format!("`{signal}` is no signal: expected a name without `SIG`, as `HUP`");
            return Ok(Err(Error::Invalid(why)));
        };
        let sent = self.scope.call.agent.signal_task(name.as_deref(), number as i32).await;
        self.effect(sent.map(|()| Change::Done).map_err(Error::from))
    }

    async fn restart(
        &mut self,
        name: Option<String>,
    ) -> wasmtime::Result<Result<Resource<Effect>, Error>> {
        if let Err(denied) = self.may_use_task(name.as_deref()) {
            return Ok(Err(denied));
        }
        let restarted = self.scope.call.agent.restart_task(name.as_deref()).await;
        self.effect(restarted.map(|()| Change::Done).map_err(Error::from))
    }
}
