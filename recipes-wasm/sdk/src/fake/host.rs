//! A fake machine as a component sees it.

use super::{FakeHost, State, release};
use crate::host::archive::UnpackOptions;
use crate::host::command::Spec;
use crate::host::context::Instance;
use crate::host::facts::{Load, Memory, Mount, NetworkInterface, OperatingSystem};
use crate::host::files::{Attributes, Content, Entry, Metadata, Node};
use crate::host::log::Level;
use crate::host::net::{HttpAnswer, HttpProbe, TcpAnswer, TcpProbe};
use crate::host::notify::Action;
use crate::host::release::{Info, Layout};
use crate::host::types::{Change, Error};
use crate::host::{packages, services, task, users};
use crate::machine::{Done, Effect};
use crate::{Command, Host, Outcome, Source};
use sha2::{Digest, Sha256};

fn placeholder(name: &str) -> String {
    format!("<<secret:{name}>>")
}

impl State {
    /// `bytes` with the secrets in the place of what stands for them.
    pub(super) fn fill(&self, bytes: &[u8]) -> Vec<u8> {
        let Ok(mut text) = String::from_utf8(bytes.to_vec()) else { return bytes.to_vec() };
        for (name, value) in &self.secrets {
            text = text.replace(&placeholder(name), value);
        }
        text.into_bytes()
    }

    /// The task that is meant: the test knows the instance's own only.
    fn task(
        &self,
        name: Option<&str>,
    ) -> Result<&Option<(task::Status, Option<task::Usage>)>, Error> {
        match name {
            None => Ok(&self.task),
            Some(name) => Err(Error::NotFound(format!("this machine has no task `{name}`"))),
        }
    }
}

impl FakeHost {
    fn managed(
        &self,
        call: String,
        work: impl FnOnce(&mut State) -> Result<Change, Error>,
    ) -> Result<Effect, Error> {
        self.effect(call, work).map(|change| Effect(Done::Fake(change)))
    }

    /// Does what is to be done at the end; what comes after a failure stays to be done.
    pub(super) fn end(&self) -> Result<(), String> {
        loop {
            let Some(action) = self.0.borrow().pending.first().cloned() else { return Ok(()) };
            match &action {
                Action::RestartService(name) => drop(self.restart_service(name)?),
                Action::ReloadService(name) => drop(self.reload_service(name)?),
                Action::RestartTask(name) => drop(self.restart_task(Some(name))?),
                Action::Run(argv) => drop(Command::of(argv).ensure(self)?),
                Action::Other(other) => return Err(format!("nobody can do `{other}` later")),
            }
            self.0.borrow_mut().pending.remove(0);
        }
    }
}

impl Host for FakeHost {
    fn instance(&self) -> Instance {
        self.0.borrow().instance.clone()
    }
    fn options(&self) -> String {
        self.0.borrow().options.clone()
    }

    fn log(&self, level: Level, message: &str) {
        self.0.borrow_mut().log.push((level, message.to_owned()));
    }
    fn progress(&self, step: &str, done: u64, total: Option<u64>) {
        let of = total.map_or(String::new(), |total| format!(" of {total}"));
        self.say(&format!("{step}: {done}{of}"));
    }

    fn system(&self) -> OperatingSystem {
        self.0.borrow().system.clone()
    }
    fn cpus(&self) -> u32 {
        4
    }
    fn memory(&self) -> Memory {
        Memory { total: 8 << 30, available: 4 << 30, swap_total: 0, swap_free: 0 }
    }
    fn load(&self) -> Load {
        Load { one: 0.5, five: 0.5, fifteen: 0.5 }
    }
    fn uptime(&self) -> f64 {
        3600.0
    }
    fn mounts(&self) -> Vec<Mount> {
        self.0.borrow().mounts.clone()
    }
    fn interfaces(&self) -> Vec<NetworkInterface> {
        Vec::new()
    }
    fn fact(&self, name: &str) -> Option<String> {
        self.0.borrow().facts.get(name).cloned()
    }

    fn stat(&self, path: &str) -> Result<Option<Metadata>, Error> {
        self.0.borrow().files.stat(path)
    }
    fn digest(&self, path: &str) -> Result<String, Error> {
        let content = self.0.borrow().files.read(path)?;
        Ok(Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect())
    }
    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, Error> {
        let content = self.0.borrow().files.read(path)?;
        if content.len() as u64 > limit {
            return Err(Error::TooLarge(format!("`{path}` is larger than {limit} bytes")));
        }
        Ok(content)
    }
    fn list(&self, path: &str) -> Result<Vec<Entry>, Error> {
        self.0.borrow().files.list(path)
    }
    fn write(&self, path: &str, content: &[u8], how: &Attributes) -> Result<Change, Error> {
        self.effect(format!("write {path}"), |state| {
            let content = state.fill(content);
            state.files.write(path, &content, how)
        })
    }
    fn directory(&self, path: &str, how: &Attributes) -> Result<Change, Error> {
        self.effect(format!("directory {path}"), |state| state.files.directory(path, how))
    }
    fn symlink(&self, path: &str, target: &str) -> Result<Change, Error> {
        self.effect(format!("symlink {path}"), |state| state.files.symlink(path, target))
    }
    fn set_attributes(&self, path: &str, how: &Attributes) -> Result<Change, Error> {
        self.effect(format!("set attributes of {path}"), |state| state.files.have(path, how))
    }
    fn rename(&self, path: &str, to: &str) -> Result<Change, Error> {
        self.effect(format!("rename {path} to {to}"), |state| state.files.rename(path, to))
    }
    fn copy(&self, path: &str, to: &str, how: &Attributes) -> Result<Change, Error> {
        self.effect(format!("copy {path} to {to}"), |state| state.files.copy(path, to, how))
    }
    fn tree(
        &self,
        path: &str,
        nodes: &[Node],
        purge: bool,
    ) -> Result<Vec<(String, Change)>, Error> {
        let mut changes = Vec::new();
        self.effect(format!("tree {path}"), |state| {
            let filled = nodes.iter().map(|node| match &node.content {
                Content::Bytes(bytes) => {
                    Node { content: Content::Bytes(state.fill(bytes)), ..node.clone() }
                }
                _ => node.clone(),
            });
            let filled: Vec<Node> = filled.collect();
            changes = state.files.tree(path, &filled, purge)?;
            Ok(if changes.is_empty() { Change::Unchanged } else { Change::Updated })
        })?;
        Ok(changes)
    }
    fn remove(&self, path: &str) -> Result<Change, Error> {
        self.effect(format!("remove {path}"), |state| state.files.remove(path))
    }

    fn unpack(&self, source: &Source, path: &str, how: &UnpackOptions) -> Result<Change, Error> {
        let own = Attributes { mode: None, owner: how.owner.clone() };
        self.effect(format!("unpack {path}"), |state| state.unpack(source, path, how.strip, &own))
    }

    fn release_path(&self, base: &str, version: &str) -> Result<String, Error> {
        release::path(base, version)
    }
    fn releases(&self, base: &str) -> Result<Vec<Info>, Error> {
        Ok(self.0.borrow().releases(base))
    }
    fn stage(
        &self,
        layout: &Layout,
        version: &str,
        content: Option<&Source>,
        strip: u32,
    ) -> Result<Change, Error> {
        let call = format!("stage {}/releases/{version}", layout.base);
        self.effect(call, |state| state.stage(layout, version, content, strip))
    }
    fn activate(&self, base: &str, version: &str) -> Result<Change, Error> {
        self.effect(format!("activate {base}/releases/{version}"), |state| {
            state.activate(base, version)
        })
    }
    fn prune(&self, base: &str, keep: u32) -> Result<Vec<String>, Error> {
        let mut gone = Vec::new();
        self.effect(format!("prune {base}"), |state| {
            gone = state.prune(base, keep)?;
            Ok(if gone.is_empty() { Change::Unchanged } else { Change::Removed })
        })?;
        Ok(gone)
    }
    fn leave(&self, base: &str) -> Result<Change, Error> {
        self.effect(format!("leave {base}"), |state| state.leave(base))
    }

    fn run(&self, spec: &Spec) -> Result<Outcome, Error> {
        self.run_program(spec)
    }

    fn package(&self, name: &str) -> Result<Option<String>, Error> {
        Ok(self.0.borrow().managers.installed.get(name).cloned())
    }
    fn ensure_packages(&self, specs: &[packages::Spec]) -> Result<Effect, Error> {
        let mut all = Change::Unchanged;
        for spec in specs {
            let changed = self.effect(format!("package {}", spec.name), |state| {
                state.managers.package(spec, &mut state.files)
            })?;
            all = if changed == Change::Unchanged { all } else { changed };
        }
        Ok(Effect(Done::Fake(all)))
    }
    fn refresh_packages(&self, _: u32) -> Result<Effect, Error> {
        self.managed("refresh packages".to_owned(), |_| Ok(Change::Done))
    }

    fn service(&self, name: &str) -> Result<Option<services::Status>, Error> {
        Ok(self.0.borrow().managers.services.get(name).cloned())
    }
    fn ensure_service(&self, spec: &services::Spec) -> Result<Effect, Error> {
        self.managed(format!("service {}", spec.name), |state| state.managers.ensure_service(spec))
    }
    fn restart_service(&self, name: &str) -> Result<Effect, Error> {
        self.managed(format!("restart service {name}"), |state| state.managers.restart(name))
    }
    fn reload_service(&self, name: &str) -> Result<Effect, Error> {
        self.managed(format!("reload service {name}"), |state| state.managers.reload(name))
    }
    fn reload_definitions(&self) -> Result<Effect, Error> {
        self.managed("reload definitions".to_owned(), |_| Ok(Change::Done))
    }

    fn user(&self, name: &str) -> Result<Option<users::User>, Error> {
        Ok(self.0.borrow().managers.users.get(name).cloned())
    }
    fn group(&self, name: &str) -> Result<Option<u32>, Error> {
        Ok(self.0.borrow().managers.groups.get(name).copied())
    }
    fn ensure_user(&self, spec: &users::Spec) -> Result<Effect, Error> {
        self.managed(format!("user {}", spec.name), |state| state.managers.user(spec))
    }
    fn ensure_group(&self, name: &str, gid: Option<u32>, _: bool) -> Result<Effect, Error> {
        self.managed(format!("group {name}"), |state| Ok(state.managers.group(name, gid)))
    }
    fn remove_user(&self, name: &str) -> Result<Effect, Error> {
        self.managed(format!("remove user {name}"), |state| {
            let gone = state.managers.users.remove(name).is_some();
            Ok(if gone { Change::Removed } else { Change::Unchanged })
        })
    }
    fn remove_group(&self, name: &str) -> Result<Effect, Error> {
        self.managed(format!("remove group {name}"), |state| {
            let gone = state.managers.groups.remove(name).is_some();
            Ok(if gone { Change::Removed } else { Change::Unchanged })
        })
    }

    fn task(&self, name: Option<&str>) -> Result<Option<task::Status>, Error> {
        let state = self.0.borrow();
        Ok(state.task(name)?.as_ref().map(|(status, _)| status.clone()))
    }
    fn task_usage(&self, name: Option<&str>) -> Result<Option<task::Usage>, Error> {
        let state = self.0.borrow();
        Ok(state.task(name)?.as_ref().and_then(|(_, usage)| *usage))
    }
    fn task_output(&self, name: Option<&str>, _: bool, _: u32) -> Result<Vec<String>, Error> {
        self.0.borrow().task(name).map(|_| Vec::new())
    }
    fn signal_task(&self, name: Option<&str>, signal: &str) -> Result<Effect, Error> {
        let call = format!("signal task {} {signal}", name.unwrap_or("its own"));
        self.managed(call, |_| Ok(Change::Done))
    }
    fn restart_task(&self, name: Option<&str>) -> Result<Effect, Error> {
        let call = format!("restart task {}", name.unwrap_or("its own"));
        self.managed(call, |_| Ok(Change::Done))
    }

    fn at_end(&self, action: &Action) -> Result<(), Error> {
        let pending = &mut self.0.borrow_mut().pending;
        if !pending.contains(action) {
            pending.push(action.clone());
        }
        Ok(())
    }

    fn secret(&self, name: &str) -> Result<String, Error> {
        self.reveal(name).map(|_| placeholder(name))
    }
    fn reveal(&self, name: &str) -> Result<Vec<u8>, Error> {
        let value = self.0.borrow().secrets.get(name).cloned();
        let missing = || Error::NotFound(format!("there is no secret `{name}`"));
        value.map(String::into_bytes).ok_or_else(missing)
    }

    fn resolve(&self, host: &str) -> Result<Vec<String>, Error> {
        match host.parse::<std::net::IpAddr>() {
            Ok(address) => Ok(vec![address.to_string()]),
            Err(_) => Err(Error::NotFound(format!("no address is known of `{host}`"))),
        }
    }
    fn tcp(&self, probe: &TcpProbe) -> Result<TcpAnswer, Error> {
        let answer = self.0.borrow().tcp.clone();
        answer(probe)
    }
    fn http(&self, probe: &HttpProbe) -> Result<HttpAnswer, Error> {
        let answer = self.0.borrow().http.clone();
        answer(probe)
    }

    fn recall(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.borrow().memory.get(key).cloned())
    }
    fn keys(&self) -> Result<Vec<String>, Error> {
        Ok(self.0.borrow().memory.keys().cloned().collect())
    }
    fn remember(&self, key: &str, value: &[u8]) -> Result<Change, Error> {
        self.effect(format!("remember {key}"), |state| {
            let before = state.memory.insert(key.to_owned(), value.to_owned());
            Ok(match before {
                None => Change::Created,
                Some(before) if before == value => Change::Unchanged,
                Some(_) => Change::Updated,
            })
        })
    }
    fn forget(&self, key: &str) -> Result<Change, Error> {
        self.effect(format!("forget {key}"), |state| {
            let gone = state.memory.remove(key).is_some();
            Ok(if gone { Change::Removed } else { Change::Unchanged })
        })
    }
}
