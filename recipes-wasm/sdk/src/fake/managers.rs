//! Packages, services and users of a fake machine.

use super::Tree;
use crate::host::packages::{Spec as PackageSpec, State};
use crate::host::services::{Spec as ServiceSpec, Status};
use crate::host::types::{Change, Error};
use crate::host::users::{Spec as UserSpec, User};
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Managers {
    offered: BTreeMap<String, (String, Vec<(String, String)>)>,
    pub(super) installed: BTreeMap<String, String>,
    held: BTreeMap<String, bool>,
    pub(super) services: BTreeMap<String, Status>,
    pub(super) users: BTreeMap<String, User>,
    pub(super) groups: BTreeMap<String, u32>,
}

fn changed(before: bool) -> Change {
    if before { Change::Updated } else { Change::Created }
}

impl Managers {
    pub(super) fn offer(&mut self, name: &str, version: &str, files: &[(&str, &str)]) {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        self.offered.insert(name.to_owned(), (version.to_owned(), files.collect()));
    }

    pub(super) fn define(&mut self, name: &str) {
        let status =
            Status { running: false, enabled: false, pid: None, state: "inactive".to_owned() };
        self.services.insert(name.to_owned(), status);
    }

    pub(super) fn know(&mut self, name: &str, uid: u32) {
        self.groups.insert(name.to_owned(), uid);
        self.users.insert(
            name.to_owned(),
            User {
                name: name.to_owned(),
                uid,
                gid: uid,
                home: format!("/home/{name}"),
                shell: "/bin/sh".to_owned(),
                groups: vec![name.to_owned()],
            },
        );
    }

    pub(super) fn package(
        &mut self,
        spec: &PackageSpec,
        files: &mut Tree,
    ) -> Result<Change, Error> {
        let name = &spec.name;
        let before = self.installed.get(name).cloned();
        let wanted = match &spec.state {
            State::Absent => None,
            State::Present if before.is_some() => before.clone(),
            State::Present | State::Latest | State::Version(_) => {
                let (offered, brings) = self.offered.get(name).ok_or_else(|| {
                    let why = format!("the package manager knows no package `{name}`");
                    Error::NotFound(why)
                })?;
                let version = match &spec.state {
                    State::Version(version) => version,
                    _ => offered,
                };
                for (path, text) in brings {
                    // As with a real one, a configuration file that was changed stays.
                    if !files.has(path) {
                        files.put(path, text.as_str());
                    }
                }
                Some(version.clone())
            }
            State::Other(other) => {
                return Err(Error::Unsupported(format!("a package cannot be `{other}`")));
            }
        };
        let held = spec.hold.and_then(|hold| self.held.insert(name.clone(), hold));
        let holds_as_it_did = spec.hold.is_none() || spec.hold == Some(held.unwrap_or(false));
        if before == wanted && holds_as_it_did {
            return Ok(Change::Unchanged);
        }
        Ok(match wanted {
            Some(version) => {
                self.installed.insert(name.clone(), version);
                changed(before.is_some())
            }
            None => {
                self.installed.remove(name);
                Change::Removed
            }
        })
    }

    pub(super) fn service(&mut self, name: &str) -> Result<&mut Status, Error> {
        let missing = || Error::NotFound(format!("this machine has no service `{name}`"));
        self.services.get_mut(name).ok_or_else(missing)
    }

    pub(super) fn ensure_service(&mut self, spec: &ServiceSpec) -> Result<Change, Error> {
        let status = self.service(&spec.name)?;
        let before = status.clone();
        status.enabled = spec.enabled.unwrap_or(status.enabled);
        if let Some(running) = spec.running {
            start(status, running);
        }
        Ok(if *status == before { Change::Unchanged } else { Change::Updated })
    }

    pub(super) fn restart(&mut self, name: &str) -> Result<Change, Error> {
        self.service(name).map(|status| start(status, true))?;
        Ok(Change::Done)
    }

    pub(super) fn reload(&mut self, name: &str) -> Result<Change, Error> {
        let running = self.service(name)?.running;
        Ok(if running { Change::Done } else { Change::Unchanged })
    }

    pub(super) fn user(&mut self, spec: &UserSpec) -> Result<Change, Error> {
        let before = self.users.get(&spec.name).cloned();
        if before.is_none() {
            let base = if spec.system { 100 } else { 1000 };
            let uid = spec.uid.unwrap_or(base + self.users.len() as u32);
            self.know(&spec.name, uid);
        }
        let number = |group: &str| {
            let missing = || Error::NotFound(format!("this machine has no group `{group}`"));
            let known = self.groups.get(group).copied().or_else(|| group.parse().ok());
            known.ok_or_else(missing)
        };
        let gid = spec.group.as_deref().map(number).transpose()?;
        for group in spec.groups.iter().flatten() {
            number(group)?;
        }
        let Some(user) = self.users.get_mut(&spec.name) else { return Ok(Change::Unchanged) };
        user.uid = spec.uid.unwrap_or(user.uid);
        user.gid = gid.unwrap_or(user.gid);
        user.home = spec.home.clone().unwrap_or(std::mem::take(&mut user.home));
        user.shell = spec.shell.clone().unwrap_or(std::mem::take(&mut user.shell));
        user.groups = spec.groups.clone().unwrap_or(std::mem::take(&mut user.groups));
        user.groups.sort();
        let same = before.as_ref() == Some(user);
        Ok(if same { Change::Unchanged } else { changed(before.is_some()) })
    }

    pub(super) fn group(&mut self, name: &str, gid: Option<u32>) -> Change {
        let before = self.groups.get(name).copied();
        let gid = gid.or(before).unwrap_or(1000 + self.groups.len() as u32);
        self.groups.insert(name.to_owned(), gid);
        if before == Some(gid) { Change::Unchanged } else { changed(before.is_some()) }
    }
}

fn start(status: &mut Status, running: bool) {
    status.running = running;
    status.pid = running.then_some(100);
    status.state = if running { "active" } else { "inactive" }.to_owned();
}
