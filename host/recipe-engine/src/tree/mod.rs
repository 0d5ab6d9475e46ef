//! A machine's files, below a root directory and within grants.
//!
//! Every path is walked from the root by directory descriptors, one part at a time, with
//! `openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)`, so that nothing can be swapped for a link
//! between looking and acting. A symbolic link on the way is followed only if root or the agent's
//! own user made it, and the path that it leads to, looked up from the same root, must be granted
//! for the same access. What is acted upon, the last part, is never a link that is followed, except
//! when reading and listing.

mod bulk;
mod change;
mod changing;
mod layer;
mod look;
mod open;
mod path;
mod release;
mod remove;
mod take_over;
#[cfg(test)]
mod tests;
mod unpack;

use crate::bindings::interfaces::types::Error;
use cerebro_model::Allowed;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::unistd::{Uid, geteuid};
use path::Plain;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

pub(crate) use bulk::{Content, Node};
pub(crate) use change::{Attributes, Owner};
pub(crate) use changing::{Changing, Held};
pub(crate) use layer::{Budget, Layer};
pub(crate) use release::{Layout, Release, Shared, path as release_path};
pub(crate) use unpack::Unpack;

/// Links that are followed on one path.
const MOST_LINKS: usize = 16;

/// The files that a call may touch.
pub(crate) struct Tree {
    /// The way to the root directory.
    path: PathBuf,
    root: OnceLock<OwnedFd>,
    allowed: Allowed,
    user: Uid,
    changing: Arc<Changing>,
}

/// What a path is wanted for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// What to do with directories that are missing on the way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Refuse,
    Make,
}

/// A name in a directory that is open: where an effect takes place.
struct Spot {
    dir: OwnedFd,
    name: String,
    /// Where it really is, for messages.
    path: Plain,
}

impl Tree {
    /// The files below `root`, which is opened once one of them is wanted.
    pub(crate) fn new(root: &Path, allowed: Allowed, changing: Arc<Changing>) -> Self {
        Self { path: root.to_owned(), root: OnceLock::new(), allowed, user: geteuid(), changing }
    }

    fn root(&self) -> Result<OwnedFd, Error> {
        let failed = |error: std::io::Error| {
            let path = self.path.display();
            Error::Failed(format!("open the machine's root directory `{path}`: {error}"))
        };
        if let Some(root) = self.root.get() {
            return root.try_clone().map_err(failed);
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let opened = nix::fcntl::open(&self.path, flags, Mode::empty());
        let opened = opened.map_err(|errno| failed(errno.into()))?;
        self.root.get_or_init(|| opened).try_clone().map_err(failed)
    }

    /// Who changes what at the moment.
    pub(crate) fn changing(&self) -> Arc<Changing> {
        self.changing.clone()
    }

    /// Nobody else changes this place until what is answered is dropped: the names beside it are then
    /// ours alone.
    fn take(&self, spot: &Spot) -> Held<'_> {
        self.changing.hold(&self.path.join(spot.path.to_string().trim_start_matches('/')))
    }

    fn allow(&self, path: &Plain, access: Access) -> Result<(), Error> {
        let path = path.to_string();
        let denied = match access {
            Access::Read => self.allowed.check(|grants| grants.read(&path)),
            Access::Write => self.allowed.check(|grants| grants.write(&path)),
        };
        denied.map_err(|denied| Error::Denied(denied.to_string()))
    }

    /// Finds the directory of `path`, following the links on the way that may be followed.
    fn spot(&self, path: &str, access: Access, missing: Missing) -> Result<Spot, Error> {
        let mut path = Plain::parse(path)?;
        self.allow(&path, access)?;
        for _ in 0..MOST_LINKS {
            match self.walk(&path, missing)? {
                Walked::There(spot) => return Ok(spot),
                Walked::Link { at, link } => path = self.through(&path, at, &link, access)?,
            }
        }
        Err(Error::Invalid(format!("`{path}`: more than {MOST_LINKS} links on the way")))
    }

    /// Like [`Tree::spot`], and follows the last part too if it is a link.
    fn spot_behind_links(&self, path: &str, access: Access) -> Result<Spot, Error> {
        let mut spot = self.spot(path, access, Missing::Refuse)?;
        for _ in 0..MOST_LINKS {
            let Some(link) = open_link(&spot.dir, &spot.name) else { return Ok(spot) };
            let last = spot.path.parts().len().saturating_sub(1);
            let behind = self.through(&spot.path, last, &link, access)?;
            spot = self.spot(&behind.to_string(), access, Missing::Refuse)?;
        }
        Err(Error::Invalid(format!("`{path}`: more than {MOST_LINKS} links on the way")))
    }

    fn walk(&self, path: &Plain, missing: Missing) -> Result<Walked, Error> {
        let mut dir = self.root()?;
        let Some((name, above)) = path.parts().split_last() else {
            let name = ".".to_owned();
            return Ok(Walked::There(Spot { dir, name, path: path.clone() }));
        };
        for (at, part) in above.iter().enumerate() {
            let opened = match open_dir(&dir, part) {
                Err(Errno::ENOENT) if missing == Missing::Make => {
                    make_dir(&dir, part).and_then(|()| open_dir(&dir, part))
                }
                opened => opened,
            };
            dir = match opened {
                Ok(next) => next,
                Err(errno) => match open_link(&dir, part) {
                    Some(link) => return Ok(Walked::Link { at, link }),
                    None => return Err(failed(errno, "open", &path.up_to(at))),
                },
            };
        }
        Ok(Walked::There(Spot { dir, name: name.clone(), path: path.clone() }))
    }

    /// The path that `path` becomes when the link at part `at` is followed.
    fn through(
        &self,
        path: &Plain,
        at: usize,
        link: &OwnedFd,
        access: Access,
    ) -> Result<Plain, Error> {
        let here = path.up_to(at);
        let owner = fstat(link).map_err(|errno| failed(errno, "look at", &here))?.st_uid;
        if owner != 0 && owner != self.user.as_raw() {
            return Err(Error::Denied(format!(
                "the link `{here}` belongs to user {owner}: only links that root or the agent \
                 made are followed"
            )));
        }
        let target = readlinkat(link, "").map_err(|errno| failed(errno, "read the link", &here))?;
        let target = target.into_string().map_err(|_| {
            Error::Invalid(format!("the link `{here}` leads to a name that is not UTF-8"))
        })?;
        let behind = path.redirect(at, &target);
        self.allow(&behind, access).map_err(|error| match error {
            Error::Denied(why) => {
                Error::Denied(format!("the link `{here}` leads to `{behind}`: {why}"))
            }
            other => other,
        })?;
        Ok(behind)
    }
}

enum Walked {
    There(Spot),
    Link { at: usize, link: OwnedFd },
}

/// Opens `name` in `dir`, never through a link.
fn open_beneath(dir: impl AsFd, name: &str, flags: OFlag, mode: Mode) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new()
        .flags(flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
        .mode(mode)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    openat2(dir, name, how)
}

fn open_dir(dir: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    open_beneath(dir, name, OFlag::O_PATH | OFlag::O_DIRECTORY, Mode::empty())
}

/// The link `name` itself, if it is one.
fn open_link(dir: impl AsFd, name: &str) -> Option<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let link = openat(dir, name, flags, Mode::empty()).ok()?;
    readlinkat(&link, "").is_ok().then_some(link)
}

/// Makes a directory, unless another made it first.
fn make_dir(dir: impl AsFd, name: &str) -> Result<(), Errno> {
    match mkdirat(dir, name, Mode::from_bits_truncate(0o755)) {
        Err(Errno::EEXIST) => Ok(()),
        made => made,
    }
}

/// What an error of the system means to a component.
fn failed(errno: Errno, doing: &str, path: &impl std::fmt::Display) -> Error {
    let why = errno.desc();
    match errno {
        Errno::ENOENT => Error::NotFound(format!("`{path}` does not exist")),
        Errno::ENOTDIR | Errno::EISDIR | Errno::ELOOP | Errno::ENAMETOOLONG | Errno::ENOTEMPTY => {
            Error::Invalid(format!("{doing} `{path}`: {why}"))
        }
        Errno::EXDEV => {
            Error::Invalid(format!("{doing} `{path}`: another file system is mounted there"))
        }
        Errno::EPERM | Errno::EACCES => Error::Failed(format!(
            "{doing} `{path}`: {why}; the agent itself, as user {}, may not do this",
            geteuid()
        )),
        _ => Error::Failed(format!("{doing} `{path}`: {why}")),
    }
}

/// What an error of the library means to a component.
fn failed_io(error: &std::io::Error, doing: &str, path: &impl std::fmt::Display) -> Error {
    match error.raw_os_error() {
        Some(errno) => failed(Errno::from_raw(errno), doing, path),
        None => Error::Failed(format!("{doing} `{path}`: {error}")),
    }
}
