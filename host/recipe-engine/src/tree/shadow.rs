//! What a plan takes for the machine's files: the machine's own, and over them what the plan has
//! changed, so that what is written is read again, what is made is listed, and what is removed is
//! gone. Nothing of it is on a disk.

use super::archive::{Sink, breaks_off};
use super::perform::Deed;
use super::{Dir, Link, Plain, Spot, Tree, Unpack, Walked, failed};
use crate::bindings::interfaces::files::{Entry, Kind, Metadata};
use crate::bindings::interfaces::types::Error;
use cerebro_model::{Effect, Form, Seen};
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes of a file of an archive that are kept, in case a component reads it.
const LARGEST: u64 = 1 << 20;

/// The files, as a plan has them.
pub(super) struct Shadow {
    root: Folder,
}

/// A directory.
struct Folder {
    metadata: Metadata,
    /// The directory of the machine's where that lies of which nothing else is known; none if it is
    /// new.
    base: Option<Plain>,
    /// Why nobody can know what is in it, but for what was put there since.
    unknown: Option<String>,
    children: BTreeMap<String, Node>,
}

#[derive(Clone)]
enum Content {
    Bytes(Arc<[u8]>),
    /// That of a file of the machine's.
    Base(Plain),
    /// Too much to keep.
    Large,
}

enum Node {
    Gone,
    Folder(Folder),
    File(Metadata, Content),
    Other(Metadata),
}

/// What is known of a path.
enum Found<'a> {
    Folder(&'a Folder),
    Node(&'a Node),
    Base(Plain),
    Absent,
    Unknown(&'a str),
}

impl Node {
    fn metadata(&self) -> Option<&Metadata> {
        match self {
            Self::Gone => None,
            Self::Folder(folder) => Some(&folder.metadata),
            Self::File(metadata, _) | Self::Other(metadata) => Some(metadata),
        }
    }
}

impl Shadow {
    /// The machine's files as they are.
    pub(super) fn new() -> Self {
        let metadata = metadata(Kind::Directory, 0o755, (0, 0), 0, None);
        let (base, unknown) = (Some(Plain::root()), None);
        Self { root: Folder { metadata, base, unknown, children: BTreeMap::new() } }
    }

    fn find(&self, path: &Plain) -> Found<'_> {
        let mut folder = &self.root;
        for (at, part) in path.parts().iter().enumerate() {
            let rest = &path.parts()[at + 1..];
            match (folder.children.get(part), &folder.unknown, &folder.base) {
                (Some(Node::Folder(inner)), _, _) => folder = inner,
                (Some(node), _, _) if rest.is_empty() => return Found::Node(node),
                (Some(_), _, _) => return Found::Absent,
                (None, Some(why), _) => return Found::Unknown(why),
                (None, None, Some(base)) => {
                    let path = rest.iter().fold(base.join(part), |path, part| path.join(part));
                    return Found::Base(path);
                }
                (None, None, None) => return Found::Absent,
            }
        }
        Found::Folder(folder)
    }

    /// Why nobody can know what is at `path`.
    pub(super) fn unknown_at(&self, path: &Plain) -> Option<&str> {
        match self.find(path) {
            Found::Unknown(why) => Some(why),
            _ => None,
        }
    }

    pub(super) fn look(&self, tree: &Tree, path: &Plain) -> Result<Option<Metadata>, Error> {
        match self.find(path) {
            Found::Folder(folder) => Ok(Some(folder.metadata.clone())),
            Found::Node(node) => Ok(node.metadata().cloned()),
            Found::Base(base) => base_metadata(tree, &base),
            Found::Absent => Ok(None),
            Found::Unknown(why) => Err(tree.unknown(path, why)),
        }
    }

    /// Finds the directory of a path, up to the first link on the way.
    pub(super) fn walk(&self, tree: &Tree, path: &Plain) -> Result<Walked, Error> {
        let above = path.parts().len().saturating_sub(1);
        for at in 0..above {
            let here = path.up_to(at);
            match self.look(tree, &here)? {
                Some(found) if found.kind == Kind::Directory => {}
                Some(Metadata { kind: Kind::Symlink, target: Some(target), uid, .. }) => {
                    return Ok(Walked::Link { at, link: Link { owner: uid, target } });
                }
                Some(_) => return Err(failed(Errno::ENOTDIR, "open", &here)),
                None => return Err(failed(Errno::ENOENT, "open", &here)),
            }
        }
        let name = path.parts().last().cloned().unwrap_or_else(|| ".".to_owned());
        Ok(Walked::There(Spot { dir: Dir::Planned, name, path: path.clone() }))
    }

    /// Opens a regular file.
    pub(super) fn open(&self, tree: &Tree, path: &Plain) -> Result<Box<dyn Read>, Error> {
        let not_regular = || Error::Invalid(format!("`{path}` is not a regular file"));
        match self.find(path) {
            Found::Node(Node::File(_, content)) => match content {
                Content::Bytes(bytes) => Ok(Box::new(Cursor::new(bytes.clone()))),
                Content::Base(base) => Ok(Box::new(tree.exactly(base)?.open_file()?)),
                Content::Large => Err(tree.unknown(path, "it is more than a plan unpacks")),
            },
            Found::Base(base) => Ok(Box::new(tree.exactly(&base)?.open_file()?)),
            Found::Absent | Found::Node(Node::Gone) => Err(failed(Errno::ENOENT, "open", path)),
            Found::Folder(_) | Found::Node(_) => Err(not_regular()),
            Found::Unknown(why) => Err(tree.unknown(path, why)),
        }
    }

    pub(super) fn list(&self, tree: &Tree, path: &Plain) -> Result<Vec<Entry>, Error> {
        let folder = match self.find(path) {
            Found::Base(base) => return tree.exactly(&base)?.entries(),
            Found::Folder(folder) => folder,
            Found::Absent | Found::Node(Node::Gone) => {
                return Err(failed(Errno::ENOENT, "open", path));
            }
            Found::Node(_) => return Err(failed(Errno::ENOTDIR, "open", path)),
            Found::Unknown(why) => return Err(tree.unknown(path, why)),
        };
        if let Some(why) = &folder.unknown {
            return Err(tree.unknown(path, why));
        }
        let mut entries = match &folder.base {
            Some(base) => tree.exactly(base)?.entries()?,
            None => Vec::new(),
        };
        entries.retain(|entry| !folder.children.contains_key(&entry.name));
        entries.extend(folder.children.iter().filter_map(|(name, node)| {
            let metadata = node.metadata()?.clone();
            Some(Entry { name: name.clone(), metadata })
        }));
        Ok(entries)
    }

    /// How many names a file has.
    pub(super) fn names_of(&self, tree: &Tree, path: &Plain) -> Result<u64, Error> {
        let base = match self.find(path) {
            Found::Base(base) => Some(base),
            Found::Node(Node::File(_, Content::Base(base))) => Some(base.clone()),
            _ => None,
        };
        match base {
            Some(path) => {
                let file = tree.exactly(&path)?.open_file()?.metadata();
                let found = file.map_err(|e| super::failed_io(&e, "look at", &path))?;
                Ok(found.nlink())
            }
            None => Ok(1),
        }
    }

    /// Group and mode of the directory that a spot is in.
    pub(super) fn above(&self, tree: &Tree, spot: &Spot) -> Result<(u32, u32), Error> {
        let found = self.look(tree, &spot.path.above())?;
        Ok(found.map_or((0, 0), |found| (found.gid, found.mode)))
    }

    /// From here on nobody can know what is below `path`.
    pub(super) fn taint(&mut self, tree: &Tree, path: &Plain, why: &str) -> Result<(), Error> {
        match self.look(tree, path)? {
            Some(found) if found.kind == Kind::Directory => {
                let folder = self.folder(tree, path)?;
                (folder.unknown, folder.base) = (Some(why.to_owned()), None);
                folder.children.clear();
                Ok(())
            }
            // There is nothing that could be written to.
            _ => Ok(()),
        }
    }

    pub(super) fn perform(
        &mut self,
        tree: &Tree,
        spot: &Spot,
        found: Option<&Metadata>,
        deed: &Deed<'_>,
        effect: &Effect,
    ) -> Result<(), Error> {
        let path = &spot.path;
        let after = effect.after.as_ref().map(planned);
        match (deed, after) {
            (Deed::Write { content, .. }, Some(after)) => {
                let content = Content::Bytes(Arc::from(*content));
                self.put(tree, path, Node::File(after, content))
            }
            (Deed::Directory(_), Some(metadata)) => {
                let (base, unknown, children) = (None, None, BTreeMap::new());
                self.put(tree, path, Node::Folder(Folder { metadata, base, unknown, children }))
            }
            (Deed::Link { .. }, Some(after)) => self.put(tree, path, Node::Other(after)),
            (Deed::Attributes(_), Some(after)) => {
                let mut node = self.take(tree, path)?;
                match &mut node {
                    Node::Folder(Folder { metadata, .. })
                    | Node::File(metadata, _)
                    | Node::Other(metadata) => {
                        (metadata.mode, metadata.uid, metadata.gid) =
                            (after.mode, after.uid, after.gid);
                    }
                    Node::Gone => {}
                }
                self.put(tree, path, node)
            }
            (Deed::Rename(to), _) => {
                let node = self.take(tree, path)?;
                self.put(tree, path, Node::Gone)?;
                self.put(tree, &to.path, node)
            }
            (Deed::Unpack(unpack), Some(after)) => {
                let owner = (after.uid, after.gid);
                let mut unpacking = Unpacking { how: unpack, owner, top: new_folder(owner, 0o755) };
                unpack.fill(&mut unpacking)?;
                self.put(tree, path, Node::Folder(unpacking.top))
            }
            (Deed::Remove, _) => self.put(tree, path, Node::Gone),
            // What is put somewhere is somehow.
            (_, None) => {
                let kind = found.map(|found| found.kind);
                Err(Error::Failed(format!("`{path}`, now {kind:?}, cannot be planned")))
            }
        }
    }

    /// The directory at `path`, to be changed.
    fn folder(&mut self, tree: &Tree, path: &Plain) -> Result<&mut Folder, Error> {
        let mut folder = &mut self.root;
        for (at, part) in path.parts().iter().enumerate() {
            if !folder.children.contains_key(part) {
                let node = folder.of_base(tree, part)?;
                folder.children.insert(part.clone(), node);
            }
            match folder.children.get_mut(part) {
                Some(Node::Folder(inner)) => folder = inner,
                _ => return Err(failed(Errno::ENOTDIR, "open", &path.up_to(at))),
            }
        }
        Ok(folder)
    }

    fn put(&mut self, tree: &Tree, path: &Plain, node: Node) -> Result<(), Error> {
        let Some(name) = path.parts().last() else { return Ok(()) };
        self.folder(tree, &path.above())?.children.insert(name.clone(), node);
        Ok(())
    }

    /// What is at `path`, to be put somewhere.
    fn take(&mut self, tree: &Tree, path: &Plain) -> Result<Node, Error> {
        let Some(name) = path.parts().last() else { return Ok(Node::Gone) };
        let folder = self.folder(tree, &path.above())?;
        match folder.children.remove(name) {
            Some(node) => Ok(node),
            None => folder.of_base(tree, name),
        }
    }
}

impl Folder {
    /// What the machine has under this name in this directory.
    fn of_base(&self, tree: &Tree, name: &str) -> Result<Node, Error> {
        let Some(base) = &self.base else { return Ok(Node::Gone) };
        let at = base.join(name);
        Ok(match base_metadata(tree, &at)? {
            None => Node::Gone,
            Some(metadata) => match metadata.kind {
                Kind::Directory => {
                    let (unknown, children) = (None, BTreeMap::new());
                    Node::Folder(Folder { metadata, base: Some(at), unknown, children })
                }
                Kind::File => Node::File(metadata, Content::Base(at)),
                _ => Node::Other(metadata),
            },
        })
    }
}

fn base_metadata(tree: &Tree, base: &Plain) -> Result<Option<Metadata>, Error> {
    match tree.exactly(base) {
        Ok(spot) => spot.metadata(),
        Err(Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// How something is that a plan has made.
fn planned(seen: &Seen) -> Metadata {
    let kind = match seen.form {
        Form::File => Kind::File,
        Form::Directory => Kind::Directory,
        Form::Link => Kind::Symlink,
        Form::Special => Kind::Special,
    };
    let mode = if kind == Kind::Symlink { 0o777 } else { seen.mode };
    metadata(kind, mode, (seen.uid, seen.gid), seen.size.unwrap_or(0), seen.target.clone())
}

fn metadata(
    kind: Kind,
    mode: u32,
    (uid, gid): (u32, u32),
    size: u64,
    target: Option<String>,
) -> Metadata {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let modified = i64::try_from(now).unwrap_or(i64::MAX);
    Metadata { kind, size, mode, uid, gid, modified, target }
}

fn new_folder(owner: (u32, u32), mode: u32) -> Folder {
    let metadata = metadata(Kind::Directory, mode, owner, 0, None);
    Folder { metadata, base: None, unknown: None, children: BTreeMap::new() }
}

/// An archive on its way into a plan.
struct Unpacking<'a> {
    how: &'a Unpack<'a>,
    owner: (u32, u32),
    top: Folder,
}

impl Unpacking<'_> {
    /// A directory of the archive; what is missing on the way is made. Links are not followed.
    fn walk(&mut self, parts: &[String]) -> Result<&mut Folder, Error> {
        let mut folder = &mut self.top;
        for part in parts {
            let made = || Node::Folder(new_folder(self.owner, 0o755));
            folder = match folder.children.entry(part.clone()).or_insert_with(made) {
                Node::Folder(inner) => inner,
                _ => {
                    return Err(Error::Invalid(format!(
                        "the archive has something below `{}`, which is no directory there",
                        parts.join("/")
                    )));
                }
            };
        }
        Ok(folder)
    }

    fn put(&mut self, above: &[String], name: &str, node: Node) -> Result<(), Error> {
        let folder = self.walk(above)?;
        if let Some(Node::Folder(_)) = folder.children.get(name) {
            return Err(failed(Errno::EISDIR, "unpack over", &name));
        }
        folder.children.insert(name.to_owned(), node);
        Ok(())
    }
}

impl Sink for Unpacking<'_> {
    fn file(
        &mut self,
        above: &[String],
        name: &str,
        mode: u32,
        content: &mut dyn Read,
    ) -> Result<(), Error> {
        let broken = |error: std::io::Error| breaks_off(name, &error);
        let mut bytes = Vec::new();
        (&mut *content).take(LARGEST + 1).read_to_end(&mut bytes).map_err(broken)?;
        let mut size = bytes.len() as u64;
        let mut buffer = vec![0; 1 << 16];
        while size > LARGEST {
            match content.read(&mut buffer).map_err(broken)? {
                0 => break,
                read => size += read as u64,
            }
            self.how.in_time()?;
        }
        let metadata = metadata(Kind::File, mode & 0o777, self.owner, size, None);
        let content = match size > LARGEST {
            true => Content::Large,
            false => Content::Bytes(bytes.into()),
        };
        self.put(above, name, Node::File(metadata, content))
    }

    fn directory(&mut self, parts: &[String], mode: u32) -> Result<(), Error> {
        self.walk(parts)?.metadata.mode = (mode | 0o700) & 0o777;
        Ok(())
    }

    fn symlink(&mut self, above: &[String], name: &str, target: &str) -> Result<(), Error> {
        let link = metadata(Kind::Symlink, 0o777, self.owner, 0, Some(target.to_owned()));
        self.put(above, name, Node::Other(link))
    }

    fn hard_link(&mut self, above: &[String], name: &str, target: &[String]) -> Result<(), Error> {
        let Some((last, before)) = target.split_last() else {
            return Err(failed(Errno::EINVAL, "unpack the link", &name));
        };
        let node = match self.walk(before)?.children.get(last) {
            Some(Node::File(metadata, content)) => Node::File(metadata.clone(), content.clone()),
            Some(Node::Other(metadata)) => Node::Other(metadata.clone()),
            Some(Node::Folder(_)) => return Err(failed(Errno::EPERM, "unpack the link", &name)),
            Some(Node::Gone) | None => {
                return Err(Error::Invalid(format!(
                    "the archive's `{name}` is a link to `{}`, which does not come before it",
                    target.join("/")
                )));
            }
        };
        self.put(above, name, node)
    }
}
