//! Removing trees.

use super::look::names;
use super::perform::Deed;
use super::{Spot, Tree, failed};
use crate::bindings::interfaces::types::{Change, Error};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::ffi::{CStr, CString};
use std::os::fd::AsFd;

/// Directories within directories, before a tree counts as a trap.
const DEEPEST: u32 = 200;

impl Tree {
    pub(crate) fn remove(&self, path: &str) -> Result<Change, Error> {
        let spot = match self.spot_to_change(path) {
            Err(Error::NotFound(_)) => return Ok(Change::Unchanged),
            spot => spot?,
        };
        let _changing = self.take(&spot);
        if let Some(why) = self.unknown_at(&spot) {
            return self.plan_over(&spot, &Deed::Remove, &why);
        }
        let Some(found) = self.metadata(&spot)? else { return Ok(Change::Unchanged) };
        self.perform(&spot, Some(&found), &Deed::Remove)?;
        Ok(Change::Removed)
    }
}

impl Spot {
    /// Removes `name`, a neighbour of this spot; false if it was not there.
    pub(super) fn remove(&self, name: &str) -> Result<bool, Error> {
        match remove_in(self.dir()?, name) {
            Ok(()) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(failed(errno, "remove", &self.path)),
        }
    }
}

/// Removes `name` in `dir`, with all that is in it.
pub(super) fn remove_in(dir: impl AsFd, name: &str) -> Result<(), Errno> {
    let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
    remove(dir, &name, 0)
}

fn remove(dir: impl AsFd, name: &CStr, depth: u32) -> Result<(), Errno> {
    match unlinkat(&dir, name, UnlinkatFlags::NoRemoveDir) {
        Err(Errno::EISDIR) => {}
        removed => return removed,
    }
    if depth == DEEPEST {
        return Err(Errno::ENAMETOOLONG);
    }
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
        .resolve(
            ResolveFlag::RESOLVE_BENEATH
                | ResolveFlag::RESOLVE_NO_SYMLINKS
                | ResolveFlag::RESOLVE_NO_XDEV,
        );
    let mut inner = Dir::from_fd(openat2(&dir, name, how)?)?;
    for entry in names(&mut inner)? {
        match remove(&inner, &entry, depth + 1) {
            // Another removed it first.
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    unlinkat(&dir, name, UnlinkatFlags::RemoveDir)
}
