//! What a command left in the layer over a directory that it was given a copy of.
//!
//! It is not trusted: the command chose the names and may still have a process that changes them. So
//! all is opened beneath the layer's root, never through a link.

use super::change::{Attributes, Owner};
use super::{failed, open_beneath};
use crate::bindings::interfaces::types::Error;
use cerebro_linux::sandbox::{is_opaque, is_whiteout};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

/// Directories within directories, before a layer counts as a trap.
const DEEPEST: usize = 200;
/// Bytes of one file, which is held in memory while it is taken over.
const LARGEST_FILE: u64 = 256 << 20;

/// How much may be taken over.
pub(crate) struct Budget {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

/// The layer over one directory.
pub(crate) struct Layer {
    root: OwnedFd,
    /// The directory that it is over.
    path: String,
    /// How that directory was when this was made.
    before: Attributes,
}

/// What is with one path.
pub(super) struct Node {
    /// Relative to the layer; empty for the directory itself.
    pub(super) name: String,
    pub(super) sort: Sort,
    pub(super) attributes: Attributes,
}

pub(super) enum Sort {
    /// It was removed.
    Gone,
    /// A directory; whether nothing of the former one is left.
    Directory { is_new: bool },
    /// A file of that many bytes.
    File(u64),
    /// A link, with its target.
    Link(String),
}

impl Layer {
    /// The layer whose root is `root`, over the directory `path`, before anything is changed.
    pub(crate) fn new(root: OwnedFd, path: String) -> Result<Self, Errno> {
        let before = attributes(&fstat(&root)?);
        Ok(Self { root, path, before })
    }

    /// The path of a node in the machine.
    pub(super) fn path(&self, name: &str) -> String {
        match name {
            "" => self.path.clone(),
            name => format!("{}/{name}", self.path),
        }
    }

    /// All that was changed, those above first, checked and counted.
    pub(super) fn nodes(&self, budget: &mut Budget) -> Result<Vec<Node>, Error> {
        let root = self.open("", OFlag::O_DIRECTORY)?;
        let found = fstat(&root).map_err(|errno| failed(errno, "look at", &self.path))?;
        let (mut nodes, attributes) = (Vec::new(), attributes(&found));
        if attributes != self.before {
            let sort = Sort::Directory { is_new: false };
            nodes.push(Node { name: String::new(), sort, attributes });
        }
        self.collect("", 0, &mut nodes, budget)?;
        Ok(nodes)
    }

    fn open(&self, name: &str, flags: OFlag) -> Result<OwnedFd, Error> {
        let name = if name.is_empty() { "." } else { name };
        open_beneath(&self.root, name, OFlag::O_RDONLY | flags, Mode::empty())
            .map_err(|errno| failed(errno, "read what was written to", &self.path(name)))
    }

    fn collect(
        &self,
        below: &str,
        depth: usize,
        nodes: &mut Vec<Node>,
        budget: &mut Budget,
    ) -> Result<(), Error> {
        let here = self.path(below);
        let errno = |errno: Errno| failed(errno, "look at what was written to", &here);
        if depth == DEEPEST {
            let why = format!("`{here}`: more than {DEEPEST} directories within directories");
            return Err(Error::TooLarge(why));
        }
        let mut dir = Dir::from_fd(self.open(below, OFlag::O_DIRECTORY)?).map_err(errno)?;
        let mut names = super::look::names(&mut dir).map_err(errno)?;
        names.sort();
        for name in names {
            budget.entries = budget.entries.checked_sub(1).ok_or_else(|| {
                Error::TooLarge("the command changed more entries than are taken over".to_owned())
            })?;
            let found =
                fstatat(&dir, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW).map_err(errno)?;
            let name = name.into_string().map_err(|_| {
                Error::Invalid(format!("the command made a name in `{here}` that is not UTF-8"))
            })?;
            let full = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
            let sort = self.sort(&dir, &name, &full, &found, budget)?;
            let goes_on = matches!(sort, Sort::Directory { .. });
            nodes.push(Node { name: full.clone(), sort, attributes: attributes(&found) });
            if goes_on {
                self.collect(&full, depth + 1, nodes, budget)?;
            }
        }
        Ok(())
    }

    fn sort(
        &self,
        dir: impl AsFd,
        name: &str,
        full: &str,
        found: &FileStat,
        budget: &mut Budget,
    ) -> Result<Sort, Error> {
        let path = self.path(full);
        let errno = |errno: Errno| failed(errno, "look at what was written to", &path);
        match SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT {
            _ if is_whiteout(found) => Ok(Sort::Gone),
            SFlag::S_IFDIR => {
                let opened = self.open(full, OFlag::O_DIRECTORY)?;
                Ok(Sort::Directory { is_new: is_opaque(opened.as_fd()).map_err(errno)? })
            }
            SFlag::S_IFREG => {
                let size = u64::try_from(found.st_size).unwrap_or_default();
                let left = budget.bytes.checked_sub(size).filter(|_| size <= LARGEST_FILE);
                budget.bytes = left.ok_or_else(|| {
                    Error::TooLarge(format!("`{path}`: the command wrote more than is taken over"))
                })?;
                match found.st_mode & 0o6000 {
                    0 => Ok(Sort::File(size)),
                    _ => Err(Error::Denied(format!(
                        "the command gave `{path}` the mode {:04o}, which would lend a program its \
                         owner's privileges: no grant allows it",
                        found.st_mode & 0o7777
                    ))),
                }
            }
            SFlag::S_IFLNK => {
                let target = readlinkat(dir, name).map_err(errno)?;
                target.into_string().map(Sort::Link).map_err(|_| {
                    Error::Invalid(format!("the link `{path}` leads to a name that is not UTF-8"))
                })
            }
            _ => Err(Error::Unsupported(format!(
                "the command left `{path}`, which is neither a file nor a directory nor a link: \
                 that cannot be taken over"
            ))),
        }
    }

    /// The content of a file that had `size` bytes when it was counted.
    pub(super) fn content(&self, name: &str, size: u64) -> Result<Vec<u8>, Error> {
        let file = File::from(self.open(name, OFlag::O_NONBLOCK)?);
        let wrong = |why: &dyn std::fmt::Display| {
            Error::Failed(format!("read what was written to `{}`: {why}", self.path(name)))
        };
        if !file.metadata().map_err(|error| wrong(&error))?.is_file() {
            return Err(wrong(&"it is no file any more"));
        }
        let mut content = Vec::new();
        file.take(size + 1).read_to_end(&mut content).map_err(|error| wrong(&error))?;
        if content.len() as u64 != size {
            return Err(wrong(&"it is still being written to"));
        }
        Ok(content)
    }
}

fn attributes(found: &FileStat) -> Attributes {
    let owner = Owner { uid: found.st_uid, gid: found.st_gid };
    Attributes { mode: Some(found.st_mode & 0o7777), owner: Some(owner) }
}
