//! Releases side by side, and the link to the one in use.
//!
//! Beside what `wit/release.wit` shows, `<base>/.cerebro` holds `staged/<version>`, whose age is the
//! release's, and `needs/<instance>` with the versions that an instance needs, one a line.

use super::change::{Attributes, Owner};
use super::{Tree, Unpack};
use crate::bindings::interfaces::files::Kind;
use crate::bindings::interfaces::types::{Change, Error};
use std::collections::BTreeSet;

/// What of a release lies beside it.
pub(crate) struct Shared {
    /// Relative to the release.
    pub(crate) path: String,
    pub(crate) directory: bool,
}

/// How a release is laid out.
pub(crate) struct Layout {
    pub(crate) base: String,
    pub(crate) owner: Option<Owner>,
    pub(crate) shared: Vec<Shared>,
}

/// A release that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Release {
    pub(crate) version: String,
    /// Seconds since 1970.
    pub(crate) staged: i64,
    pub(crate) current: bool,
    pub(crate) needed: bool,
}

/// The directory of a version.
pub(crate) fn path(base: &str, version: &str) -> Result<String, Error> {
    let is_name = !version.is_empty()
        && version.len() <= 200
        && !version.starts_with('.')
        && !version.contains(['/', '\0', '\n']);
    match is_name {
        true => Ok(format!("{base}/releases/{version}")),
        false => Err(Error::Invalid(format!("`{version}` cannot name a release"))),
    }
}

fn current(base: &str) -> String {
    format!("{base}/current")
}

fn marks(base: &str) -> String {
    format!("{base}/.cerebro/staged")
}

fn needs(base: &str) -> String {
    format!("{base}/.cerebro/needs")
}

impl Tree {
    /// Makes the release's directory, with its content and its shared links, for `instance`.
    pub(crate) fn stage(
        &self,
        layout: &Layout,
        version: &str,
        instance: &str,
        content: Option<&Unpack<'_>>,
    ) -> Result<Change, Error> {
        let (base, release) = (layout.base.as_str(), path(&layout.base, version)?);
        let own = Attributes { mode: None, owner: layout.owner };
        for path in [base.to_owned(), format!("{base}/releases")] {
            self.directory(&path, own)?;
        }
        for path in [marks(base), needs(base)] {
            self.directory(&path, Attributes::default())?;
        }
        // First: so that nobody's pruning takes it away from us.
        self.need(base, version, instance)?;
        let mut change = match content {
            Some(unpack) => self.unpack(&release, unpack)?,
            None => self.directory(&release, own)?,
        };
        for shared in &layout.shared {
            let linked = self.share(layout, &release, shared)?;
            if matches!(change, Change::Unchanged) && !matches!(linked, Change::Unchanged) {
                change = Change::Updated;
            }
        }
        let mark = format!("{}/{version}", marks(base));
        if self.stat(&mark)?.is_none() {
            self.write(&mark, b"", Vec::new(), Attributes::default())?;
        }
        Ok(change)
    }

    /// Writes down that `instance` needs `version`, and the one that it needed last.
    fn need(&self, base: &str, version: &str, instance: &str) -> Result<(), Error> {
        let file = format!("{}/{instance}", needs(base));
        let before = match self.stat(&file)? {
            Some(_) => String::from_utf8_lossy(&self.read(&file, 4096)?).into_owned(),
            None => String::new(),
        };
        let last = before.lines().find(|line| !line.is_empty() && *line != version);
        let text = [Some(version), last].into_iter().flatten();
        let text = text.map(|line| format!("{line}\n")).collect::<String>();
        self.write(&file, text.as_bytes(), Vec::new(), Attributes::default()).map(drop)
    }

    fn share(&self, layout: &Layout, release: &str, shared: &Shared) -> Result<Change, Error> {
        let path = shared.path.trim_end_matches('/');
        let plain = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !plain || path.starts_with('/') {
            let why = format!("`{path}` is no path within a release");
            return Err(Error::Invalid(why));
        }
        let (base, own) = (&layout.base, Attributes { mode: None, owner: layout.owner });
        self.directory(&format!("{base}/shared"), own)?;
        let above = path.rsplit_once('/').map(|(above, _)| above);
        // Each on the way, so that each has its owner.
        for (at, _) in path.match_indices('/') {
            self.directory(&format!("{base}/shared/{}", &path[..at]), own)?;
            self.directory(&format!("{release}/{}", &path[..at]), own)?;
        }
        if shared.directory {
            self.directory(&format!("{base}/shared/{path}"), own)?;
        }
        let link = format!("{release}/{path}");
        let depth = above.map_or(0, |above| above.split('/').count());
        let target = format!("{}shared/{path}", "../".repeat(depth + 2));
        let found = self.stat(&link)?;
        if found.is_some_and(|found| found.kind != Kind::Symlink) {
            // What the release brought is for a machine that shares nothing yet.
            self.remove(&link)?;
        }
        self.symlink(&link, &target)
    }

    /// Has `current` lead to a version.
    pub(crate) fn activate(&self, base: &str, version: &str) -> Result<Change, Error> {
        let release = path(base, version)?;
        match self.stat(&release)? {
            Some(found) if found.kind == Kind::Directory => {
                self.lead(&current(base), &format!("releases/{version}"), true)
            }
            _ => Err(Error::NotFound(format!("there is no release `{release}`: stage it first"))),
        }
    }

    /// The releases there, oldest first.
    pub(crate) fn releases(&self, base: &str) -> Result<Vec<Release>, Error> {
        let directory = format!("{base}/releases");
        if self.stat(&directory)?.is_none() {
            return Ok(Vec::new());
        }
        let target = self.stat(&current(base))?.and_then(|found| found.target);
        let needed = self.needed(base)?;
        let mut found = Vec::new();
        for entry in self.list(&directory)? {
            if entry.metadata.kind != Kind::Directory || path(base, &entry.name).is_err() {
                continue;
            }
            let mark = self.stat(&format!("{}/{}", marks(base), entry.name))?;
            found.push(Release {
                staged: mark.map_or(entry.metadata.modified, |mark| mark.modified),
                current: target.as_deref() == Some(&format!("releases/{}", entry.name)),
                needed: needed.contains(&entry.name),
                version: entry.name,
            });
        }
        found.sort_by(|a, b| (a.staged, &a.version).cmp(&(b.staged, &b.version)));
        Ok(found)
    }

    /// The versions that instances of this machine need.
    fn needed(&self, base: &str) -> Result<BTreeSet<String>, Error> {
        let mut needed = BTreeSet::new();
        let directory = needs(base);
        if self.stat(&directory)?.is_none() {
            return Ok(needed);
        }
        for entry in self.list(&directory)? {
            let text = self.read(&format!("{directory}/{}", entry.name), 4096)?;
            needed.extend(String::from_utf8_lossy(&text).lines().map(str::to_owned));
        }
        Ok(needed)
    }

    /// Removes old releases; answers which.
    pub(crate) fn prune(&self, base: &str, keep: usize) -> Result<Vec<String>, Error> {
        let all = self.releases(base)?;
        let old = all.len().saturating_sub(keep);
        let goes = |release: &&Release| !release.current && !release.needed;
        let mut removed = Vec::new();
        for release in all.iter().take(old).filter(goes) {
            self.remove_release(base, &release.version)?;
            removed.push(release.version.clone());
        }
        Ok(removed)
    }

    fn remove_release(&self, base: &str, version: &str) -> Result<(), Error> {
        self.remove(&path(base, version)?)?;
        self.remove(&format!("{}/{version}", marks(base))).map(drop)
    }

    /// `instance` needs nothing here any longer.
    pub(crate) fn leave(&self, base: &str, instance: &str) -> Result<Change, Error> {
        // Also says whether it may be changed at all.
        match self.spot_to_change(base) {
            Err(Error::NotFound(_)) => return Ok(Change::Unchanged),
            spot => drop(spot?),
        }
        if self.stat(base)?.is_none() {
            return Ok(Change::Unchanged);
        }
        self.remove(&format!("{}/{instance}", needs(base)))?;
        let others = match self.stat(&needs(base))? {
            Some(_) => !self.list(&needs(base))?.is_empty(),
            None => false,
        };
        if others {
            return Ok(Change::Updated);
        }
        self.remove(&current(base))?;
        for release in self.releases(base)? {
            self.remove_release(base, &release.version)?;
        }
        self.remove(&format!("{base}/.cerebro"))?;
        // What else is there is not ours.
        for directory in [format!("{base}/releases"), base.to_owned()] {
            if self.stat(&directory)?.is_some() && self.list(&directory)?.is_empty() {
                self.remove(&directory)?;
            }
        }
        Ok(Change::Removed)
    }
}
