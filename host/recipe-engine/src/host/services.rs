//! `cerebro:recipe/services`.

use super::effect::Effect;
use super::tools::changed;
use super::{Scope, State};
use crate::bindings::interfaces::services::{Host, Spec, Status};
use crate::bindings::interfaces::types::{Change, Error};
use crate::system::service::{self, Manager, Step, steps};
use cerebro_model::{Action, Sureness};
use wasmtime::component::Resource;

impl Scope {
    fn service_manager(&self) -> Result<Manager, Error> {
        let root = self.own_machine("services")?;
        Manager::of(&root).ok_or_else(|| {
            let why = "this machine runs neither systemd nor OpenRC, and has no System V scripts";
            Error::Unsupported(why.to_owned())
        })
    }

    async fn service(&self, manager: Manager, name: &str) -> Result<Option<Status>, Error> {
        let root = self.own_machine("services")?;
        if manager != Manager::Systemd && !root.join("etc/init.d").join(name).exists() {
            return Ok(None);
        }
        let told = self.question(manager.look(name)).await?;
        Ok(manager.status(&root, name, told.code(), &told.text()))
    }

    async fn known(&self, manager: Manager, name: &str) -> Result<Status, Error> {
        let missing = || Error::NotFound(format!("this machine has no service `{name}`"));
        self.service(manager, name).await?.ok_or_else(missing)
    }

    pub(super) fn may_change_service(&self, name: &str) -> Result<Manager, Error> {
        service::check(name)?;
        self.allowed(|grants| grants.service(name))?;
        self.service_manager()
    }

    /// In a plan: whether a service may be there once what comes before was done.
    fn may_come(&self, name: &str, found: Option<&Status>) -> bool {
        let brings = |action: &Action| match action {
            Action::Packages { .. } | Action::Run { .. } => true,
            Action::Write { path, .. } => path.contains(name),
            _ => false,
        };
        found.is_none() && self.ledger().plan().is_some_and(|plan| plan.find(brings).is_some())
    }

    pub(crate) async fn ensure_service(&self, spec: &Spec) -> Result<Option<Change>, Error> {
        let manager = self.may_change_service(&spec.name)?;
        let _turn = self.turn().await;
        let found = self.service(manager, &spec.name).await?;
        if self.may_come(&spec.name, found.as_ref()) {
            let wanted = [(spec.running, "start", "stop"), (spec.enabled, "enable", "disable")];
            let word = |(wanted, yes, no): (Option<bool>, &str, &str)| {
                wanted.map(|wanted| if wanted { yes.to_owned() } else { no.to_owned() })
            };
            let steps = wanted.into_iter().filter_map(word).collect();
            let action = Action::Service { name: spec.name.clone(), steps, was: None };
            let note = "it will be there once what comes before was done";
            self.note(action, Sureness::Bounded, vec![note.to_owned()]);
            return Ok(None);
        }
        let before = self.known(manager, &spec.name).await?;
        let steps = steps(spec, &before);
        if steps.is_empty() {
            return Ok(Some(Change::Unchanged));
        }
        let action = Action::Service {
            name: spec.name.clone(),
            steps: steps.iter().map(|step| step.verb().to_owned()).collect(),
            was: Some((before.running, before.enabled)),
        };
        self.effect(action, self.step_service(manager, spec, &steps, &before)).await
    }

    async fn step_service(
        &self,
        manager: Manager,
        spec: &Spec,
        steps: &[Step],
        before: &Status,
    ) -> Result<Change, Error> {
        for step in steps {
            self.tell(manager.act(*step, &spec.name)).await?;
        }
        let after = self.known(manager, &spec.name).await?;
        if spec.running.is_some_and(|running| running != after.running) {
            return Err(Error::Failed(format!(
                "the service `{}` does not stay as it was told to be: it is `{}`",
                spec.name, after.state
            )));
        }
        let seen = |status: &Status| (status.running, status.enabled);
        Ok(changed(Some(&seen(before)), Some(&seen(&after))))
    }

    /// Restarts or reloads a service.
    pub(super) async fn tell_service(
        &self,
        step: Step,
        name: &str,
    ) -> Result<Option<Change>, Error> {
        let manager = self.may_change_service(name)?;
        let _turn = self.turn().await;
        let found = self.service(manager, name).await?;
        let steps = vec![step.verb().to_owned()];
        if self.may_come(name, found.as_ref()) {
            let action = Action::Service { name: name.to_owned(), steps, was: None };
            let note = "it will be there once what comes before was done";
            self.note(action, Sureness::Bounded, vec![note.to_owned()]);
            return Ok(None);
        }
        let before = self.known(manager, name).await?;
        if step == Step::Reload && !before.running {
            return Ok(Some(Change::Unchanged));
        }
        let action = Action::Service { name: name.to_owned(), steps, was: None };
        let work = async { self.tell(manager.act(step, name)).await.map(|()| Change::Done) };
        self.effect(action, work).await
    }
}

impl Host for State {
    async fn get(&mut self, name: String) -> wasmtime::Result<Result<Option<Status>, Error>> {
        let scope = self.scope();
        let look = async {
            service::check(&name)?;
            let manager = scope.service_manager()?;
            scope.service(manager, &name).await
        };
        scope.asked("services.get", &name, &name, look).await
    }

    async fn ensure(&mut self, spec: Spec) -> wasmtime::Result<Result<Resource<Effect>, Error>> {
        let scope = self.scope();
        self.effect("services.ensure", &spec.name, &spec, scope.ensure_service(&spec)).await
    }

    async fn restart(&mut self, name: String) -> wasmtime::Result<Result<Resource<Effect>, Error>> {
        let scope = self.scope();
        let work = scope.tell_service(Step::Restart, &name);
        self.effect("services.restart", &name, &name, work).await
    }

    async fn reload(&mut self, name: String) -> wasmtime::Result<Result<Resource<Effect>, Error>> {
        let scope = self.scope();
        let work = scope.tell_service(Step::Reload, &name);
        self.effect("services.reload", &name, &name, work).await
    }

    async fn reload_definitions(&mut self) -> wasmtime::Result<Result<Resource<Effect>, Error>> {
        let scope = self.scope();
        let reload = async {
            scope.allowed(cerebro_model::Grants::reload_services)?;
            let Some(argv) = scope.service_manager()?.reload_definitions() else {
                return Ok(Some(Change::Unchanged));
            };
            let steps = vec!["read all definitions anew".to_owned()];
            let action = Action::Service { name: String::new(), steps, was: None };
            scope.effect(action, async { scope.tell(argv).await.map(|()| Change::Done) }).await
        };
        self.effect("services.reload-definitions", "", &(), reload).await
    }
}
