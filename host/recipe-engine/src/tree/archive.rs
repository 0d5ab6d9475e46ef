//! Reading tar archives, within bounds. Where they go is a [`Sink`]'s business.

use super::ahead::Ahead;
use super::failed_io;
use super::unpack::Unpack;
use crate::bindings::interfaces::types::Error;
use flate2::read::MultiGzDecoder;
use nix::sys::stat::Mode;
use std::cell::Cell;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Component, Path};
use std::rc::Rc;
use std::time::Instant;
use tar::{Archive, Entry, EntryType};

/// Bytes of what an archive says of one entry: long names and attributes.
const LONGEST_HEADERS: u64 = 1 << 20;

/// Bytes of an archive for which another thread is worth its start.
const LARGE: u64 = 1 << 20;

/// Takes what an archive holds. Directories on the way that it does not name are made.
pub(super) trait Sink {
    /// A file; what was there under its name makes way.
    fn file(
        &mut self,
        above: &[String],
        name: &str,
        mode: u32,
        content: &mut dyn Read,
    ) -> Result<(), Error>;

    /// A directory.
    fn directory(&mut self, parts: &[String], mode: u32) -> Result<(), Error>;

    /// A symbolic link.
    fn symlink(&mut self, above: &[String], name: &str, target: &str) -> Result<(), Error>;

    /// A further name for a file that came before.
    fn hard_link(&mut self, above: &[String], name: &str, target: &[String]) -> Result<(), Error>;
}

impl Unpack<'_> {
    /// Gives `sink` all that the archive holds.
    pub(super) fn read_into(&self, sink: &mut impl Sink) -> Result<(), Error> {
        let file = File::open(self.archive)
            .map_err(|e| failed_io(&e, "open the artifact", &self.digest))?;
        self.archive(file, sink)
    }

    fn archive(&self, file: File, sink: &mut impl Sink) -> Result<(), Error> {
        let is_large = file.metadata().is_ok_and(|found| found.len() >= LARGE);
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let damaged = |error: std::io::Error| {
            Error::Invalid(format!(
                "the artifact `{}` is not a whole tar or tar.gz: {error}",
                self.digest
            ))
        };
        let magic = std::io::BufRead::fill_buf(&mut reader).map_err(damaged)?;
        if magic.is_empty() {
            return Err(damaged(std::io::Error::other("it is empty")));
        }
        let reader: Box<dyn Read> = match magic.starts_with(&[0x1f, 0x8b]) {
            true if is_large => {
                let ahead = Ahead::of(MultiGzDecoder::new(reader));
                Box::new(ahead.map_err(|e| failed_io(&e, "decompress", &self.digest))?)
            }
            true => Box::new(MultiGzDecoder::new(reader)),
            false => Box::new(reader),
        };
        // Padding between entries counts too, so that a bomb of empty blocks ends as well.
        let (met, headers) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(u64::MAX)));
        let left = self.most_bytes.saturating_add(1);
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
        let mut left = self.most_entries;
        let mut bytes = self.most_bytes;
        while let Some(entry) = next() {
            let mut entry = entry.map_err(damaged).map_err(or_too_large)?;
            self.in_time()?;
            left = left.checked_sub(1).ok_or_else(|| self.too_large("entries"))?;
            bytes = bytes.checked_sub(entry.size()).ok_or_else(|| self.too_large("bytes"))?;
            self.entry(&mut entry, sink).map_err(or_too_large)?;
            // So that only headers are read between this entry and the next.
            let rest = std::io::copy(&mut entry, &mut std::io::sink());
            rest.map_err(damaged).map_err(or_too_large)?;
        }
        match met.get() {
            true => Err(self.too_large("bytes")),
            false => Ok(()),
        }
    }

    fn entry(&self, entry: &mut Entry<'_, impl Read>, sink: &mut impl Sink) -> Result<(), Error> {
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
        let Some(parts) = parts.get(self.strip..).filter(|parts| !parts.is_empty()) else {
            return Ok(());
        };
        let Some((name, above)) = parts.split_last() else { return Ok(()) };
        let mode = entry.header().mode().map_err(|error| Error::Invalid(error.to_string()))?;
        match kind {
            EntryType::Regular | EntryType::Continuous => sink.file(above, name, mode, entry),
            EntryType::Directory => sink.directory(parts, mode),
            EntryType::Symlink => {
                let target =
                    link_name(entry).ok_or_else(|| refuse("is a link without a target"))?;
                if !stays_inside(above.len(), &target) {
                    return Err(refuse("is a link that leads out of the archive"));
                }
                sink.symlink(above, name, &target)
            }
            EntryType::Link => {
                let target =
                    link_name(entry).ok_or_else(|| refuse("is a link without a target"))?;
                let target = self::parts(Path::new(&target))
                    .and_then(|parts| parts.get(self.strip..).map(<[_]>::to_vec))
                    .ok_or_else(|| refuse("is a link that leads out of the archive"))?;
                sink.hard_link(above, name, &target)
            }
            _ => Err(refuse("is neither a file, a directory nor a link")),
        }
    }

    pub(super) fn in_time(&self) -> Result<(), Error> {
        match Instant::now() < self.deadline {
            true => Ok(()),
            false => Err(Error::TimedOut("unpacking took too long".to_owned())),
        }
    }

    fn too_large(&self, what: &str) -> Error {
        let most = if what == "bytes" { self.most_bytes } else { self.most_entries };
        Error::TooLarge(format!("the artifact `{}` holds more than {most} {what}", self.digest))
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
pub(super) fn permissions(mode: u32) -> Mode {
    Mode::from_bits_truncate(mode & 0o777)
}

/// What a sink says where the content of one of its files ends too early, or is damaged.
pub(super) fn breaks_off(name: &str, error: &std::io::Error) -> Error {
    Error::Invalid(format!(
        "the archive is not a whole tar or tar.gz, from within its `{name}` on: {error}"
    ))
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
