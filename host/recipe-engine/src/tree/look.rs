//! Looking at files.

use super::{Access, Missing, Spot, Tree, failed, failed_io, open_beneath};
use crate::bindings::interfaces::files::{Entry, Kind, Metadata};
use crate::bindings::interfaces::types::Error;
use nix::NixPath;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use std::ffi::CString;
use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

/// Entries that a listing may have.
const MOST_ENTRIES: usize = 100_000;

fn not_regular(path: &impl Display) -> Error {
    Error::Invalid(format!("`{path}` is not a regular file"))
}

impl Tree {
    pub(crate) fn stat(&self, path: &str) -> Result<Option<Metadata>, Error> {
        match self.spot(path, Access::Read, Missing::Refuse) {
            Ok(spot) => spot.metadata(),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a regular file.
    pub(super) fn open_to_read(&self, path: &str) -> Result<File, Error> {
        let spot = self.spot_behind_links(path, Access::Read)?;
        // Without O_NONBLOCK, opening a named pipe would wait for its other end.
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
        let file =
            open_beneath(&spot.dir, &spot.name, flags, Mode::empty()).map_err(
                |errno| match errno {
                    // A socket.
                    Errno::ENXIO => not_regular(&spot.path),
                    _ => failed(errno, "open", &spot.path),
                },
            )?;
        let file = File::from(file);
        let found = file.metadata().map_err(|e| failed_io(&e, "look at", &spot.path))?;
        if !found.is_file() {
            return Err(not_regular(&spot.path));
        }
        // Whoever may write to a directory can give a file of others a name in it, where the kernel
        // does not prevent it.
        if found.nlink() > 1 {
            let dir = fstat(&spot.dir).map_err(|errno| failed(errno, "look at", &spot.path))?;
            if dir.st_uid != found.uid() {
                return Err(Error::Invalid(format!(
                    "`{}` has other names (hard links), and belongs to another user than its \
                     directory: it may be a file of somebody else's",
                    spot.path
                )));
            }
        }
        Ok(file)
    }

    pub(crate) fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, Error> {
        let mut content = Vec::new();
        self.open_to_read(path)?
            .take(limit.saturating_add(1))
            .read_to_end(&mut content)
            .map_err(|e| failed_io(&e, "read", &path))?;
        if content.len() as u64 > limit {
            return Err(Error::TooLarge(format!("`{path}` is larger than {limit} bytes")));
        }
        Ok(content)
    }

    pub(crate) fn list(&self, path: &str) -> Result<Vec<Entry>, Error> {
        let spot = self.spot_behind_links(path, Access::Read)?;
        let mut entries = Vec::new();
        let mut dir = spot.open_to_list()?;
        let names = names(&mut dir).map_err(|errno| failed(errno, "list", &spot.path))?;
        if names.len() > MOST_ENTRIES {
            return Err(Error::TooLarge(format!(
                "`{}` has more than {MOST_ENTRIES} entries",
                spot.path
            )));
        }
        for name in names {
            // What vanished meanwhile is left out.
            if let Some(metadata) = metadata(&dir, name.as_c_str(), &spot.path)? {
                entries.push(Entry { name: name.to_string_lossy().into_owned(), metadata });
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }
}

impl Spot {
    /// What is there, without following a link.
    pub(super) fn metadata(&self) -> Result<Option<Metadata>, Error> {
        metadata(&self.dir, self.name.as_str(), &self.path)
    }

    pub(super) fn open_to_list(&self) -> Result<Dir, Error> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        open_beneath(&self.dir, &self.name, flags, Mode::empty())
            .and_then(Dir::from_fd)
            .map_err(|errno| failed(errno, "open", &self.path))
    }
}

/// The names in a directory, but `.` and `..`.
pub(super) fn names(dir: &mut Dir) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in dir.iter() {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

fn metadata<Name: NixPath + ?Sized>(
    dir: impl AsFd,
    name: &Name,
    path: &impl std::fmt::Display,
) -> Result<Option<Metadata>, Error> {
    let found = match fstatat(&dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(found) => found,
        Err(Errno::ENOENT) => return Ok(None),
        Err(errno) => return Err(failed(errno, "look at", path)),
    };
    let kind = kind(&found);
    let target = match kind {
        Kind::Symlink => readlinkat(&dir, name).ok().map(|t| t.to_string_lossy().into_owned()),
        _ => None,
    };
    Ok(Some(Metadata {
        kind,
        size: u64::try_from(found.st_size).unwrap_or_default(),
        mode: found.st_mode & 0o7777,
        uid: found.st_uid,
        gid: found.st_gid,
        modified: found.st_mtime,
        target,
    }))
}

fn kind(found: &FileStat) -> Kind {
    match SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => Kind::File,
        SFlag::S_IFDIR => Kind::Directory,
        SFlag::S_IFLNK => Kind::Symlink,
        _ => Kind::Special,
    }
}
