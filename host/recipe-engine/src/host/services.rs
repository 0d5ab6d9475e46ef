//! `cerebro:recipe/services`.

use super::effect::Effect;
use super::tools::changed;
use super::{Scope, State};
use crate::bindings::interfaces::services::{Host, Spec, Status};
use crate::bindings::interfaces::types::{Change, Error};
use crate::system::service::{self, Manager, Step, steps};
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

    async fn ensure_service(&self, spec: &Spec) -> Result<Change, Error> {
        let manager = self.may_change_service(&spec.name)?;
        let _turn = self.turn().await;
        let before = self.known(manager, &spec.name).await?;
        let steps = steps(spec, &before);
        if steps.is_empty() {
            return Ok(Change::Unchanged);
        }
        for step in steps {
            self.tell(manager.act(step, &spec.name)).await?;
        }
        let after = self.known(manager, &spec.name).await?;
        if spec.running.is_some_and(|running| running != after.running) {
            return Err(Error::Failed(format!(
                "the service `{}` does not stay as it was told to be: it is `{}`",
                spec.name, after.state
            )));
        }
        let seen = |status: &Status| (status.running, status.enabled);
        Ok(changed(Some(&seen(&before)), Some(&seen(&after))))
    }

    /// Restarts or reloads a service.
    pub(super) async fn tell_service(&self, step: Step, name: &str) -> Result<Change, Error> {
        let manager = self.may_change_service(name)?;
        let _turn = self.turn().await;
        let before = self.known(manager, name).await?;
        if step == Step::Reload && !before.running {
            return Ok(Change::Unchanged);
        }
        self.tell(manager.act(step, name)).await?;
        Ok(Change::Done)
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
        Ok(look.await)
    }

    async fn ensure(&mut self, spec: Spec) -> wasmtime::Result<Result<Resource<Effect>, Error>> {
        let scope = self.scope();
        let done = scope.ensure_service(&spec).await;
        self.effect(done)
    }

    async fn restart(&mut self, name: String) -> wasmtime::Result<Result<Resource<Effect>, Error>> {
        let scope = self.scope();
        let done = scope.tell_service(Step::Restart, &name).await;
        self.effect(done)
    }

    async fn reload(&mut self, name: String) -> wasmtime::Result<Result<Resource<Effect>, Error>> {
        let scope = self.scope();
        let done = scope.tell_service(Step::Reload, &name).await;
        self.effect(done)
    }

    async fn reload_definitions(&mut self) -> wasmtime::Result<Result<Resource<Effect>, Error>> {
        let scope = self.scope();
        let reload = async {
            scope.allowed(cerebro_model::Grants::reload_services)?;
            match scope.service_manager()?.reload_definitions() {
                None => Ok(Change::Unchanged),
                Some(argv) => scope.tell(argv).await.map(|()| Change::Done),
            }
        };
        let done = reload.await;
        self.effect(done)
    }
}
