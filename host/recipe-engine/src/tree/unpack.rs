//! Unpacking tar archives: beside the place first, then into it at once.

use super::change::{Owner, set_owner};
use super::{Missing, Spot, Tree, failed, failed_io, make_dir, open_beneath, open_dir};
use crate::bindings::interfaces::files::Kind;
use crate::bindings::interfaces::types::{Change, Error};
use cerebro_model::Digest;
use flate2::read::MultiGzDecoder;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, renameat, renameat2};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, linkat, symlinkat, unlinkat};
use std::cell::Cell;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Component, Path};
use std::rc::Rc;
use std::time::Instant;
use tar::{Archive, Entry, EntryType};

/// Bytes of what an archive says of one entry: long names and attributes.
const LONGEST_HEADERS: u64 = 1 << 20;
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
        let spot = self.spot_to_change(path, Missing::Make)?;
        let _changing = self.take(&spot);
        let mark = unpack.mark();
        let there = self.there(&spot, &mark)?;
        if there == There::Same {
            return Ok(Change::Unchanged);
        }
        let new = spot.beside("unpack");
        spot.remove(&new)?;
        let placed = unpack.to_dir(&spot, &new, &mark).and_then(|()| place(&spot, &new, there));
        if placed.is_err() || there == There::Other {
            // What remains beside is the failure's rest, or what was replaced.
            spot.remove(&new)?;
        }
        placed
    }

    fn there(&self, spot: &Spot, mark: &str) -> Result<There, Error> {
        match spot.metadata()? {
            None => return Ok(There::Nothing),
            Some(found) if found.kind != Kind::Directory => {
                return Err(Error::Invalid(format!("`{}` is not a directory", spot.path)));
            }
            Some(_) => {}
        }
        let mut dir = spot.open_to_list()?;
        match open_beneath(&dir, MARK, OFlag::O_RDONLY, Mode::empty()) {
            Ok(file) => {
                let mut text = String::new();
                let read = File::from(file).take(4096).read_to_string(&mut text);
                read.map_err(|e| failed_io(&e, "read the mark of", &spot.path))?;
                Ok(if text == mark { There::Same } else { There::Other })
            }
            Err(Errno::ENOENT) => {
                let names = super::look::names(&mut dir);
                match names.map_err(|errno| failed(errno, "list", &spot.path))?.is_empty() {
                    true => Ok(There::Empty),
                    false => Err(Error::Invalid(format!(
                        "`{}` is not empty and was not unpacked by Cerebro; remove it first if it \
                         may go",
                        spot.path
                    ))),
                }
            }
            Err(errno) => Err(failed(errno, "read the mark of", &spot.path)),
        }
    }
}

/// What is where an archive should go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum There {
    Nothing,
    Empty,
    /// The same archive, unpacked in the same way.
    Same,
    /// Another one.
    Other,
}

fn place(spot: &Spot, new: &str, there: There) -> Result<Change, Error> {
    let name = spot.name.as_str();
    let (placed, change) = match there {
        There::Nothing => {
            let how = RenameFlags::RENAME_NOREPLACE;
            (renameat2(&spot.dir, new, &spot.dir, name, how), Change::Created)
        }
        There::Other => {
            let how = RenameFlags::RENAME_EXCHANGE;
            (renameat2(&spot.dir, new, &spot.dir, name, how), Change::Updated)
        }
        There::Empty | There::Same => (renameat(&spot.dir, new, &spot.dir, name), Change::Updated),
    };
    placed.map_err(|errno| failed(errno, "put the directory in its place", &spot.path))?;
    Ok(change)
}

impl Unpack<'_> {
    /// What tells this from other archives and other ways to unpack it.
    fn mark(&self) -> String {
        let owner = self.owner.map_or("-".to_owned(), |o| format!("{}:{}", o.uid, o.gid));
        format!("{} strip={} owner={owner}\n", self.digest, self.strip)
    }

    fn to_dir(&self, spot: &Spot, new: &str, mark: &str) -> Result<(), Error> {
        let beside = |errno| failed(errno, "make a directory beside", &spot.path);
        // Closed to others, whoever owns what is in it, until all is in its place.
        mkdirat(&spot.dir, new, Mode::S_IRWXU).map_err(beside)?;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let dir = open_beneath(&spot.dir, new, flags, Mode::empty()).map_err(beside)?;
        let unpacking = Unpacking { how: self, dir };
        let file = File::open(self.archive)
            .map_err(|e| failed_io(&e, "open the artifact", &self.digest))?;
        unpacking.archive(file)?;
        unpacking.file(&[], MARK, 0o644, &mut mark.as_bytes())?;
        if let Some(owner) = self.owner {
            set_owner(&unpacking.dir, owner).map_err(beside)?;
        }
        fchmod(&unpacking.dir, permissions(0o755)).map_err(beside)
    }
}

/// An archive on its way into a directory that nobody else knows yet.
struct Unpacking<'a> {
    how: &'a Unpack<'a>,
    dir: OwnedFd,
}

impl Unpacking<'_> {
    fn archive(&self, file: File) -> Result<(), Error> {
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let damaged = |error: std::io::Error| {
            Error::Invalid(format!(
                "the artifact `{}` is not a whole tar or tar.gz: {error}",
                self.how.digest
            ))
        };
        let magic = std::io::BufRead::fill_buf(&mut reader).map_err(damaged)?;
        if magic.is_empty() {
            return Err(damaged(std::io::Error::other("it is empty")));
        }
        let reader: Box<dyn Read> = match magic.starts_with(&[0x1f, 0x8b]) {
            true => Box::new(MultiGzDecoder::new(reader)),
            false => Box::new(reader),
        };
        // Padding between entries counts too, so that a bomb of empty blocks ends as well.
        let (met, headers) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(u64::MAX)));
        let left = self.how.most_bytes.saturating_add(1);
        let bounded = Bounded { reader, left, met: met.clone(), headers: headers.clone() };
        let mut archive = Archive::new(bounded);
        // What breaks off since we read no further is not damaged.
        let or_too_large = |error| if met.get() { self.too_large("bytes") } else { error };
        let mut entries = archive.entries().map_err(damaged)?;
        let mut next = || {
            headers.set(LONGEST_HEADERS);
            let entry = entries.next();
            headers.set(u64::MAX);
            entry
        };
        let mut left = self.how.most_entries;
        let mut bytes = self.how.most_bytes;
        while let Some(entry) = next() {
            let mut entry = entry.map_err(damaged).map_err(or_too_large)?;
            self.in_time()?;
            left = left.checked_sub(1).ok_or_else(|| self.too_large("entries"))?;
            bytes = bytes.checked_sub(entry.size()).ok_or_else(|| self.too_large("bytes"))?;
            self.entry(&mut entry).map_err(or_too_large)?;
            // So that only headers are read between this entry and the next.
            let rest = std::io::copy(&mut entry, &mut std::io::sink());
            rest.map_err(damaged).map_err(or_too_large)?;
        }
        match met.get() {
            true => Err(self.too_large("bytes")),
            false => Ok(()),
        }
    }

    fn entry(&self, entry: &mut Entry<'_, impl Read>) -> Result<(), Error> {
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader) {
            return Ok(());
        }
        let path = entry.path().map_err(|error| Error::Invalid(error.to_string()))?.into_owned();
        let refuse =
            |why: &str| Error::Invalid(format!("the archive's `{}` {why}", path.display()));
        if path.to_str().is_none() {
            return Err(refuse("is no text in UTF-8"));
        }
        let parts = parts(&path).ok_or_else(|| refuse("leads out of the archive"))?;
        let Some(parts) = parts.get(self.how.strip..).filter(|parts| !parts.is_empty()) else {
            return Ok(());
        };
        let Some((name, above)) = parts.split_last() else { return Ok(()) };
        let mode = entry.header().mode().map_err(|error| Error::Invalid(error.to_string()))?;
        match kind {
            EntryType::Regular | EntryType::Continuous => self.file(above, name, mode, entry),
            EntryType::Directory => self.directory(parts, mode),
            EntryType::Symlink => {
                let target =
                    link_name(entry).ok_or_else(|| refuse("is a link without a target"))?;
                if !stays_inside(above.len(), &target) {
                    return Err(refuse("is a link that leads out of the archive"));
                }
                self.symlink(above, name, &target)
            }
            EntryType::Link => {
                let target =
                    link_name(entry).ok_or_else(|| refuse("is a link without a target"))?;
                let target = self::parts(Path::new(&target))
                    .and_then(|parts| parts.get(self.how.strip..).map(<[_]>::to_vec))
                    .ok_or_else(|| refuse("is a link that leads out of the archive"))?;
                self.hard_link(above, name, &target)
            }
            _ => Err(refuse("is neither a file, a directory nor a link")),
        }
    }

    fn file(
        &self,
        above: &[String],
        name: &str,
        mode: u32,
        content: &mut impl Read,
    ) -> Result<(), Error> {
        let dir = self.walk(above)?;
        self.clear(&dir, name)?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
        let file = open_beneath(&dir, name, flags, Mode::from_bits_truncate(0o600))
            .map_err(|errno| failed(errno, "unpack", &name))?;
        let mut file = File::from(file);
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = content.read(&mut buffer).map_err(|error| {
                Error::Invalid(format!("the archive breaks off within `{name}`: {error}"))
            })?;
            if read == 0 {
                break;
            }
            file.write_all(&buffer[..read]).map_err(|e| failed_io(&e, "unpack", &name))?;
            self.in_time()?;
        }
        if let Some(owner) = self.how.owner {
            set_owner(&file, owner).map_err(|errno| failed(errno, "set the owner of", &name))?;
        }
        fchmod(&file, permissions(mode)).map_err(|errno| failed(errno, "set the mode of", &name))
    }

    fn directory(&self, parts: &[String], mode: u32) -> Result<(), Error> {
        let dir = self.walk(parts)?;
        // Opened anew: what is opened for its path only has no mode to set.
        let dir = open_beneath(&dir, ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty())
            .map_err(|errno| failed(errno, "open", &parts.join("/")))?;
        // Its owner must be able to fill and to remove it.
        fchmod(&dir, permissions(mode | 0o700))
            .map_err(|errno| failed(errno, "set the mode of", &parts.join("/")))
    }

    fn symlink(&self, above: &[String], name: &str, target: &str) -> Result<(), Error> {
        let dir = self.walk(above)?;
        self.clear(&dir, name)?;
        symlinkat(target, &dir, name).map_err(|errno| failed(errno, "unpack the link", &name))?;
        self.own(&dir, name)
    }

    fn hard_link(&self, above: &[String], name: &str, target: &[String]) -> Result<(), Error> {
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

    fn in_time(&self) -> Result<(), Error> {
        match Instant::now() < self.how.deadline {
            true => Ok(()),
            false => Err(Error::TimedOut("unpacking took too long".to_owned())),
        }
    }

    fn too_large(&self, what: &str) -> Error {
        let most = if what == "bytes" { self.how.most_bytes } else { self.how.most_entries };
        Error::TooLarge(format!("the artifact `{}` holds more than {most} {what}", self.how.digest))
    }
}

/// Ends where there is no more, or where as much was read as may be, and remembers the latter. The
/// headers of one entry have a bound of their own: the library holds them in memory.
struct Bounded<R> {
    reader: R,
    left: u64,
    met: Rc<Cell<bool>>,
    headers: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.headers.get() == 0 {
            let why = format!("its headers are longer than {LONGEST_HEADERS} bytes");
            return Err(std::io::Error::other(why));
        }
        let most = self.left.min(self.headers.get());
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(into.len());
        if self.left == 0 && !into.is_empty() {
            self.met.set(true);
        }
        let read = self.reader.read(&mut into[..most])?;
        self.left -= read as u64;
        self.headers.set(self.headers.get() - read as u64);
        Ok(read)
    }
}

/// Mode bits that archives may set: none that lend privileges.
fn permissions(mode: u32) -> Mode {
    Mode::from_bits_truncate(mode & 0o777)
}

fn link_name(entry: &Entry<'_, impl Read>) -> Option<String> {
    entry.link_name().ok()??.to_str().map(str::to_owned)
}

/// The parts of a path in an archive, or nothing if it is absolute, climbs or is not UTF-8.
fn parts(path: &Path) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(part) => parts.push(part.to_str()?.to_owned()),
            _ => return None,
        }
    }
    Some(parts)
}

/// Whether a link at this depth with this target stays in the archive.
fn stays_inside(depth: usize, target: &str) -> bool {
    let mut depth = depth;
    for component in Path::new(target).components() {
        depth = match component {
            Component::CurDir => depth,
            Component::Normal(_) => depth + 1,
            Component::ParentDir if depth > 0 => depth - 1,
            _ => return false,
        };
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_may_point_around_inside() {
        assert!(stays_inside(1, "../a") && stays_inside(0, "b/../c"));
        assert!(
            !stays_inside(0, "../a") && !stays_inside(5, "/etc") && !stays_inside(1, "a/../../..")
        );
    }

    #[test]
    fn paths_that_climb_are_none() {
        assert_eq!(parts(Path::new("./a/b")), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(parts(Path::new("a/../../b")), None);
        assert_eq!(parts(Path::new("/a")), None);
    }
}
