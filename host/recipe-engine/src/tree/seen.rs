//! How a place is, in a journal's words.

use super::{Spot, Tree, failed, open_beneath};
use crate::bindings::interfaces::files::{Kind, Metadata};
use crate::bindings::interfaces::types::Error;
use crate::journal::{Signature, Stamp};
use cerebro_model::{Form, Seen};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{Mode, UtimensatFlags, fstat, fstatat, utimensat};
use nix::sys::time::TimeSpec;
use rustix::fs::{XattrFlags, fgetxattr, fsetxattr};
use sha2::{Digest, Sha256};

/// capabilities(7): taken away by the kernel when a file gets another owner.
const CAPABILITIES: &str = "security.capability";

impl From<&Metadata> for Seen {
    fn from(found: &Metadata) -> Self {
        let form = match found.kind {
            Kind::File => Form::File,
            Kind::Directory => Form::Directory,
            Kind::Symlink => Form::Link,
            Kind::Special => Form::Special,
        };
        Self {
            form,
            mode: if form == Form::Link { 0 } else { found.mode },
            uid: found.uid,
            gid: found.gid,
            size: (form == Form::File).then_some(found.size),
            digest: None,
            target: found.target.clone(),
        }
    }
}

impl Tree {
    /// How a place is, with the digest of a file's content.
    pub(super) fn seen(&self, spot: &Spot) -> Result<Option<Seen>, Error> {
        let Some(found) = self.metadata(spot)? else { return Ok(None) };
        let mut seen = Seen::from(&found);
        if seen.form == Form::File {
            seen.digest = Some(self.digest_at(spot)?);
        }
        Ok(Some(seen))
    }
}

impl Spot {
    /// When the directory was changed last.
    pub(super) fn stamp(&self) -> Result<Stamp, Error> {
        let found = fstat(self.dir()?).map_err(|errno| failed(errno, "look at", &self.path))?;
        Ok((found.st_mtime, found.st_mtime_nsec))
    }

    /// Has the directory look as if it had been changed last at that time.
    pub(super) fn set_stamp(&self, stamp: Stamp) -> Result<(), Error> {
        let modified = TimeSpec::new(stamp.0, stamp.1);
        let flags = UtimensatFlags::NoFollowSymlink;
        match utimensat(self.dir()?, ".", &TimeSpec::UTIME_OMIT, &modified, flags) {
            // Somebody else's directory, in which the agent may write.
            Ok(()) | Err(Errno::EPERM | Errno::EACCES) => Ok(()),
            Err(errno) => Err(failed(errno, "set the time of the directory of", &self.path)),
        }
    }

    /// What a program there may do beyond its user, in the kernel's own form.
    pub(super) fn capabilities(&self) -> Result<Option<Vec<u8>>, Error> {
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
        let Ok(file) = open_beneath(self.dir()?, &self.name, flags, Mode::empty()) else {
            return Ok(None);
        };
        let mut value = [0; 64];
        match fgetxattr(&file, CAPABILITIES, &mut value) {
            Ok(length) => Ok(value.get(..length).map(<[u8]>::to_vec)),
            // It has none, or the file system knows of none.
            Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP) => Ok(None),
            Err(errno) => Err(failed(
                Errno::from_raw(errno.raw_os_error()),
                "look at the capabilities of",
                &self.path,
            )),
        }
    }

    /// Gives a program back what it might do.
    pub(super) fn set_capabilities(&self, value: &[u8]) -> Result<(), Error> {
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
        let file = open_beneath(self.dir()?, &self.name, flags, Mode::empty());
        let set = file.and_then(|file| {
            fsetxattr(&file, CAPABILITIES, value, XattrFlags::empty())
                .map_err(|errno| Errno::from_raw(errno.raw_os_error()))
        });
        set.map_err(|errno| failed(errno, "give back the capabilities of", &self.path))
    }

    /// What tells that what is there is still the same; none if nothing is there.
    pub(super) fn signature(&self) -> Result<Option<Signature>, Error> {
        match fstatat(self.dir()?, self.name.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(Some(Signature {
                inode: found.st_ino,
                modified: (found.st_mtime, found.st_mtime_nsec),
                changed: (found.st_ctime, found.st_ctime_nsec),
            })),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(failed(errno, "look at", &self.path)),
        }
    }

    /// The inode, if something is there.
    pub(super) fn inode(&self) -> Result<Option<u64>, Error> {
        match fstatat(self.dir()?, self.name.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(Some(found.st_ino)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(failed(errno, "look at", &self.path)),
        }
    }
}

/// The SHA-256 of `content`, as 64 hexadecimal digits.
pub(super) fn sha256(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
