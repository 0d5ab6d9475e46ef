//! `cerebro:recipe/notify`: what is done once, at the end.

use super::{Scope, State, command};
use crate::bindings::interfaces::notify::{Action as Wanted, Host};
use crate::bindings::interfaces::types::Error;
use crate::logbook::LogLevel;
use crate::memory::Action;
use crate::system::service::Step;

/// What is named where it is not granted.
const IMPORT: &str = "cerebro:recipe/notify";

impl Scope {
    fn action(&self, wanted: Wanted) -> Result<Action, Error> {
        let action = match wanted {
            Wanted::RestartService(name) => Action::RestartService(name),
            Wanted::ReloadService(name) => Action::ReloadService(name),
            Wanted::RestartTask(name) => Action::RestartTask(name),
            Wanted::Run(argv) => Action::Run(argv),
            Wanted::Other(other) => {
                return Err(Error::Unsupported(format!("this Cerebro cannot do `{other}` later")));
            }
        };
        self.may_do(&action)?;
        Ok(action)
    }

    fn may_do(&self, action: &Action) -> Result<(), Error> {
        match action {
            Action::RestartTask(name) => {
                self.allowed(|grants| grants.task(name).map_err(|d| d.at(IMPORT)))
            }
            Action::Run(argv) => self.may_run(argv, None),
            Action::RestartService(name) | Action::ReloadService(name) => {
                self.may_change_service(name).map(drop)
            }
        }
    }

    /// Does what is to be done, in its order, and forgets what was done. The first failure ends it:
    /// the rest may rest on that.
    pub(crate) async fn do_pending(&self) -> Result<(), Error> {
        loop {
            let mut pending = self.with_memory(|memory| memory.pending()).await?;
            let Some(action) = pending.first().cloned() else { return Ok(()) };
            // The grants may be others than when it was asked for.
            self.may_do(&action)?;
            self.perform(&action).await?;
            pending.remove(0);
            self.with_memory(move |memory| memory.keep_pending(&pending)).await?;
        }
    }

    async fn perform(&self, action: &Action) -> Result<(), Error> {
        let say = |what: String| self.log.write(LogLevel::Info, &format!("at the end: {what}"));
        match action {
            Action::RestartTask(name) => {
                say(format!("restart the task `{name}`"));
                self.call.agent.restart_task(Some(name)).await.map_err(Error::from)
            }
            Action::RestartService(name) => {
                say(format!("restart the service `{name}`"));
                self.tell_service(Step::Restart, name).await.map(drop)
            }
            Action::ReloadService(name) => {
                say(format!("reload the service `{name}`"));
                self.tell_service(Step::Reload, name).await.map(drop)
            }
            Action::Run(argv) => {
                say(format!("run `{}`", argv.join(" ")));
                let outcome = self.execute(&command::plain(argv.clone())).await?;
                outcome.ensure_success().map(drop)
            }
        }
    }
}

impl Host for State {
    async fn at_end(&mut self, action: Wanted) -> wasmtime::Result<Result<(), Error>> {
        let action = match self.scope.action(action) {
            Ok(action) => action,
            Err(error) => return Ok(Err(error)),
        };
        // Kept before the call goes on: it may not come back.
        Ok(self.scope.with_memory(move |memory| memory.at_end(action)).await)
    }
}
