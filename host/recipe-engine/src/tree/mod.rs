//! A machine's files, below a root directory and within grants.
//!
//! Every path is walked from the root by directory descriptors, one part at a time, with
//! `openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)`, so that nothing can be swapped for a link
//! between looking and acting. A symbolic link on the way is followed only if root or the agent's
//! own user made it, and the path that it leads to, looked up from the same root, must be granted
//! for the same access. What is acted upon, the last part, is never a link that is followed, except
//! when reading and listing.

mod ahead;
mod archive;
mod bulk;
mod change;
mod changing;
mod drift;
mod keep;
mod layer;
mod look;
mod manifest;
mod open;
mod path;
mod perform;
mod release;
mod remove;
mod seen;
mod shadow;
mod take_over;
#[cfg(test)]
mod tests;
mod undo;
mod unpack;

use crate::bindings::interfaces::files::Kind;
use crate::bindings::interfaces::types::Error;
use crate::journal::Ledger;
use cerebro_model::{Action, Allowed, account_to_be};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::unistd::{Uid, geteuid};
use path::Plain;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

pub(crate) use bulk::{Content, Node};
pub(crate) use change::{Attributes, Owner};
pub(crate) use changing::{Changing, Held};
use keep::is_kept;
pub(crate) use layer::{Budget, Layer};
pub(crate) use release::{Layout, Release, Shared, path as release_path};
use shadow::Shadow;
pub(crate) use undo::{Undo, Undone};
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
    ledger: Arc<Ledger>,
    /// What a plan takes for the machine's files, in their place.
    shadow: Option<Mutex<Shadow>>,
}

/// What a path is wanted for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// A name in a directory: where an effect takes place.
struct Spot {
    dir: Dir,
    name: String,
    /// Where it really is: no part of the way is a link.
    path: Plain,
}

/// The directory of a spot.
enum Dir {
    /// One that is open.
    Open(OwnedFd),
    /// One that a plan knows, which may be none of the machine's.
    Planned,
}

impl Spot {
    /// The open directory. What asks for it has no business in a plan.
    fn dir(&self) -> Result<&OwnedFd, Error> {
        match &self.dir {
            Dir::Open(dir) => Ok(dir),
            Dir::Planned => {
                Err(Error::Failed(format!("`{}` is not there: it is planned", self.path)))
            }
        }
    }
}

/// A symbolic link on the way.
struct Link {
    owner: u32,
    target: String,
}

impl Tree {
    /// The files below `root`, which is opened once one of them is wanted.
    pub(crate) fn new(
        root: &Path,
        allowed: Allowed,
        changing: Arc<Changing>,
        ledger: Arc<Ledger>,
    ) -> Self {
        let (path, root, user) = (root.to_owned(), OnceLock::new(), geteuid());
        let shadow = ledger.plan().map(|_| Mutex::new(Shadow::new()));
        Self { path, root, allowed, user, changing, ledger, shadow }
    }

    /// What a plan takes for the files.
    fn shadow(&self) -> Option<MutexGuard<'_, Shadow>> {
        self.shadow.as_ref().map(|shadow| shadow.lock().unwrap_or_else(PoisonError::into_inner))
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

    /// A plan is asked for what nobody can know yet: it ends here.
    fn unknown(&self, path: &Plain, why: &str) -> Error {
        let told = format!("`{path}` is not known: {why}");
        if let Some(plan) = self.ledger.plan() {
            plan.cut(told.clone());
        }
        Error::Failed(told)
    }

    /// The number of an account that is not there, but that the plan makes.
    pub(crate) fn to_be(&self, name: &str) -> Option<u32> {
        let is_it = |action: &Action| matches!(action, Action::Account { name: own, new: true, .. } if own == name);
        self.ledger.plan()?.find(is_it).map(account_to_be)
    }

    /// An account is not there: that is no error where packages may bring it.
    pub(crate) fn not_yet(&self, why: String) -> Error {
        if let Some(plan) = self.ledger.plan()
            && plan.find(|action| matches!(action, Action::Packages { .. })).is_some()
        {
            plan.cut(format!("{why} yet: it may have one once what comes before was done"));
        }
        Error::NotFound(why)
    }

    /// In a plan, nobody knows from here on what is below `path`.
    pub(crate) fn taint(&self, path: &str, why: &str) -> Result<(), Error> {
        let path = Plain::parse(path)?;
        match self.shadow() {
            Some(mut shadow) => shadow.taint(self, &path, why),
            None => Ok(()),
        }
    }

    /// Nobody else changes this place until what is answered is dropped: the names beside it are then
    /// ours alone.
    fn take(&self, spot: &Spot) -> Option<Held<'_>> {
        // A plan changes nothing.
        let is_real = self.shadow.is_none();
        is_real.then(|| {
            self.changing.hold(&self.path.join(spot.path.to_string().trim_start_matches('/')))
        })
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
    fn spot(&self, path: &str, access: Access) -> Result<Spot, Error> {
        let path = Plain::parse(path)?;
        self.allow(&path, access)?;
        self.find(path, access)
    }

    fn find(&self, path: Plain, access: Access) -> Result<Spot, Error> {
        let asked = path.clone();
        self.find_for(&asked, path, access)
    }

    /// The same for a path on the way to the one that was `asked` for, which an error names.
    fn find_for(&self, asked: &Plain, mut path: Plain, access: Access) -> Result<Spot, Error> {
        for _ in 0..MOST_LINKS {
            match self.walk(&path)? {
                Walked::There(spot) => return Ok(spot),
                Walked::Link { at, link } => path = self.through(&path, at, &link, access)?,
            }
        }
        Err(Error::Invalid(format!("`{asked}`: more than {MOST_LINKS} links on the way")))
    }

    /// Like [`Tree::spot`], and makes the directories that are missing on the way. They need no
    /// grant of their own.
    fn spot_in_made(&self, path: &str, access: Access) -> Result<Spot, Error> {
        let whole = Plain::parse(path)?;
        self.allow(&whole, access)?;
        // In a plan, nobody may know whether they are there. What is in the way is found below, so that
        // it is told in the same words.
        if self.shadow.is_none()
            && let Ok(found) = self.find(whole.clone(), access)
        {
            return Ok(found);
        }
        for at in 0..whole.parts().len().saturating_sub(1) {
            let spot = self.find_for(&whole, whole.up_to(at), access)?;
            self.make_missing(&spot)?;
        }
        self.spot(path, access)
    }

    /// Like [`Tree::spot`], and follows the last part too if it is a link.
    fn spot_behind_links(&self, path: &str, access: Access) -> Result<Spot, Error> {
        let mut spot = self.spot(path, access)?;
        for _ in 0..MOST_LINKS {
            let Some(link) = self.link_at(&spot)? else { return Ok(spot) };
            let last = spot.path.parts().len().saturating_sub(1);
            let behind = self.through(&spot.path, last, &link, access)?;
            spot = self.spot(&behind.to_string(), access)?;
        }
        Err(Error::Invalid(format!("`{path}`: more than {MOST_LINKS} links on the way")))
    }

    fn walk(&self, path: &Plain) -> Result<Walked, Error> {
        match self.shadow() {
            Some(shadow) => shadow.walk(self, path),
            None => self.walk_real(path),
        }
    }

    /// Walks the machine's own directories.
    fn walk_real(&self, path: &Plain) -> Result<Walked, Error> {
        let mut dir = self.root()?;
        let Some((name, above)) = path.parts().split_last() else {
            let (name, path) = (".".to_owned(), path.clone());
            return Ok(Walked::There(Spot { dir: Dir::Open(dir), name, path }));
        };
        for (at, part) in above.iter().enumerate() {
            dir = match open_dir(&dir, part) {
                Ok(next) => next,
                Err(errno) => match read_link(&dir, part, &path.up_to(at))? {
                    Some(link) => return Ok(Walked::Link { at, link }),
                    None => return Err(failed(errno, "open", &path.up_to(at))),
                },
            };
        }
        let (dir, name, path) = (Dir::Open(dir), name.clone(), path.clone());
        Ok(Walked::There(Spot { dir, name, path }))
    }

    /// A place in the machine's own directories, where no part of the way is a link any longer.
    fn exactly(&self, path: &Plain) -> Result<Spot, Error> {
        match self.walk_real(path)? {
            Walked::There(spot) => Ok(spot),
            Walked::Link { at, .. } => {
                Err(Error::Invalid(format!("`{}` is a link now", path.up_to(at))))
            }
        }
    }

    /// The link that is at this spot, if one is.
    fn link_at(&self, spot: &Spot) -> Result<Option<Link>, Error> {
        match &spot.dir {
            Dir::Open(dir) => read_link(dir, &spot.name, &spot.path),
            Dir::Planned => Ok(self.metadata(spot)?.and_then(|found| {
                let target = found.target.filter(|_| found.kind == Kind::Symlink)?;
                Some(Link { owner: found.uid, target })
            })),
        }
    }

    /// The path that `path` becomes when the link at part `at` is followed.
    fn through(
        &self,
        path: &Plain,
        at: usize,
        link: &Link,
        access: Access,
    ) -> Result<Plain, Error> {
        let (here, Link { owner, target }) = (path.up_to(at), link);
        if *owner != 0 && *owner != self.user.as_raw() {
            return Err(Error::Denied(format!(
                "the link `{here}` belongs to user {owner}: only links that root or the agent \
                 made are followed"
            )));
        }
        let behind = path.redirect(at, target);
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
    Link { at: usize, link: Link },
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
fn read_link(dir: impl AsFd, name: &str, path: &Plain) -> Result<Option<Link>, Error> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let Ok(link) = openat(dir, name, flags, Mode::empty()) else { return Ok(None) };
    let Ok(target) = readlinkat(&link, "") else { return Ok(None) };
    let owner = fstat(&link).map_err(|errno| failed(errno, "look at", path))?.st_uid;
    let target = target.into_string().map_err(|_| {
        Error::Invalid(format!("the link `{path}` leads to a name that is not UTF-8"))
    })?;
    Ok(Some(Link { owner, target }))
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
