//! Unpacking archives: beside the place first, then into it at once.

use super::archive::{Sink, breaks_off, permissions};
use super::change::{Owner, set_owner};
use super::keep::Keep;
use super::perform::Deed;
use super::{Access, Spot, Tree, failed, failed_io, make_dir, manifest, open_beneath, open_dir};
use crate::bindings::interfaces::files::Kind;
use crate::bindings::interfaces::types::{Change, Error};
use cerebro_model::Digest;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, renameat2};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, linkat, symlinkat, unlinkat};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Instant;

/// The file that says from what a directory was unpacked.
const MARK: &str = ".cerebro-artifact";

/// What to unpack, and how.
pub(crate) struct Unpack<'a> {
    pub(crate) archive: &'a Path,
    pub(crate) digest: Digest,
    pub(crate) strip: usize,
    pub(crate) owner: Option<Owner>,
    pub(crate) most_bytes: u64,
    pub(crate) most_entries: u64,
    pub(crate) deadline: Instant,
}

impl Tree {
    pub(crate) fn unpack(&self, path: &str, unpack: &Unpack<'_>) -> Result<Change, Error> {
        let spot = self.spot_in_made(path, Access::Write).and_then(super::change::changeable)?;
        let _changing = self.take(&spot);
        let found = self.metadata(&spot)?;
        let is_same = match &found {
            None => false,
            Some(found) if found.kind != Kind::Directory => {
                return Err(Error::Invalid(format!("`{}` is not a directory", spot.path)));
            }
            Some(_) => self.has_same(&spot, &unpack.mark())?,
        };
        if is_same {
            return Ok(Change::Unchanged);
        }
        self.perform(&spot, found.as_ref(), &Deed::Unpack(unpack))?;
        Ok(if found.is_some() { Change::Updated } else { Change::Created })
    }

    /// Whether the directory at `spot` was unpacked in this way; an error if it is not ours.
    fn has_same(&self, spot: &Spot, mark: &str) -> Result<bool, Error> {
        let at = spot.path.join(MARK);
        match self.content_of(&at, 4096)? {
            Some(text) => Ok(text == mark.as_bytes()),
            None if self.entries_of(spot)?.is_empty() => Ok(false),
            None => Err(Error::Invalid(format!(
                "`{}` is not empty and was not unpacked by Cerebro; remove it first if it may go",
                spot.path
            ))),
        }
    }

    /// Unpacks beside the place, and puts that in it.
    pub(super) fn act_unpack(
        &self,
        spot: &Spot,
        is_over: bool,
        unpack: &Unpack<'_>,
        keep: Option<&Keep>,
    ) -> Result<(), Error> {
        let new = spot.beside("unpack");
        spot.remove(&new)?;
        let placed = unpack.to_dir(spot, &new, keep).and_then(|()| {
            let (dir, name) = (spot.dir()?, spot.name.as_str());
            let how = match is_over {
                true => RenameFlags::RENAME_EXCHANGE,
                false => RenameFlags::RENAME_NOREPLACE,
            };
            renameat2(dir, new.as_str(), dir, name, how)
                .map_err(|errno| failed(errno, "put the directory in its place", &spot.path))?;
            match keep.filter(|_| is_over) {
                Some(keep) => keep.take(spot, &new),
                None => Ok(()),
            }
        });
        if placed.is_err() || is_over {
            // What remains beside is the failure's rest, or what was replaced.
            spot.remove(&new)?;
        }
        placed
    }
}

impl Unpack<'_> {
    /// What tells this from other archives and other ways to unpack it.
    pub(super) fn mark(&self) -> String {
        let owner = self.owner.map_or("-".to_owned(), |o| format!("{}:{}", o.uid, o.gid));
        format!("{} strip={} owner={owner}\n", self.digest, self.strip)
    }

    /// Gives `sink` what the archive holds, and the mark.
    pub(super) fn fill(&self, sink: &mut impl Sink) -> Result<(), Error> {
        self.read_into(sink)?;
        sink.file(&[], MARK, 0o644, &mut self.mark().as_bytes())
    }

    fn to_dir(&self, spot: &Spot, new: &str, keep: Option<&Keep>) -> Result<(), Error> {
        let beside = |errno| failed(errno, "make a directory beside", &spot.path);
        // Closed to others, whoever owns what is in it, until all is in its place.
        mkdirat(spot.dir()?, new, Mode::S_IRWXU).map_err(beside)?;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let dir = open_beneath(spot.dir()?, new, flags, Mode::empty()).map_err(beside)?;
        let mut unpacking = Unpacking { how: self, dir, buffer: vec![0; 1 << 17] };
        self.fill(&mut unpacking)?;
        if let Some(owner) = self.owner {
            set_owner(&unpacking.dir, owner).map_err(beside)?;
        }
        fchmod(&unpacking.dir, permissions(0o755)).map_err(beside)?;
        match keep {
            Some(keep) => manifest::write(&unpacking.dir, &keep.manifest()),
            None => Ok(()),
        }
    }
}

/// An archive on its way into a directory that nobody else knows yet.
struct Unpacking<'a> {
    how: &'a Unpack<'a>,
    dir: OwnedFd,
    /// For what goes from the archive to a file.
    buffer: Vec<u8>,
}

impl Sink for Unpacking<'_> {
    fn file(
        &mut self,
        above: &[String],
        name: &str,
        mode: u32,
        content: &mut dyn Read,
    ) -> Result<(), Error> {
        let dir = self.walk(above)?;
        self.clear(&dir, name)?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
        let file = open_beneath(&dir, name, flags, Mode::from_bits_truncate(0o600))
            .map_err(|errno| failed(errno, "unpack", &name))?;
        let mut file = File::from(file);
        loop {
            let read = content.read(&mut self.buffer).map_err(|error| breaks_off(name, &error))?;
            if read == 0 {
                break;
            }
            file.write_all(&self.buffer[..read]).map_err(|e| failed_io(&e, "unpack", &name))?;
            self.how.in_time()?;
        }
        if let Some(owner) = self.how.owner {
            set_owner(&file, owner).map_err(|errno| failed(errno, "set the owner of", &name))?;
        }
        fchmod(&file, permissions(mode)).map_err(|errno| failed(errno, "set the mode of", &name))
    }

    fn directory(&mut self, parts: &[String], mode: u32) -> Result<(), Error> {
        let dir = self.walk(parts)?;
        // Opened anew: what is opened for its path only has no mode to set.
        let dir = open_beneath(&dir, ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty())
            .map_err(|errno| failed(errno, "open", &parts.join("/")))?;
        // Its owner must be able to fill and to remove it.
        fchmod(&dir, permissions(mode | 0o700))
            .map_err(|errno| failed(errno, "set the mode of", &parts.join("/")))
    }

    fn symlink(&mut self, above: &[String], name: &str, target: &str) -> Result<(), Error> {
        let dir = self.walk(above)?;
        self.clear(&dir, name)?;
        symlinkat(target, &dir, name).map_err(|errno| failed(errno, "unpack the link", &name))?;
        self.own(&dir, name)
    }

    fn hard_link(&mut self, above: &[String], name: &str, target: &[String]) -> Result<(), Error> {
        let failed = |errno| failed(errno, "unpack the link", &name);
        let (last, before) = target.split_last().ok_or_else(|| failed(Errno::EINVAL))?;
        let (from, to) = (self.walk(before)?, self.walk(above)?);
        self.clear(&to, name)?;
        linkat(&from, last.as_str(), &to, name, AtFlags::empty()).map_err(|errno| match errno {
            Errno::ENOENT => Error::Invalid(format!(
                "the archive's `{name}` is a link to `{}`, which does not come before it",
                target.join("/")
            )),
            errno => failed(errno),
        })
    }
}

impl Unpacking<'_> {
    /// Opens a directory of the archive, and makes what is missing on the way. Links are not
    /// followed: an entry behind one is a trick.
    fn walk(&self, parts: &[String]) -> Result<OwnedFd, Error> {
        let failed = |errno| match errno {
            Errno::ENOTDIR => Error::Invalid(format!(
                "the archive has something below `{}`, which is no directory there",
                parts.join("/")
            )),
            errno => failed(errno, "unpack into", &parts.join("/")),
        };
        let mut dir = open_dir(&self.dir, ".").map_err(failed)?;
        for part in parts {
            let next = match open_dir(&dir, part) {
                Err(Errno::ENOENT) => {
                    make_dir(&dir, part).map_err(failed)?;
                    self.own(&dir, part)?;
                    open_dir(&dir, part)
                }
                opened => opened,
            };
            dir = next.map_err(failed)?;
        }
        Ok(dir)
    }

    /// Makes way for a later entry of the same name.
    fn clear(&self, dir: &OwnedFd, name: &str) -> Result<(), Error> {
        match unlinkat(dir, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(failed(errno, "unpack over", &name)),
        }
    }

    fn own(&self, dir: &OwnedFd, name: &str) -> Result<(), Error> {
        let Some(owner) = self.how.owner else { return Ok(()) };
        let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        fchownat(dir, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)
            .map_err(|errno| failed(errno, "set the owner of", &name))
    }
}
