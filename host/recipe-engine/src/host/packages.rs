//! `cerebro:recipe/packages`.

use super::effect::Effect;
use super::tools::changed;
use super::{Scope, State};
use crate::bindings::interfaces::packages::{Host, Spec, State as Wanted};
use crate::bindings::interfaces::types::{Change, Error};
use crate::system::package::{self, Found, Manager, Step, step};
use cerebro_model::{Action, Sureness};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};
use wasmtime::component::Resource;

/// Packages that one call may name.
const MOST: usize = 1000;
/// Lines of a simulation that a plan tells.
const MOST_TOLD: usize = 50;
/// Where package managers are told of their sources.
const SOURCES: [&str; 4] = ["/etc/apt/", "/etc/apk/", "/etc/yum.repos.d/", "/etc/dnf/"];

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

    pub(crate) async fn ensure_packages(&self, specs: &[Spec]) -> Result<Option<Change>, Error> {
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
            return Ok(Some(Change::Unchanged));
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
        if open.iter().any(|name| is_unknown(&newest, name)) && !self.is_plan() {
            self.tell(manager.refresh()).await?;
            newest = self.newest(manager, &open).await?;
        }
        // Asked for beforehand, since apt would take `name+` for `name`.
        let unknown: Vec<&str> =
            open.iter().copied().filter(|name| is_unknown(&newest, name)).collect();
        if !unknown.is_empty() && !self.is_plan() {
            return Err(Error::NotFound(format!(
                "the machine's sources have no package `{}`",
                unknown.join("`, `")
            )));
        }
        let steps: Vec<Step> = specs
            .iter()
            .filter_map(|spec| {
                let newest = newest.get(&spec.name).map(String::as_str);
                step(spec, before.get(&spec.name), newest)
            })
            .collect();
        let holds = |spec: &&Spec| {
            let hold = spec.hold.is_some();
            hold && before.get(&spec.name).is_none_or(|found| Some(found.held) != spec.hold)
        };
        let mut told: Vec<String> = steps.iter().map(ToString::to_string).collect();
        told.extend(specs.iter().filter(holds).map(|spec| match spec.hold {
            Some(true) => format!("hold {}", spec.name),
            _ => format!("let go {}", spec.name),
        }));
        if told.is_empty() {
            return Ok(Some(Change::Unchanged));
        }
        let new = steps.iter().filter_map(|step| match step {
            Step::Install(name) | Step::InstallVersion(name, _) => {
                (!before.contains_key(name)).then(|| name.clone())
            }
            Step::Upgrade(_) | Step::Remove(_) => None,
        });
        let action = Action::Packages { steps: told, new: new.collect() };
        if !unknown.is_empty() && self.is_plan() {
            let unknown = unknown.join("`, `");
            let note = format!("the sources as they are know no `{unknown}`: they are read anew");
            self.note(action, Sureness::Bounded, vec![note]);
            return Ok(None);
        }
        if self.is_plan() {
            let notes = self.simulate(manager, &steps).await?;
            self.note(action, Sureness::Bounded, notes);
            return Ok(None);
        }
        let work = async {
            if !steps.is_empty() {
                for run in manager.change(&steps) {
                    self.tell(run).await?;
                }
            }
            self.hold(manager, specs, &names).await?;
            let after = self.packages(manager, &names).await?;
            Ok(what_changed(&before, &after))
        };
        self.effect(action, work).await
    }

    /// In a plan: what the package manager says that the steps would come to.
    async fn simulate(&self, manager: Manager, steps: &[Step]) -> Result<Vec<String>, Error> {
        let changes_sources = |action: &Action| match action {
            Action::Packages { .. } => true,
            Action::Run { contained, .. } => !contained,
            other => other.path().is_some_and(|path| SOURCES.iter().any(|of| path.starts_with(of))),
        };
        let before = self.ledger().plan().and_then(|plan| plan.find(changes_sources));
        let (Some(runs), None) = (manager.simulate(steps), before) else {
            return Ok(match before {
                Some(n) => vec![format!("what that brings along depends on #{}", n + 1)],
                None => vec!["what that brings along only the package manager knows".to_owned()],
            });
        };
        let mut lines = Vec::new();
        if steps.is_empty() {
            return Ok(lines);
        }
        for run in runs {
            let told = self.question(run).await?;
            let text = told.text();
            told.ensure_success()?;
            lines.extend(manager.simulated(&text));
        }
        let rest = lines.len().saturating_sub(MOST_TOLD);
        lines.truncate(MOST_TOLD);
        if rest > 0 {
            lines.push(format!("and {rest} more"));
        }
        Ok(lines)
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

    async fn refresh_packages(&self, age: u32) -> Result<Option<Change>, Error> {
        self.allowed(cerebro_model::Grants::refresh_packages)?;
        let manager = self.package_manager()?;
        let _turn = self.turn().await;
        let lists = Path::new(manager.lists());
        let (before, age) = (fetched(lists), Duration::from_secs(age.into()));
        let is_new = |at: SystemTime| at.elapsed().is_ok_and(|elapsed| elapsed <= age);
        if before.is_some_and(is_new) {
            return Ok(Some(Change::Unchanged));
        }
        let steps = vec!["read the sources anew".to_owned()];
        let work = async {
            self.tell(manager.refresh()).await?;
            Ok(changed(before.as_ref(), fetched(lists).as_ref()))
        };
        self.effect(Action::Packages { steps, new: Vec::new() }, work).await
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
        let (scope, asked) = (self.scope(), name.clone());
        let installed = async {
            let spec = Spec { name, state: Wanted::Present, hold: None };
            package::check(&spec)?;
            let manager = scope.package_manager()?;
            let mut found = scope.packages(manager, &[&spec.name]).await?;
            Ok(found.remove(&spec.name).map(|found| found.version))
        };
        scope.asked("packages.installed", &asked, &asked, installed).await
    }

    async fn ensure(
        &mut self,
        specs: Vec<Spec>,
    ) -> wasmtime::Result<Result<Resource<Effect>, Error>> {
        let scope = self.scope();
        let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        let work = scope.ensure_packages(&specs);
        self.effect("packages.ensure", &names.join(" "), &specs, work).await
    }

    async fn refresh(&mut self, age: u32) -> wasmtime::Result<Result<Resource<Effect>, Error>> {
        let scope = self.scope();
        self.effect("packages.refresh", "", &age, scope.refresh_packages(age)).await
    }
}
