//! Files in memory.

use crate::host::files::{Attributes, Content, Entry, Kind, Metadata, Node as Wanted};
use crate::host::types::{Change, Error};
use std::collections::BTreeMap;

/// A file system in memory: all of it is granted, and nobody else is there.
#[derive(Debug, Clone)]
pub struct Tree(BTreeMap<String, Node>);

#[derive(Debug, Clone, PartialEq)]
struct Node {
    what: What,
    mode: u32,
    /// `user` or `user:group`.
    owner: String,
}

#[derive(Debug, Clone, PartialEq)]
enum What {
    Directory,
    File(Vec<u8>),
    Link(String),
}

impl Default for Tree {
    fn default() -> Self {
        Self([("/".to_owned(), Node::new(What::Directory, 0o755))].into())
    }
}

impl Node {
    fn new(what: What, mode: u32) -> Self {
        Self { what, mode, owner: "root".to_owned() }
    }

    fn have(&mut self, how: &Attributes) {
        if let Some(mode) = how.mode {
            self.mode = mode;
        }
        if let Some(owner) = &how.owner {
            let group = owner.group.iter().map(|group| format!(":{group}"));
            self.owner = owner.user.clone() + &group.collect::<String>();
        }
    }
}

fn above(path: &str) -> &str {
    match path.rsplit_once('/') {
        None | Some(("", _)) => "/",
        Some((above, _)) => above,
    }
}

fn not_found(path: &str) -> Error {
    Error::NotFound(format!("`{path}` is not there"))
}

fn is_below(path: &str, of: &str) -> bool {
    path.strip_prefix(of.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
}

impl Tree {
    /// Makes a file, with the directories above it.
    pub fn put(&mut self, path: &str, content: impl Into<Vec<u8>>) {
        self.make(above(path));
        self.0.insert(path.to_owned(), Node::new(What::File(content.into()), 0o644));
    }

    /// Makes a directory, with those above it.
    pub fn make(&mut self, path: &str) {
        let ends = path.match_indices('/').skip(1).map(|(end, _)| end).chain([path.len()]);
        for end in ends {
            let node = || Node::new(What::Directory, 0o755);
            self.0.entry(path[..end].to_owned()).or_insert_with(node);
        }
    }

    /// Whether something is there.
    pub fn has(&self, path: &str) -> bool {
        self.follow(path).is_ok_and(|path| self.0.contains_key(&path))
    }

    /// The path that is meant, links on its way and at its end followed.
    fn follow(&self, path: &str) -> Result<String, Error> {
        let mut done = String::new();
        let mut left: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut links = 0;
        while let Some(part) = left.pop() {
            match part.as_str() {
                "" => continue,
                ".." => done.truncate(done.rfind('/').unwrap_or(0)),
                _ => done = format!("{done}/{part}"),
            }
            let Some(What::Link(target)) = self.0.get(&done).map(|node| &node.what) else {
                continue;
            };
            links += 1;
            if links > 40 {
                return Err(Error::Invalid(format!("`{path}` leads in a circle")));
            }
            match target.starts_with('/') {
                true => done.clear(),
                false => done.truncate(done.rfind('/').unwrap_or(0)),
            }
            left.extend(target.split('/').rev().map(str::to_owned));
        }
        Ok(if done.is_empty() { "/".to_owned() } else { done })
    }

    /// The path that is meant, links on its way followed.
    fn place(&self, path: &str) -> Result<String, Error> {
        let plain = path.split('/').skip(1).all(|part| !matches!(part, "" | "." | ".."));
        if path == "/" {
            return Ok(path.to_owned());
        }
        if !path.starts_with('/') || !plain {
            return Err(Error::Invalid(format!("`{path}` is not a plain absolute path")));
        }
        let name = path.rsplit_once('/').map_or("", |(_, name)| name);
        Ok(format!("{}/{name}", self.follow(above(path))?.trim_end_matches('/')))
    }

    fn found(&self, path: &str) -> Result<&Node, Error> {
        self.place(path)?;
        self.0.get(&self.follow(path)?).ok_or_else(|| not_found(path))
    }

    pub(super) fn stat(&self, path: &str) -> Result<Option<Metadata>, Error> {
        Ok(self.0.get(&self.place(path)?).map(metadata))
    }

    /// The content of a file.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, Error> {
        match &self.found(path)?.what {
            What::File(content) => Ok(content.clone()),
            _ => Err(Error::Invalid(format!("`{path}` is not a file"))),
        }
    }

    /// The permission bits and the owner.
    pub(super) fn attributes(&self, path: &str) -> Result<(u32, String), Error> {
        self.found(path).map(|node| (node.mode, node.owner.clone()))
    }

    pub(super) fn list(&self, path: &str) -> Result<Vec<Entry>, Error> {
        self.place(path)?;
        let of = self.follow(path)?;
        if !matches!(self.found(path)?.what, What::Directory) {
            return Err(Error::Invalid(format!("`{path}` is not a directory")));
        }
        let within = self.0.iter().filter(|(path, _)| above(path) == of && *path != "/");
        let entry = |(path, node): (&String, &Node)| Entry {
            name: path.rsplit_once('/').map_or("", |(_, name)| name).to_owned(),
            metadata: metadata(node),
        };
        Ok(within.map(entry).collect())
    }

    /// Has `path` be so; the directory above it must be there.
    fn set(
        &mut self,
        path: &str,
        what: What,
        mode: u32,
        how: &Attributes,
    ) -> Result<Change, Error> {
        let place = self.place(path)?;
        match self.0.get(above(&place)).map(|node| &node.what) {
            Some(What::Directory) => {}
            _ => return Err(not_found(above(path))),
        }
        let old = self.0.get(&place);
        let is_directory = |node: &Node| matches!(node.what, What::Directory);
        if old.is_some_and(|old| is_directory(old) != matches!(what, What::Directory)) {
            return Err(Error::Invalid(format!("`{path}` is something else already")));
        }
        let mut new = old.cloned().unwrap_or_else(|| Node::new(what.clone(), mode));
        new.what = what;
        new.have(how);
        let change = match old {
            None => Change::Created,
            Some(old) if *old == new => Change::Unchanged,
            Some(_) => Change::Updated,
        };
        self.0.insert(place, new);
        Ok(change)
    }

    pub(super) fn write(
        &mut self,
        path: &str,
        content: &[u8],
        how: &Attributes,
    ) -> Result<Change, Error> {
        self.set(path, What::File(content.to_vec()), 0o644, how)
    }

    pub(super) fn directory(&mut self, path: &str, how: &Attributes) -> Result<Change, Error> {
        let place = self.place(path)?;
        self.make(above(&place));
        self.set(path, What::Directory, 0o755, how)
    }

    pub(super) fn symlink(&mut self, path: &str, target: &str) -> Result<Change, Error> {
        let as_it_is = Attributes { mode: None, owner: None };
        self.set(path, What::Link(target.to_owned()), 0o777, &as_it_is)
    }

    pub(super) fn have(&mut self, path: &str, how: &Attributes) -> Result<Change, Error> {
        let node = self.0.get_mut(&self.place(path)?).ok_or_else(|| not_found(path))?;
        let old = node.clone();
        node.have(how);
        Ok(if *node == old { Change::Unchanged } else { Change::Updated })
    }

    pub(super) fn rename(&mut self, path: &str, to: &str) -> Result<Change, Error> {
        let (from, to) = (self.place(path)?, self.place(to)?);
        match (self.0.contains_key(&from), self.0.contains_key(&to)) {
            (false, true) => return Ok(Change::Unchanged),
            (false, false) => return Err(not_found(path)),
            (true, true) => return Err(Error::Invalid(format!("`{to}` is there already"))),
            (true, false) => {}
        }
        let moves = |path: &String| *path == from || is_below(path, &from);
        for path in self.0.keys().filter(|path| moves(path)).cloned().collect::<Vec<_>>() {
            if let Some(node) = self.0.remove(&path) {
                self.0.insert(format!("{to}{}", &path[from.len()..]), node);
            }
        }
        Ok(Change::Updated)
    }

    pub(super) fn copy(&mut self, path: &str, to: &str, how: &Attributes) -> Result<Change, Error> {
        let node = self.found(path)?.clone();
        let before = self.0.get(&self.place(to)?).cloned();
        let change =
            self.set(to, node.what.clone(), node.mode, &Attributes { mode: None, owner: None })?;
        let place = self.place(to)?;
        let mut wanted = node;
        wanted.have(how);
        let unchanged = before.as_ref() == Some(&wanted);
        self.0.insert(place, wanted);
        Ok(match change {
            Change::Created => Change::Created,
            _ if unchanged => Change::Unchanged,
            _ => Change::Updated,
        })
    }

    pub(super) fn tree(
        &mut self,
        path: &str,
        nodes: &[Wanted],
        purge: bool,
    ) -> Result<Vec<(String, Change)>, Error> {
        let as_it_is = Attributes { mode: None, owner: None };
        let mut changes = Vec::new();
        self.directory(path, &as_it_is)?;
        for node in nodes {
            let at = format!("{path}/{}", node.path);
            self.place(&at)?;
            self.make(above(&at));
            let change = match &node.content {
                Content::Directory => self.directory(&at, &node.attributes)?,
                Content::Bytes(content) => self.write(&at, content, &node.attributes)?,
                Content::Link(target) => self.symlink(&at, target)?,
                Content::Other(other) => {
                    return Err(Error::Unsupported(format!("there is no `{other}`")));
                }
            };
            changes.push((node.path.clone(), change));
        }
        if purge {
            let place = self.place(path)?;
            let wanted: Vec<String> =
                nodes.iter().map(|node| format!("{place}/{}", node.path)).collect();
            let is_wanted = |at: &str| wanted.iter().any(|w| w == at || is_below(w, at));
            let gone = |at: &&String| is_below(at, &place) && !is_wanted(at);
            for at in self.0.keys().filter(gone).cloned().collect::<Vec<_>>() {
                self.0.remove(&at);
                changes.push((at[place.len() + 1..].to_owned(), Change::Removed));
            }
        }
        changes.retain(|(_, change)| *change != Change::Unchanged);
        Ok(changes)
    }

    pub(super) fn remove(&mut self, path: &str) -> Result<Change, Error> {
        let place = self.place(path)?;
        let before = self.0.len();
        self.0.retain(|at, _| *at != place && !is_below(at, &place));
        Ok(if self.0.len() == before { Change::Unchanged } else { Change::Removed })
    }
}

fn metadata(node: &Node) -> Metadata {
    let (user, group) = node.owner.split_once(':').unwrap_or((&node.owner, &node.owner));
    let (kind, size, target) = match &node.what {
        What::Directory => (Kind::Directory, 4096, None),
        What::File(content) => (Kind::File, content.len() as u64, None),
        What::Link(target) => (Kind::Symlink, target.len() as u64, Some(target.clone())),
    };
    let modified = 0;
    Metadata {
        kind,
        size,
        mode: node.mode,
        uid: number(user),
        gid: number(group),
        modified,
        target,
    }
}

/// A user's or group's number: its own if it is written as one, 0 for root, and 1000 for others.
fn number(name: &str) -> u32 {
    if name == "root" { 0 } else { name.parse().unwrap_or(1000) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Attributes = Attributes { mode: None, owner: None };

    #[test]
    fn links_are_followed_to_read_and_not_to_write() {
        let mut tree = Tree::default();
        tree.put("/srv/releases/1/app", "one");
        assert_eq!(tree.symlink("/srv/current", "releases/1"), Ok(Change::Created));
        assert_eq!(tree.read("/srv/current/app").unwrap(), b"one");
        assert_eq!(tree.write("/srv/current/app", b"two", &PLAIN), Ok(Change::Updated));
        assert_eq!(tree.read("/srv/releases/1/app").unwrap(), b"two");
        tree.symlink("/a", "/b").unwrap();
        tree.symlink("/b", "/a").unwrap();
        assert!(tree.read("/a").is_err());
    }

    #[test]
    fn what_is_moved_copied_and_purged_is_so() {
        let mut tree = Tree::default();
        tree.put("/a/x/1", "1");
        assert_eq!(tree.rename("/a/x", "/a/y"), Ok(Change::Updated));
        assert_eq!(tree.rename("/a/x", "/a/y"), Ok(Change::Unchanged));
        assert_eq!(tree.copy("/a/y/1", "/a/2", &PLAIN), Ok(Change::Created));
        assert_eq!(tree.copy("/a/y/1", "/a/2", &PLAIN), Ok(Change::Unchanged));
        let node = |path: &str, text: &str| Wanted {
            path: path.to_owned(),
            content: Content::Bytes(text.into()),
            attributes: PLAIN,
        };
        let changes = tree.tree("/a", &[node("2", "1"), node("z/3", "3")], true).unwrap();
        let expected = [("z/3", Change::Created), ("y", Change::Removed), ("y/1", Change::Removed)];
        assert_eq!(changes, expected.map(|(path, change)| (path.to_owned(), change)));
        assert_eq!(tree.remove("/a"), Ok(Change::Removed));
        assert_eq!(tree.remove("/a"), Ok(Change::Unchanged));
    }
}
