//! Whole trees in one call, copies, names and attributes.

use super::change::Attributes;
use super::perform::Deed;
use super::{Spot, Tree, failed_io};
use crate::bindings::interfaces::files::Kind;
use crate::bindings::interfaces::types::{Change, Error};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;

/// Nodes of one tree.
const MOST_NODES: usize = 100_000;
/// Bytes of a file that is copied.
const LARGEST_COPY: u64 = 256 << 20;

/// What a node of a tree is.
pub(crate) enum Content {
    Directory,
    /// A file, and the names of the secrets in it.
    File(Vec<u8>, Vec<String>),
    Link(String),
}

/// One path of a tree.
pub(crate) struct Node {
    /// Relative to the tree.
    pub(crate) path: String,
    pub(crate) content: Content,
    pub(crate) attributes: Attributes,
}

impl Tree {
    /// Has the directory `path` hold these nodes, and with `purge` nothing else.
    pub(crate) fn hold(
        &self,
        path: &str,
        nodes: Vec<Node>,
        purge: bool,
    ) -> Result<Vec<(String, Change)>, Error> {
        if nodes.len() > MOST_NODES {
            return Err(Error::TooLarge(format!("a tree has at most {MOST_NODES} nodes")));
        }
        let mut sorted = BTreeMap::new();
        for node in nodes {
            let name = node.path.clone();
            if name.is_empty() || name.starts_with('/') || sorted.insert(name, node).is_some() {
                return Err(Error::Invalid(
                    "the nodes of a tree need relative paths, each its own".to_owned(),
                ));
            }
        }
        let mut changes = Vec::new();
        let mut note = |name: &str, change: Change| {
            if !matches!(change, Change::Unchanged) {
                changes.push((name.to_owned(), change));
            }
        };
        note("", self.directory(path, Attributes::default())?);
        let wanted: BTreeSet<String> = sorted.keys().cloned().collect();
        // A path sorts behind those above it, so that directories come first.
        for (name, node) in sorted {
            let full = format!("{path}/{name}");
            if let Some((above, _)) = name.rsplit_once('/')
                && !wanted.contains(above)
            {
                let change = self.directory(&format!("{path}/{above}"), Attributes::default())?;
                note(above, change);
            }
            let change = match node.content {
                Content::Directory => self.directory(&full, node.attributes)?,
                Content::File(content, secrets) => {
                    self.write(&full, &content, secrets, node.attributes)?
                }
                Content::Link(target) => self.symlink(&full, &target)?,
            };
            note(&name, change);
        }
        if purge {
            self.purge(path, "", &wanted, &mut note)?;
        }
        Ok(changes)
    }

    fn purge(
        &self,
        path: &str,
        below: &str,
        wanted: &BTreeSet<String>,
        note: &mut impl FnMut(&str, Change),
    ) -> Result<(), Error> {
        for entry in self.list(&format!("{path}{below}"))? {
            let name = format!("{below}/{}", entry.name);
            let relative = name.trim_start_matches('/');
            let prefix = format!("{relative}/");
            let holds = wanted.range(prefix.clone()..).next();
            let is_above = holds.is_some_and(|next| next.starts_with(&prefix));
            if entry.metadata.kind == Kind::Directory && is_above {
                self.purge(path, &name, wanted, note)?;
            } else if !wanted.contains(relative) {
                note(relative, self.remove(&format!("{path}{name}"))?);
            } else if entry.metadata.kind == Kind::Directory {
                // A directory that is wanted and of which nothing below is.
                self.purge(path, &name, wanted, note)?;
            }
        }
        Ok(())
    }

    pub(crate) fn set_attributes(
        &self,
        path: &str,
        attributes: Attributes,
    ) -> Result<Change, Error> {
        let spot = self.spot_to_change(path)?;
        let _changing = self.take(&spot);
        let found = self.metadata(&spot)?;
        let found = found.ok_or_else(|| Error::NotFound(format!("`{path}` does not exist")))?;
        if !matches!(found.kind, Kind::File | Kind::Directory) {
            return Err(Error::Invalid(format!("`{path}` is neither a file nor a directory")));
        }
        if attributes.hold(&found) {
            return Ok(Change::Unchanged);
        }
        if found.kind == Kind::File && self.names_of(&spot)? > 1 {
            return Err(Error::Invalid(format!(
                "`{path}` is a file with several names (hard links): write it anew, so that the \
                 others stay as they are"
            )));
        }
        let complete = attributes.complete(Some(&found), found.mode);
        self.perform(&spot, Some(&found), &Deed::Attributes(complete))?;
        Ok(Change::Updated)
    }

    /// How many names a file has. One that the task's user has given to somebody else's file is not
    /// ours to change.
    fn names_of(&self, spot: &Spot) -> Result<u64, Error> {
        match self.shadow() {
            Some(shadow) => shadow.names_of(self, &spot.path),
            None => {
                let file = spot.open_file()?;
                let found = file.metadata();
                found.map(|found| found.nlink()).map_err(|e| failed_io(&e, "look at", &spot.path))
            }
        }
    }

    pub(crate) fn rename(&self, path: &str, to: &str) -> Result<Change, Error> {
        let from = match self.spot_to_change(path) {
            Err(Error::NotFound(_)) => None,
            spot => Some(spot?),
        };
        let target = self.spot_to_change(to)?;
        let _changing = self.take(&target);
        let there = match &from {
            Some(from) => self.metadata(from)?,
            None => None,
        };
        match (from.filter(|_| there.is_some()), self.metadata(&target)?) {
            (None, Some(_)) => Ok(Change::Unchanged),
            (None, None) => Err(Error::NotFound(format!("`{path}` does not exist"))),
            (Some(_), Some(_)) => Err(Error::Invalid(format!("`{to}` is there already"))),
            (Some(from), None) if target.path.is_below(&from.path) => {
                Err(Error::Invalid(format!("`{path}` cannot be moved into itself")))
            }
            (Some(from), None) => {
                self.perform(&from, there.as_ref(), &Deed::Rename(&target))?;
                Ok(Change::Updated)
            }
        }
    }

    pub(crate) fn copy(
        &self,
        path: &str,
        to: &str,
        attributes: Attributes,
    ) -> Result<Change, Error> {
        let source = self.spot_behind_links(path, super::Access::Read)?;
        let found = self.metadata(&source)?;
        let found = found.ok_or_else(|| Error::NotFound(format!("`{path}` does not exist")))?;
        let content = self.read(path, LARGEST_COPY)?;
        self.write(to, &content, Vec::new(), attributes.complete(Some(&found), found.mode))
    }
}
