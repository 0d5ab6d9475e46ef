//! Changing files, directories and links, each at once.

use super::{Access, Missing, Spot, Tree, failed, failed_io, open_beneath};
use crate::bindings::interfaces::files::{Kind, Metadata};
use crate::bindings::interfaces::types::{Change, Error};
use nix::errno::Errno;
use nix::fcntl::{OFlag, renameat};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, symlinkat, unlinkat};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};

/// A user and a group of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// How a file or directory should be; what is left out stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) mode: Option<u32>,
    pub(crate) owner: Option<Owner>,
}

impl Attributes {
    /// Whether `found` is so already.
    pub(super) fn hold(&self, found: &Metadata) -> bool {
        self.mode.is_none_or(|mode| mode & 0o7777 == found.mode)
            && self.owner.is_none_or(|o| (o.uid, o.gid) == (found.uid, found.gid))
    }

    /// These, with what they leave out taken from what is there, or from the defaults.
    pub(super) fn complete(self, found: Option<&Metadata>, mode: u32) -> Self {
        Self {
            mode: self.mode.or(found.map(inherited)).or(Some(mode)),
            owner: self.owner.or(found.map(|f| Owner { uid: f.uid, gid: f.gid })),
        }
    }

    pub(super) fn apply(&self, file: impl AsFd) -> Result<(), Errno> {
        if let Some(owner) = self.owner {
            set_owner(&file, owner)?;
        }
        // After the owner: changing that clears the set-id bits.
        match self.mode {
            Some(mode) => fchmod(&file, Mode::from_bits_truncate(mode & 0o7777)),
            None => Ok(()),
        }
    }
}

/// The mode of what is there, for what replaces it: other content does not inherit privileges.
fn inherited(found: &Metadata) -> u32 {
    match found.kind {
        Kind::File => found.mode & !0o6000,
        _ => found.mode,
    }
}

/// Gives `file` to `owner`; nothing to do, and no privilege needed, if it belongs to it.
pub(super) fn set_owner(file: impl AsFd, owner: Owner) -> Result<(), Errno> {
    let found = nix::sys::stat::fstat(&file)?;
    if (found.st_uid, found.st_gid) == (owner.uid, owner.gid) {
        return Ok(());
    }
    fchown(file, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))
}

impl Tree {
    pub(crate) fn write(
        &self,
        path: &str,
        content: &[u8],
        attributes: Attributes,
    ) -> Result<Change, Error> {
        let spot = self.spot_to_change(path, Missing::Refuse)?;
        let _changing = self.take(&spot);
        let found = spot.metadata()?;
        if let Some(found) = &found {
            if found.kind != Kind::File {
                return Err(Error::Invalid(format!("`{}` is not a regular file", spot.path)));
            }
            if attributes.hold(found) && spot.holds(content, found)? {
                return Ok(Change::Unchanged);
            }
        }
        let new = spot.beside("new");
        spot.clear(&new)?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
        let file = open_beneath(&spot.dir, &new, flags, Mode::from_bits_truncate(0o600))
            .map_err(|errno| failed(errno, "make a file beside", &spot.path))?;
        let attributes = attributes.complete(found.as_ref(), 0o644);
        let filled = fill(file, content, attributes)
            .and_then(|()| renameat(&spot.dir, new.as_str(), &spot.dir, spot.name.as_str()));
        if let Err(errno) = filled {
            spot.clear(&new)?;
            return Err(failed(errno, "write", &spot.path));
        }
        Ok(if found.is_some() { Change::Updated } else { Change::Created })
    }

    pub(crate) fn directory(&self, path: &str, attributes: Attributes) -> Result<Change, Error> {
        let spot = self.spot_to_change(path, Missing::Make)?;
        let _changing = self.take(&spot);
        let found = spot.metadata()?;
        match &found {
            Some(found) if found.kind != Kind::Directory => {
                return Err(Error::Invalid(format!(
                    "`{}` is there and is not a directory",
                    spot.path
                )));
            }
            Some(found) if attributes.hold(found) => return Ok(Change::Unchanged),
            Some(_) => {}
            None => mkdirat(&spot.dir, spot.name.as_str(), Mode::from_bits_truncate(0o700))
                .map_err(|errno| failed(errno, "make the directory", &spot.path))?,
        }
        let dir = spot.open_to_list()?;
        attributes
            .complete(found.as_ref(), 0o755)
            .apply(&dir)
            .map_err(|errno| failed(errno, "set owner and mode of", &spot.path))?;
        Ok(if found.is_some() { Change::Updated } else { Change::Created })
    }

    pub(crate) fn symlink(&self, path: &str, target: &str) -> Result<Change, Error> {
        if target.is_empty() || target.len() > 4095 || target.contains('\0') {
            return Err(Error::Invalid(format!("`{target}` is not a target for a link")));
        }
        let spot = self.spot_to_change(path, Missing::Refuse)?;
        let _changing = self.take(&spot);
        let found = spot.metadata()?;
        match &found {
            Some(found) if found.kind != Kind::Symlink => {
                return Err(Error::Invalid(format!("`{}` is there and is not a link", spot.path)));
            }
            Some(found) if found.target.as_deref() == Some(target) => return Ok(Change::Unchanged),
            _ => {}
        }
        let new = spot.beside("new");
        spot.clear(&new)?;
        symlinkat(target, &spot.dir, new.as_str())
            .and_then(|()| renameat(&spot.dir, new.as_str(), &spot.dir, spot.name.as_str()))
            .map_err(|errno| failed(errno, "make the link", &spot.path))?;
        Ok(if found.is_some() { Change::Updated } else { Change::Created })
    }

    /// Where a change to `path` takes place. The root itself is not changed.
    pub(super) fn spot_to_change(&self, path: &str, missing: Missing) -> Result<Spot, Error> {
        let spot = self.spot(path, Access::Write, missing)?;
        match spot.name.as_str() {
            "." => Err(Error::Invalid("`/` itself cannot be changed".to_owned())),
            _ => Ok(spot),
        }
    }
}

impl Spot {
    /// A name for what will take this place; nobody else's while this is held.
    pub(super) fn beside(&self, what: &str) -> String {
        format!(".{}.cerebro-{what}", self.name)
    }

    /// Removes what an interrupted change may have left.
    fn clear(&self, name: &str) -> Result<(), Error> {
        match unlinkat(&self.dir, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(failed(errno, "clear the way for", &self.path)),
        }
    }

    fn holds(&self, content: &[u8], found: &Metadata) -> Result<bool, Error> {
        if found.size != content.len() as u64 {
            return Ok(false);
        }
        let file = open_beneath(&self.dir, &self.name, OFlag::O_RDONLY, Mode::empty())
            .map_err(|errno| failed(errno, "open", &self.path))?;
        let mut there = Vec::with_capacity(content.len());
        File::from(file)
            .take(found.size + 1)
            .read_to_end(&mut there)
            .map_err(|e| failed_io(&e, "read", &self.path))?;
        Ok(there == content)
    }
}

fn fill(file: OwnedFd, content: &[u8], attributes: Attributes) -> Result<(), Errno> {
    let mut file = File::from(file);
    file.write_all(content).map_err(|e| e.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
    attributes.apply(&file)
}
