//! Looking at files.

use super::seen::hex;
use super::{Access, Plain, Spot, Tree, failed, failed_io, is_kept, open_beneath};
use crate::bindings::interfaces::files::{Entry, Kind, Metadata};
use crate::bindings::interfaces::types::Error;
use nix::NixPath;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use sha2::{Digest, Sha256};
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
        match self.spot(path, Access::Read) {
            Ok(spot) => self.metadata(&spot),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a regular file.
    fn open_to_read(&self, path: &str) -> Result<Box<dyn Read>, Error> {
        let spot = self.spot_behind_links(path, Access::Read)?;
        if let Some(shadow) = self.shadow() {
            return shadow.open(self, &spot.path);
        }
        let file = spot.open_file()?;
        let found = file.metadata().map_err(|e| failed_io(&e, "look at", &spot.path))?;
        // Whoever may write to a directory can give a file of others a name in it, where the kernel
        // does not prevent it.
        if found.nlink() > 1 {
            let dir = fstat(spot.dir()?).map_err(|errno| failed(errno, "look at", &spot.path))?;
            if dir.st_uid != found.uid() {
                return Err(Error::Invalid(format!(
                    "`{}` has other names (hard links), and belongs to another user than its \
                     directory: it may be a file of somebody else's",
                    spot.path
                )));
            }
        }
        Ok(Box::new(file))
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

    /// The SHA-256 of a file's content.
    pub(crate) fn digest(&self, path: &str) -> Result<String, Error> {
        digest(&mut self.open_to_read(path)?).map_err(|error| failed_io(&error, "read", &path))
    }

    /// The SHA-256 of the file at `spot` itself.
    pub(super) fn digest_at(&self, spot: &Spot) -> Result<String, Error> {
        let mut content = self.content(spot)?;
        digest(&mut content).map_err(|error| failed_io(&error, "read", &spot.path))
    }

    /// The content of the file at `spot` itself.
    fn content(&self, spot: &Spot) -> Result<Box<dyn Read>, Error> {
        match self.shadow() {
            Some(shadow) => shadow.open(self, &spot.path),
            None => Ok(Box::new(spot.open_file()?)),
        }
    }

    /// Whether the file at `spot` has this content.
    pub(super) fn holds(
        &self,
        spot: &Spot,
        content: &[u8],
        found: &Metadata,
    ) -> Result<bool, Error> {
        if found.size != content.len() as u64 {
            return Ok(false);
        }
        let mut there = Vec::with_capacity(content.len());
        let read = self.content(spot)?.take(found.size + 1).read_to_end(&mut there);
        read.map_err(|e| failed_io(&e, "read", &spot.path))?;
        Ok(there == content)
    }

    /// The content of the file that is at `path` itself; none if none is.
    pub(super) fn content_of(&self, path: &Plain, most: u64) -> Result<Option<Vec<u8>>, Error> {
        let opened = match self.shadow() {
            Some(shadow) => shadow.open(self, path),
            None => self.exactly(path).and_then(|spot| spot.open_file()).map(boxed),
        };
        let mut content = Vec::new();
        match opened {
            Ok(file) => {
                let read = file.take(most).read_to_end(&mut content);
                read.map_err(|e| failed_io(&e, "read", path))?;
                Ok(Some(content))
            }
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What is in the directory that is at `spot` itself.
    pub(super) fn entries_of(&self, spot: &Spot) -> Result<Vec<Entry>, Error> {
        match self.shadow() {
            Some(shadow) => shadow.list(self, &spot.path),
            None => spot.entries(),
        }
    }

    /// What is at `spot`, without following a link.
    pub(super) fn metadata(&self, spot: &Spot) -> Result<Option<Metadata>, Error> {
        match self.shadow() {
            Some(shadow) => shadow.look(self, &spot.path),
            None => spot.metadata(),
        }
    }

    pub(crate) fn list(&self, path: &str) -> Result<Vec<Entry>, Error> {
        let spot = self.spot_behind_links(path, Access::Read)?;
        let mut entries = match self.shadow() {
            Some(shadow) => shadow.list(self, &spot.path)?,
            None => spot.entries()?,
        };
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }
}

impl Spot {
    /// What is there, without following a link.
    pub(super) fn metadata(&self) -> Result<Option<Metadata>, Error> {
        metadata(self.dir()?, self.name.as_str(), &self.path)
    }

    /// Opens the regular file that is there.
    pub(super) fn open_file(&self) -> Result<File, Error> {
        // Without O_NONBLOCK, opening a named pipe would wait for its other end.
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
        let opened = open_beneath(self.dir()?, &self.name, flags, Mode::empty());
        let file = File::from(opened.map_err(|errno| match errno {
            // A socket.
            Errno::ENXIO => not_regular(&self.path),
            _ => failed(errno, "open", &self.path),
        })?);
        let found = file.metadata().map_err(|e| failed_io(&e, "look at", &self.path))?;
        match found.is_file() {
            true => Ok(file),
            false => Err(not_regular(&self.path)),
        }
    }

    pub(super) fn open_to_list(&self) -> Result<Dir, Error> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        open_beneath(self.dir()?, &self.name, flags, Mode::empty())
            .and_then(Dir::from_fd)
            .map_err(|errno| failed(errno, "open", &self.path))
    }

    /// What is in the directory that is there, but for what is kept of old times.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, Error> {
        let mut dir = self.open_to_list()?;
        let names = names(&mut dir).map_err(|errno| failed(errno, "list", &self.path))?;
        if names.len() > MOST_ENTRIES {
            let (path, most) = (&self.path, MOST_ENTRIES);
            return Err(Error::TooLarge(format!("`{path}` has more than {most} entries")));
        }
        let mut entries = Vec::new();
        for name in names {
            let text = name.to_string_lossy();
            // What vanished meanwhile is left out.
            if !is_kept(&text)
                && let Some(metadata) = metadata(&dir, name.as_c_str(), &self.path)?
            {
                entries.push(Entry { name: text.into_owned(), metadata });
            }
        }
        Ok(entries)
    }
}

fn boxed(file: File) -> Box<dyn Read> {
    Box::new(file)
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

fn digest(content: &mut impl Read) -> std::io::Result<String> {
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}
