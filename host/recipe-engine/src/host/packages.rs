//! `cerebro:recipe/packages`.

use super::effect::Effect;
use super::tools::changed;
use super::{Scope, State};
use crate::bindings::interfaces::packages::{Host, Spec, State as Wanted};
use crate::bindings::interfaces::types::{Change, Error};
use crate::system::package::{self, Found, Manager, step};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};
use wasmtime::component::Resource;

/// Packages that one call may name.
const MOST: usize = 1000;

impl Scope {
    fn package_manager(&self) -> Result<Manager, Error> {
        let root = self.own_machine("packages")?;
        Manager::of(&root).ok_or_else(|| {
            Error::Unsupported("this machine has none of apt, dnf and apk".to_owned())
        })
    }

    async fn packages(&self, manager: Manager, names: &[&str]) -> Result<Found, Error> {
        // It fails if one of them is not there, and tells of the others all the same.
        let told = self.question(manager.look(names)).await?;
        Ok(manager.found(&told.text(), names))
    }

    async fn newest(
        &self,
        manager: Manager,
        names: &[&str],
    ) -> Result<BTreeMap<String, String>, Error> {
        match names.is_empty() {
            true => Ok(BTreeMap::new()),
            false => {
                let told = self.question(manager.ask_newest(names)).await?;
                Ok(manager.newest(&told.text(), names))
            }
        }
    }

    async fn ensure_packages(&self, specs: &[Spec]) -> Result<Change, Error> {
        for spec in specs {
            package::check(spec)?;
            self.allowed(|grants| grants.install(&spec.name))?;
        }
        let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        let named: std::collections::BTreeSet<&str> = names.iter().copied().collect();
        if named.len() < names.len() || names.len() > MOST {
            let why = format!("expected at most {MOST} packages, each of them once");
            return Err(Error::Invalid(why));
        }
        let manager = self.package_manager()?;
        if names.is_empty() {
            return Ok(Change::Unchanged);
        }
        let _turn = self.turn().await;
        let before = self.packages(manager, &names).await?;
        let open = |spec: &&Spec| match spec.state {
            Wanted::Absent => false,
            Wanted::Latest => true,
            _ => step(spec, before.get(&spec.name), None).is_some(),
        };
        let open: Vec<&str> = specs.iter().filter(open).map(|spec| spec.name.as_str()).collect();
        let mut newest = self.newest(manager, &open).await?;
        let is_unknown = |newest: &BTreeMap<_, _>, name: &str| {
            !newest.contains_key(name) && !before.contains_key(name)
        };
        if open.iter().any(|name| is_unknown(&newest, name)) {
            self.tell(manager.refresh()).await?;
            newest = self.newest(manager, &open).await?;
        }
        // Asked for beforehand, since apt would take `name+` for `name`.
        let unknown: Vec<&str> =
            open.iter().copied().filter(|name| is_unknown(&newest, name)).collect();
        if !unknown.is_empty() {
            return Err(Error::NotFound(format!(
                "the machine's sources have no package `{}`",
                unknown.join("`, `")
            )));
        }
        let steps: Vec<_> = specs
            .iter()
            .filter_map(|spec| {
                let newest = newest.get(&spec.name).map(String::as_str);
                step(spec, before.get(&spec.name), newest)
            })
            .collect();
        if !steps.is_empty() {
            for run in manager.change(&steps) {
                self.tell(run).await?;
            }
        }
        self.hold(manager, specs, &names).await?;
        let after = self.packages(manager, &names).await?;
        Ok(what_changed(&before, &after))
    }

    async fn hold(&self, manager: Manager, specs: &[Spec], names: &[&str]) -> Result<(), Error> {
        if specs.iter().all(|spec| spec.hold.is_none()) {
            return Ok(());
        }
        let found = self.packages(manager, names).await?;
        for hold in [true, false] {
            let differs = |spec: &&Spec| {
                spec.hold == Some(hold)
                    && found.get(&spec.name).is_some_and(|found| found.held != hold)
            };
            let names: Vec<&str> =
                specs.iter().filter(differs).map(|spec| spec.name.as_str()).collect();
            if !names.is_empty() {
                self.tell(manager.hold(hold, &names)?).await?;
            }
        }
        Ok(())
    }

    async fn refresh_packages(&self, age: u32) -> Result<Change, Error> {
        self.allowed(cerebro_model::Grants::refresh_packages)?;
        let manager = self.package_manager()?;
        let _turn = self.turn().await;
        let lists = Path::new(manager.lists());
        let (before, age) = (fetched(lists), Duration::from_secs(age.into()));
        let is_new = |at: SystemTime| at.elapsed().is_ok_and(|elapsed| elapsed <= age);
        if before.is_some_and(is_new) {
            return Ok(Change::Unchanged);
        }
        self.tell(manager.refresh()).await?;
        Ok(changed(before.as_ref(), fetched(lists).as_ref()))
    }
}

/// All packages together, as one thing that was created if nothing of it was there.
fn what_changed(before: &Found, after: &Found) -> Change {
    let some = |found: &Found| (!found.is_empty()).then(|| found.clone());
    changed(some(before).as_ref(), some(after).as_ref())
}

/// When lists were fetched last: the youngest of their files.
fn fetched(lists: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(lists).ok()?.flatten();
    entries.filter_map(|entry| entry.metadata().ok()?.modified().ok()).max()
}

impl Host for State {
    async fn installed(&mut self, name: String) -> wasmtime::Result<Result<Option<String>, Error>> {
        let scope = self.scope();
        let installed = async {
            let spec = Spec { name, state: Wanted::Present, hold: None };
            package::check(&spec)?;
            let manager = scope.package_manager()?;
            let mut found = scope.packages(manager, &[&spec.name]).await?;
            Ok(found.remove(&spec.name).map(|found| found.version))
        };
        Ok(installed.await)
    }

    async fn ensure(
        &mut self,
        specs: Vec<Spec>,
    ) -> wasmtime::Result<Result<Resource<Effect>, Error>> {
        let scope = self.scope();
        let done = scope.ensure_packages(&specs).await;
        self.effect(done)
    }

    async fn refresh(&mut self, age: u32) -> wasmtime::Result<Result<Resource<Effect>, Error>> {
        let scope = self.scope();
        let done = scope.refresh_packages(age).await;
        self.effect(done)
    }
}
