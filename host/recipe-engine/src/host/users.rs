//! `cerebro:recipe/users`.

use super::effect::Effect;
use super::tools::changed;
use super::{Scope, State, accounts};
use crate::bindings::interfaces::types::{Change, Error};
use crate::bindings::interfaces::users::{Host, Spec, User};
use crate::system::user;
use cerebro_model::Action;
use nix::unistd::{Gid, Group, getgrouplist};
use std::ffi::CString;
use std::path::Path;
use wasmtime::component::Resource;

impl Scope {
    /// Whether the machine has the tools that change its users.
    fn user_tools(&self) -> Result<(), Error> {
        self.own_machine("users")?;
        match Path::new(user::TOOLS).join("useradd").exists() {
            true => Ok(()),
            false => Err(Error::Unsupported(format!(
                "this machine has no `{}/useradd`: install what brings it, such as `shadow`",
                user::TOOLS
            ))),
        }
    }

    fn may_change_user(&self, spec: &Spec) -> Result<(), Error> {
        user::check(spec)?;
        self.allowed(|grants| grants.user(&spec.name))?;
        if spec.uid == Some(0) {
            self.allowed(|grants| grants.user("root"))?;
        }
        for group in spec.groups.iter().flatten().chain(&spec.group) {
            let name = group_name(group)?;
            self.allowed(|grants| grants.group(&name))?;
        }
        self.user_tools()
    }

    async fn ensure_user(&self, spec: &Spec) -> Result<Option<Change>, Error> {
        self.may_change_user(spec)?;
        let _turn = self.turn().await;
        let before = find(&spec.name)?;
        let first = match spec.group.as_deref().map(accounts::group).transpose() {
            // One that the plan makes has no number yet.
            Err(Error::NotFound(_)) if self.makes_accounts() => None,
            first => first?,
        };
        let Some(argv) = user::ensure(spec, before.as_ref(), first) else {
            return Ok(Some(Change::Unchanged));
        };
        let action = account(&spec.name, false, before.is_none());
        let work = async {
            self.tell(argv).await?;
            let seen = |user: &User| format!("{user:?}");
            let after = find(&spec.name)?;
            Ok(changed(before.as_ref().map(seen).as_ref(), after.as_ref().map(seen).as_ref()))
        };
        self.effect(action, work).await
    }

    fn makes_accounts(&self) -> bool {
        let makes = |action: &Action| matches!(action, Action::Account { .. });
        self.ledger().plan().is_some_and(|plan| plan.find(makes).is_some())
    }

    async fn ensure_group(
        &self,
        name: &str,
        gid: Option<u32>,
        system: bool,
    ) -> Result<Option<Change>, Error> {
        user::check_name(name)?;
        self.allowed(|grants| grants.group(name))?;
        if gid == Some(0) {
            self.allowed(|grants| grants.group("root"))?;
        }
        self.user_tools()?;
        let _turn = self.turn().await;
        let before = find_group(name)?;
        let Some(argv) = user::ensure_group(name, gid, system, before) else {
            return Ok(Some(Change::Unchanged));
        };
        let work = async {
            self.tell(argv).await?;
            Ok(changed(before.as_ref(), find_group(name)?.as_ref()))
        };
        self.effect(account(name, true, before.is_none()), work).await
    }

    /// Has a user or a group not be there.
    pub(crate) async fn remove_account(
        &self,
        name: &str,
        group: bool,
    ) -> Result<Option<Change>, Error> {
        self.user_tools()?;
        let _turn = self.turn().await;
        let (is_there, argv) = match group {
            true => (find_group(name)?.is_some(), user::remove_group(name)),
            false => (find(name)?.is_some(), user::remove(name)),
        };
        if !is_there {
            return Ok(Some(Change::Unchanged));
        }
        let (name, step) = (name.to_owned(), "remove".to_owned());
        let action = Action::Account { name, group, step, new: false };
        let work = async { self.tell(argv).await.map(|()| Change::Removed) };
        self.effect(action, work).await
    }
}

fn account(name: &str, group: bool, new: bool) -> Action {
    let step = if new { "create" } else { "change" }.to_owned();
    Action::Account { name: name.to_owned(), group, step, new }
}

fn failed(what: &str, name: &str, error: nix::errno::Errno) -> Error {
    Error::Failed(format!("look up the {what} `{name}`: {error}"))
}

/// A user, as the machine knows it.
fn find(name: &str) -> Result<Option<User>, Error> {
    let failed = |error| failed("user", name, error);
    let Some(found) = nix::unistd::User::from_name(name).map_err(failed)? else { return Ok(None) };
    let c_name = CString::new(name).map_err(|_| failed(nix::errno::Errno::EINVAL))?;
    let mut groups: Vec<String> = getgrouplist(&c_name, found.gid)
        .map_err(failed)?
        .into_iter()
        .map(|gid: Gid| match Group::from_gid(gid) {
            Ok(Some(group)) => group.name,
            _ => gid.to_string(),
        })
        .collect();
    groups.sort();
    groups.dedup();
    Ok(Some(User {
        name: found.name,
        uid: found.uid.as_raw(),
        gid: found.gid.as_raw(),
        home: found.dir.to_string_lossy().into_owned(),
        shell: found.shell.to_string_lossy().into_owned(),
        groups,
    }))
}

fn find_group(name: &str) -> Result<Option<u32>, Error> {
    let found = Group::from_name(name).map_err(|error| failed("group", name, error))?;
    Ok(found.map(|group| group.gid.as_raw()))
}

/// The name of a group that is given by name or number: grants are by name.
fn group_name(text: &str) -> Result<String, Error> {
    let Ok(number) = text.parse::<u32>() else { return Ok(text.to_owned()) };
    let found =
        Group::from_gid(Gid::from_raw(number)).map_err(|error| failed("group", text, error))?;
    let missing = || Error::NotFound(format!("this machine has no group {number}"));
    found.map(|group| group.name).ok_or_else(missing)
}

impl Host for State {
    async fn get(&mut self, name: String) -> wasmtime::Result<Result<Option<User>, Error>> {
        let scope = self.scope();
        let work = async {
            scope.own_machine("users")?;
            user::check_name(&name)?;
            find(&name)
        };
        scope.asked("users.get", &name, &name, work).await
    }

    async fn get_group(&mut self, name: String) -> wasmtime::Result<Result<Option<u32>, Error>> {
        let scope = self.scope();
        let work = async {
            scope.own_machine("users")?;
            user::check_name(&name)?;
            find_group(&name)
        };
        scope.asked("users.get-group", &name, &name, work).await
    }

    async fn ensure(&mut self, spec: Spec) -> wasmtime::Result<Result<Resource<Effect>, Error>> {
        let scope = self.scope();
        self.effect("users.ensure", &spec.name, &spec, scope.ensure_user(&spec)).await
    }

    async fn ensure_group(
        &mut self,
        name: String,
        gid: Option<u32>,
        system: bool,
    ) -> wasmtime::Result<Result<Resource<Effect>, Error>> {
        let scope = self.scope();
        let work = scope.ensure_group(&name, gid, system);
        self.effect("users.ensure-group", &name, &(&name, gid, system), work).await
    }

    async fn remove(&mut self, name: String) -> wasmtime::Result<Result<Resource<Effect>, Error>> {
        let scope = self.scope();
        let remove = async {
            user::check_name(&name)?;
            scope.allowed(|grants| grants.user(&name))?;
            scope.remove_account(&name, false).await
        };
        self.effect("users.remove", &name, &name, remove).await
    }

    async fn remove_group(
        &mut self,
        name: String,
    ) -> wasmtime::Result<Result<Resource<Effect>, Error>> {
        let scope = self.scope();
        let remove = async {
            user::check_name(&name)?;
            scope.allowed(|grants| grants.group(&name))?;
            scope.remove_account(&name, true).await
        };
        self.effect("users.remove-group", &name, &name, remove).await
    }
}
