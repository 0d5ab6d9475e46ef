//! The files that a task's logs consist of. Whoever asks for one by name gets one of these, and
//! nothing else.

use super::follow::is_compressed;
use crate::log::files_of;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// What it is asked for by.
    pub name: String,
    /// What goes there: `stdout`, `stderr`, or both.
    pub stream: &'static str,
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// When it was written last, in microseconds since 1970.
    pub modified: u64,
    /// It is the one being written.
    pub current: bool,
}

impl LogEntry {
    /// Whether it was compressed. The one being written never is, whatever its name.
    pub fn is_compressed(&self) -> bool {
        !self.current && is_compressed(&self.path)
    }
}

/// All files of the logs at `paths`, of standard output and of standard error, or of both together:
/// of each the one being written, then those set aside, the newest first. Links and what is no plain
/// file are left out.
pub fn list(paths: &[PathBuf]) -> Vec<LogEntry> {
    let streams: &[&'static str] =
        if paths.len() == 1 { &["stdout and stderr"] } else { &["stdout", "stderr"] };
    let mut entries: Vec<LogEntry> = Vec::new();
    for (stream, log) in streams.iter().zip(paths) {
        for path in files_of(log) {
            let Some(mut entry) = entry(stream, path, log) else { continue };
            if entries.iter().any(|other| other.path == entry.path) {
                continue;
            }
            if entries.iter().any(|other| other.name == entry.name) {
                // Of the same name in another directory.
                entry.name = format!("{stream}:{}", entry.name);
            }
            entries.push(entry);
        }
    }
    entries
}

fn entry(stream: &'static str, path: PathBuf, log: &Path) -> Option<LogEntry> {
    let metadata = fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file)?;
    let name = path.file_name()?.to_string_lossy().into_owned();
    let micros = metadata.mtime().checked_mul(1_000_000)?.checked_add(metadata.mtime_nsec() / 1000);
    let modified = u64::try_from(micros?).unwrap_or(0);
    let current = path == log;
    Some(LogEntry { name, stream, path, bytes: metadata.len(), modified, current })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_listed_by_stream_and_age_and_links_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        for name in ["out", "out.2", "out.10.gz", "out.gz", "other", "err"] {
            fs::write(file(name), name).unwrap();
        }
        std::os::unix::fs::symlink(file("other"), file("out.11")).unwrap();
        let entries = list(&[file("out"), file("err")]);
        let told: Vec<_> =
            entries.iter().map(|e| (e.name.as_str(), e.stream, e.bytes, e.current)).collect();
        assert_eq!(
            told,
            [
                ("out", "stdout", 3, true),
                ("out.10.gz", "stdout", 9, false),
                ("out.2", "stdout", 5, false),
                ("err", "stderr", 3, true),
            ]
        );
        assert!(entries.iter().all(|entry| entry.modified > 1_600_000_000_000_000));
    }

    #[test]
    fn names_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|part| {
            fs::create_dir(dir.path().join(part)).unwrap();
            let path = dir.path().join(part).join("log");
            fs::write(&path, part).unwrap();
            path
        });
        let names = |paths: &[PathBuf]| -> Vec<_> {
            list(paths).into_iter().map(|entry| (entry.name, entry.stream)).collect()
        };
        let told = |name: &str, stream: &'static str| (name.to_owned(), stream);
        assert_eq!(names(&paths), [told("log", "stdout"), told("stderr:log", "stderr")]);
        assert_eq!(names(&paths[..1]), [told("log", "stdout and stderr")]);
        assert!(names(&[dir.path().join("missing")]).is_empty());
    }
}
