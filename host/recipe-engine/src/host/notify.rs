//! `cerebro:recipe/notify`: what is done once, at the end.

use super::{Scope, State, command};
use crate::bindings::interfaces::notify::{Action as Wanted, Host};
use crate::bindings::interfaces::types::Error;
use crate::logbook::LogLevel;
use crate::system::service::Step;
use cerebro_model::Action as Effect;
use cerebro_model::Later as Action;
use std::sync::PoisonError;

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

    /// What comes after the component has come to its end.
    pub(crate) async fn at_the_end(&self) -> wasmtime::Result<Result<(), Error>> {
        self.asked("at-end", "", &(), self.do_pending()).await
    }

    /// Does what is to be done, in its order, and forgets what was done. The first failure ends it:
    /// the rest may rest on that.
    pub(crate) async fn do_pending(&self) -> Result<(), Error> {
        self.ledger().at_end();
        if self.is_plan() {
            return self.plan_pending().await;
        }
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

    async fn plan_pending(&self) -> Result<(), Error> {
        let mut pending = self.with_memory(|memory| memory.pending()).await?;
        for action in self.planned_at_end() {
            if !pending.contains(&action) {
                pending.push(action);
            }
        }
        for action in pending {
            self.may_do(&action)?;
            self.perform(&action).await?;
        }
        Ok(())
    }

    fn planned_at_end(&self) -> Vec<Action> {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner).at_end.clone()
    }

    pub(crate) async fn perform(&self, action: &Action) -> Result<(), Error> {
        if !self.is_plan() {
            self.log.write(LogLevel::Info, &format!("at the end: {action}"));
        }
        match action {
            Action::RestartTask(name) => self.restart_task(Some(name)).await.map(drop),
            Action::RestartService(name) => self.tell_service(Step::Restart, name).await.map(drop),
            Action::ReloadService(name) => self.tell_service(Step::Reload, name).await.map(drop),
            Action::Run(argv) => {
                self.run_command(command::plain(argv.clone())).await?.ensure_success().map(drop)
            }
        }
    }

    /// Has this be done at the end.
    async fn at_end(&self, wanted: Wanted) -> Result<(), Error> {
        let action = self.action(wanted)?;
        let mut known = self.with_memory(|memory| memory.pending()).await?;
        known.extend(self.planned_at_end());
        if known.contains(&action) {
            return Ok(());
        }
        let kept = action.clone();
        // Kept before the call goes on: it may not come back.
        let work = self.with_memory(move |memory| memory.at_end(kept));
        if self.effect(Effect::AtEnd { action: action.clone() }, work).await?.is_none() {
            let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
            planned.at_end.push(action);
        }
        Ok(())
    }
}

impl Host for State {
    async fn at_end(&mut self, action: Wanted) -> wasmtime::Result<Result<(), Error>> {
        let (scope, asked) = (self.scope(), action.clone());
        let about = match &asked {
            Wanted::RestartService(name) => format!("restart the service {name}"),
            Wanted::ReloadService(name) => format!("reload the service {name}"),
            Wanted::RestartTask(name) => format!("restart the task {name}"),
            Wanted::Run(argv) => format!("run {}", argv.join(" ")),
            Wanted::Other(other) => other.clone(),
        };
        scope.asked("notify.at-end", about, &asked, scope.at_end(action)).await
    }
}
