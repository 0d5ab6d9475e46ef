//! What an effect replaces is kept for whoever takes it back: by its old inode, so that nothing is
//! copied and nothing of it is lost. It lies in the call's own directory where that is in the same
//! file system, and else beside its old place, under a name that no component is shown.

use super::path::Plain;
use super::{Spot, failed};
use crate::bindings::interfaces::types::Error;
use crate::journal::{KEPT, Writer};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, open, renameat, renameat2};
use nix::sys::stat::{Mode, fstatat};
use nix::unistd::linkat;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// How the names begin of what is kept beside its old place.
const BESIDE: &str = ".cerebro-kept-";

/// Whether a name is one of something that is kept.
pub(super) fn is_kept(name: &str) -> bool {
    name.starts_with(BESIDE)
}

impl super::Tree {
    /// Removes what the effect `n` has kept: nobody will take it back any longer.
    pub(crate) fn forget_kept(
        &self,
        path: &str,
        directory: &Path,
        id: &str,
        n: u32,
    ) -> Result<(), Error> {
        match self.exactly(&Plain::parse(path)?) {
            Ok(spot) => Keep::new(directory, id, n).forget(&spot),
            // Whoever removed the directory, removed that too.
            Err(Error::NotFound(_) | Error::Invalid(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Where one effect keeps what it replaces.
#[derive(Debug, Clone)]
pub(super) struct Keep {
    directory: PathBuf,
    slot: String,
    beside: String,
}

impl Keep {
    /// The place of the effect `n` of a journal.
    pub(super) fn new(directory: &Path, id: &str, n: u32) -> Self {
        let (slot, beside) = (n.to_string(), format!("{BESIDE}{id}-{n}"));
        Self { directory: directory.join(KEPT), slot, beside }
    }

    pub(super) fn of(writer: &Writer, n: u32) -> Self {
        Self::new(writer.directory(), writer.id(), n)
    }

    /// The file that lists what is in a directory that was unpacked.
    pub(super) fn manifest(&self) -> PathBuf {
        self.directory.join(format!("{}.manifest", self.slot))
    }

    fn store(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        open(&self.directory, flags, Mode::empty())
    }

    /// Keeps the file or link at `spot` under a second name; false if it cannot have one.
    pub(super) fn link(&self, spot: &Spot) -> Result<bool, Error> {
        let dir = spot.dir()?;
        let name = spot.name.as_str();
        let kept =
            match linkat(dir, name, self.store_of(spot)?, self.slot.as_str(), AtFlags::empty()) {
                Err(Errno::EXDEV) => linkat(dir, name, dir, self.beside.as_str(), AtFlags::empty()),
                linked => linked,
            };
        match kept {
            Ok(()) | Err(Errno::EEXIST) => Ok(true),
            // Somebody else's file, too many names, or a file system without such links.
            Err(Errno::EPERM | Errno::EMLINK | Errno::EOPNOTSUPP) => Ok(false),
            Err(errno) => Err(failed(errno, "keep what was at", &spot.path)),
        }
    }

    /// Takes what has the name `name` beside `spot` away from there, and keeps it.
    pub(super) fn take(&self, spot: &Spot, name: &str) -> Result<(), Error> {
        let dir = spot.dir()?;
        let kept = match renameat(dir, name, self.store_of(spot)?, self.slot.as_str()) {
            Err(Errno::EXDEV) => renameat(dir, name, dir, self.beside.as_str()),
            moved => moved,
        };
        kept.map_err(|errno| failed(errno, "keep what was at", &spot.path))
    }

    fn store_of(&self, spot: &Spot) -> Result<OwnedFd, Error> {
        self.store().map_err(|errno| {
            let (path, why) = (self.directory.display(), errno.desc());
            Error::Failed(format!("keep what was at `{}`: open `{path}`: {why}", spot.path))
        })
    }

    /// Whether something is kept for `spot`.
    pub(super) fn has(&self, spot: &Spot) -> Result<bool, Error> {
        Ok(self.find(spot)?.is_some())
    }

    /// The directory and the name of what is kept.
    fn find(&self, spot: &Spot) -> Result<Option<(OwnedFd, &str)>, Error> {
        let dir = spot.dir()?.as_fd().try_clone_to_owned();
        let dir = dir.map_err(|error| super::failed_io(&error, "open", &spot.path))?;
        let places = [(self.store_of(spot)?, self.slot.as_str()), (dir, self.beside.as_str())];
        for (dir, name) in places {
            match fstatat(&dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(_) => return Ok(Some((dir, name))),
                Err(Errno::ENOENT) => {}
                Err(errno) => return Err(failed(errno, "look for what was at", &spot.path)),
            }
        }
        Ok(None)
    }

    /// Puts what is kept back to `spot`, over what is there if `over`.
    pub(super) fn put_back(&self, spot: &Spot, over: bool) -> Result<bool, Error> {
        let Some((dir, name)) = self.find(spot)? else { return Ok(false) };
        let (to, target) = (spot.dir()?, spot.name.as_str());
        let put = match over {
            true => renameat(&dir, name, to, target),
            false => renameat2(&dir, name, to, target, RenameFlags::RENAME_NOREPLACE),
        };
        put.map(|()| true).map_err(|errno| failed(errno, "put back", &spot.path))
    }

    /// Puts a directory that is kept back to `spot`, and removes the one that is there.
    pub(super) fn swap_back(&self, spot: &Spot) -> Result<bool, Error> {
        let Some((dir, name)) = self.find(spot)? else { return Ok(false) };
        let (to, target) = (spot.dir()?, spot.name.as_str());
        renameat2(&dir, name, to, target, RenameFlags::RENAME_EXCHANGE)
            .map_err(|errno| failed(errno, "put back", &spot.path))?;
        self.forget(spot)?;
        Ok(true)
    }

    /// What is kept is not needed any longer.
    pub(super) fn forget(&self, spot: &Spot) -> Result<(), Error> {
        let Some((dir, name)) = self.find(spot)? else { return Ok(()) };
        super::remove::remove_in(&dir, name).map_err(|errno| failed(errno, "remove", &spot.path))
    }
}
