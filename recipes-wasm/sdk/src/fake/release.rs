//! Archives and releases of a fake machine.

use super::State;
use crate::Source;
use crate::host::files::Attributes;
use crate::host::release::{Info, Layout};
use crate::host::types::{Change, Error};
use std::collections::BTreeMap;

/// Per base: the versions that are staged, oldest first, and the last two that were wanted.
#[derive(Default)]
pub(super) struct Releases(BTreeMap<String, Base>);

#[derive(Default)]
struct Base {
    staged: Vec<String>,
    needed: Vec<String>,
}

pub(super) fn path(base: &str, version: &str) -> Result<String, Error> {
    if version.is_empty() || version.starts_with('.') || version.contains('/') {
        return Err(Error::Invalid(format!("`{version}` cannot name a release")));
    }
    Ok(format!("{base}/releases/{version}"))
}

impl State {
    pub(super) fn unpack(
        &mut self,
        source: &Source,
        path: &str,
        strip: u32,
        how: &Attributes,
    ) -> Result<Change, Error> {
        let (Source::Artifact(sha256) | Source::Url { sha256, .. }) = source;
        let missing = || Error::NotFound(format!("there is no `{sha256}`; upload it first"));
        let files = self.artifacts.get(sha256).ok_or_else(missing)?;
        let mark = format!("{path}/.cerebro-artifact");
        let before = self.files.read(&mark).ok();
        if before.as_deref() == Some(sha256.as_bytes()) {
            return Ok(Change::Unchanged);
        }
        let is_filled = self.files.list(path).is_ok_and(|entries| !entries.is_empty());
        if before.is_none() && is_filled {
            return Err(Error::Invalid(format!("`{path}` holds what was not unpacked there")));
        }
        self.files.remove(path)?;
        self.files.directory(path, how)?;
        for (name, text) in files {
            let parts: Vec<&str> = name.split('/').skip(strip as usize).collect();
            if !parts.is_empty() {
                let at = format!("{path}/{}", parts.join("/"));
                self.files.put(&at, text.as_str());
                self.files.have(&at, &Attributes { mode: None, owner: how.owner.clone() })?;
            }
        }
        self.files.put(&mark, sha256.as_str());
        Ok(if before.is_some() { Change::Updated } else { Change::Created })
    }

    pub(super) fn releases(&self, base: &str) -> Vec<Info> {
        let Some(known) = self.releases.0.get(base) else { return Vec::new() };
        let current = self.files.stat(&format!("{base}/current")).ok().flatten();
        let current = current.and_then(|link| link.target).unwrap_or_default();
        let info = |(at, version): (usize, &String)| Info {
            version: version.clone(),
            staged: at as i64,
            current: current == format!("releases/{version}"),
            needed: known.needed.contains(version),
        };
        known.staged.iter().enumerate().map(info).collect()
    }

    pub(super) fn stage(
        &mut self,
        layout: &Layout,
        version: &str,
        content: Option<&Source>,
        strip: u32,
    ) -> Result<Change, Error> {
        let release = path(&layout.base, version)?;
        let own = Attributes { mode: None, owner: layout.owner.clone() };
        self.files.directory(&format!("{}/releases", layout.base), &own)?;
        let mut change = match content {
            Some(source) => self.unpack(source, &release, strip, &own)?,
            None => self.files.directory(&release, &own)?,
        };
        for shared in &layout.shared {
            let target = format!("{}/shared/{}", layout.base, shared.path);
            match shared.directory {
                true => drop(self.files.directory(&target, &own)?),
                false => self.files.make(target.rsplit_once('/').map_or("/", |(above, _)| above)),
            }
            let link = format!("{release}/{}", shared.path);
            let there = self.files.stat(&link)?.is_some_and(|there| there.target.is_some());
            if !there {
                self.files.remove(&link)?;
                self.files.make(link.rsplit_once('/').map_or("/", |(above, _)| above));
                let up = "../".repeat(shared.path.matches('/').count() + 2);
                self.files.symlink(&link, &format!("{up}shared/{}", shared.path))?;
                if change == Change::Unchanged {
                    change = Change::Updated;
                }
            }
        }
        let known = self.releases.0.entry(layout.base.clone()).or_default();
        if !known.staged.iter().any(|staged| staged == version) {
            known.staged.push(version.to_owned());
        }
        known.needed.retain(|needed| needed != version);
        known.needed.insert(0, version.to_owned());
        known.needed.truncate(2);
        Ok(change)
    }

    pub(super) fn activate(&mut self, base: &str, version: &str) -> Result<Change, Error> {
        if !self.files.has(&path(base, version)?) {
            return Err(Error::NotFound(format!("the release `{version}` is not staged")));
        }
        self.files.symlink(&format!("{base}/current"), &format!("releases/{version}"))
    }

    pub(super) fn prune(&mut self, base: &str, keep: u32) -> Result<Vec<String>, Error> {
        let releases = self.releases(base);
        let old = releases.iter().rev().skip(keep as usize);
        let gone = old.filter(|release| !release.current && !release.needed);
        let gone: Vec<String> = gone.map(|release| release.version.clone()).collect();
        for version in &gone {
            self.files.remove(&path(base, version)?)?;
        }
        if let Some(known) = self.releases.0.get_mut(base) {
            known.staged.retain(|version| !gone.contains(version));
        }
        Ok(gone)
    }

    pub(super) fn leave(&mut self, base: &str) -> Result<Change, Error> {
        if self.releases.0.remove(base).is_none() {
            return Ok(Change::Unchanged);
        }
        self.files.remove(&format!("{base}/releases"))?;
        self.files.remove(&format!("{base}/current"))?;
        if self.files.list(base).is_ok_and(|left| left.is_empty()) {
            self.files.remove(base)?;
        }
        Ok(Change::Removed)
    }
}
