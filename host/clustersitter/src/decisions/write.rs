//! Keeps looks, in segments: each begins with all that a look goes by, and is read without any other.

use super::frame::{Kind, frame};
use super::{Head, LogError, file};
use cerebro_model::DecisionId;
use cerebro_planner::cluster::Entry;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// How large the log may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// Bytes of a segment beside its first look, after which another begins.
    pub segment: u64,
    /// Bytes of all segments; the oldest go first.
    pub total: u64,
}

impl Default for LogLimits {
    /// Segments of 8 MiB, of 256 MiB in all.
    fn default() -> Self {
        Self { segment: 8 << 20, total: 256 << 20 }
    }
}

/// The log that a controller writes.
#[derive(Debug)]
pub struct DecisionLog {
    directory: PathBuf,
    limits: LogLimits,
    writing: Mutex<Writing>,
}

#[derive(Debug)]
struct Writing {
    segment: Option<Segment>,
    /// The number that the next look gets.
    next: u64,
}

#[derive(Debug)]
struct Segment {
    file: File,
    path: PathBuf,
    /// Bytes of its first look.
    first: u64,
    /// Bytes of all that followed.
    rest: u64,
}

impl DecisionLog {
    /// The log in a directory, which is made if there is none.
    pub fn open(directory: &Path, limits: LogLimits) -> Result<Self, LogError> {
        // What jobs are given is nobody else's business.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(file("make", directory))?;
        let writing = Mutex::new(Writing { segment: None, next: 1 });
        Ok(Self { directory: directory.to_owned(), limits, writing })
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The id that the next look gets, in a term.
    pub(crate) fn next(&self, term: u64) -> DecisionId {
        DecisionId::new(term, self.lock().next)
    }

    /// Whether the next look is to be kept whole.
    pub(crate) fn wants_whole(&self) -> bool {
        let full = |it: &Segment| it.rest > self.limits.segment.max(it.first);
        self.lock().segment.as_ref().is_none_or(full)
    }

    /// Keeps a look, before anything comes of it: a process that is killed leaves it; only a machine that
    /// loses its power may not.
    pub(crate) fn keep(&self, entry: &Entry, head: &Head) -> Result<(), LogError> {
        let kept = self.try_keep(entry, head);
        let mut writing = self.lock();
        match kept {
            Ok(()) => writing.next += 1,
            // Whatever of it is on the disk, nothing is to follow it.
            Err(_) => writing.segment = None,
        }
        kept
    }

    fn try_keep(&self, entry: &Entry, head: &Head) -> Result<(), LogError> {
        let mut bytes = match entry {
            Entry::Whole(look) => frame(Kind::Whole, look)?,
            Entry::Since(since) => frame(Kind::Since, since)?,
        };
        bytes.extend(frame(Kind::Head, head)?);
        let length = bytes.len() as u64;
        let mut writing = self.lock();
        if matches!(entry, Entry::Whole(_)) {
            writing.segment = None;
            let new = self.begin(&head.id, length)?;
            writing.segment = Some(new);
        }
        let Some(segment) = &mut writing.segment else {
            // Whoever asks `wants_whole` before does not come here.
            return Err(LogError::Unknown(head.id.clone()));
        };
        segment.file.write_all(&bytes).map_err(file("write", &segment.path))?;
        if !matches!(entry, Entry::Whole(_)) {
            segment.rest += length;
        }
        Ok(())
    }

    /// Begins a segment, and forgets the oldest that it leaves no room for.
    fn begin(&self, id: &DecisionId, first: u64) -> Result<Segment, LogError> {
        let (term, number) = id.parts();
        let mut others = segments(&self.directory)?;
        let size = |path: &PathBuf| path.metadata().map_or(0, |it| it.len());
        let mut total: u64 = others.iter().map(size).sum();
        let room = self.limits.total.saturating_sub(first.saturating_add(self.limits.segment));
        while total > room && !others.is_empty() {
            let oldest = others.remove(0);
            total = total.saturating_sub(size(&oldest));
            std::fs::remove_file(&oldest).map_err(file("remove", &oldest))?;
        }
        let path = self.directory.join(format!("{term:010}-{number:010}.decisions"));
        let made =
            OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path);
        let file = made.map_err(file("make", &path))?;
        Ok(Segment { file, path, first, rest: 0 })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every segment of a log, the oldest first.
pub(super) fn segments(directory: &Path) -> Result<Vec<PathBuf>, LogError> {
    let entries = std::fs::read_dir(directory).map_err(file("list", directory))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut found: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|it| it == "decisions")).collect();
    found.sort();
    Ok(found)
}
