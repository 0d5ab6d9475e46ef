//! A log file that is set aside, at a size or an age, for a new one. Those set aside have a number
//! at the end of their name, the newest the highest; the oldest are removed.

use super::{Tally, compress};
use cerebro_tasksitter::protocol::Logs;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// A file smaller than this is not worth setting aside.
const LEAST: u64 = 4096;

/// How often a file that is written to is looked for at its path: someone may have removed it.
const LOOK: Duration = Duration::from_millis(500);

/// An open file.
struct Open {
    file: File,
    /// Its place in its file system, by which it is known again.
    place: (u64, u64),
    /// It may be set aside. A device, a terminal and a pipe may not: they are not ours.
    is_regular: bool,
}

/// The file being written.
pub struct LogFile {
    path: PathBuf,
    /// Whoever chose the path chose a link. One that appears later is the task's doing, and would
    /// have us write where the task may not.
    is_link: bool,
    file: Option<Open>,
    size: u64,
    /// When it was last seen to be the one at its path.
    seen: Instant,
    begun: Instant,
    limit: u64,
    age: Option<Duration>,
    keep: usize,
    compress: bool,
    compressor: Option<Child>,
    tally: Arc<Tally>,
}

impl LogFile {
    /// Opens the file, and goes on where it ends.
    pub fn open(path: &Path, logs: &Logs, tally: Arc<Tally>) -> io::Result<Self> {
        let is_link = fs::symlink_metadata(path).is_ok_and(|data| data.is_symlink());
        let (file, size) = append(path, is_link)?;
        Ok(Self {
            path: path.to_owned(),
            is_link,
            file: Some(file),
            size,
            seen: Instant::now(),
            begun: Instant::now(),
            limit: logs.bytes.max(LEAST),
            age: logs.age,
            keep: logs.files as usize,
            compress: logs.compress,
            compressor: None,
            tally,
        })
    }

    /// Writes a piece of the stream. What the disk does not take is dropped and counted: a full
    /// disk must not take the task with it.
    pub fn write(&mut self, piece: &[u8]) {
        let written = self.size_of_written(piece);
        self.tally.written.fetch_add(written, Relaxed);
        let dropped = piece.len() as u64 - written;
        self.tally.dropped.fetch_add(dropped, Relaxed);
        self.tally.failing.store(dropped > 0, Relaxed);
    }

    fn size_of_written(&mut self, piece: &[u8]) -> u64 {
        let mut rest = piece;
        while !rest.is_empty() {
            let take = self.room_in_lines(rest);
            let taken = self.append(&rest[..take]);
            if taken < take {
                rest = &rest[taken..];
                break;
            }
            let ends_line = rest[..take].last().is_none_or(|byte| *byte == b'\n');
            rest = &rest[take..];
            // A line that stands in two files already may be cut once more.
            let full = self.size >= self.limit || self.is_old() || !rest.is_empty();
            if full && (ends_line || self.size >= 2 * self.limit) && self.size > 0 {
                self.rotate();
            }
        }
        (piece.len() - rest.len()) as u64
    }

    /// How much of `piece` goes into this file: up to the last line that fits. One that does not
    /// goes on to its end, or to twice the size.
    fn room_in_lines(&self, piece: &[u8]) -> usize {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let room = size(self.limit.saturating_sub(self.size));
        if piece.len() <= room {
            return piece.len();
        }
        let is_newline = |byte: &u8| *byte == b'\n';
        if let Some(end) = piece[..room].iter().rposition(is_newline) {
            return end + 1;
        }
        let bound = size((2 * self.limit).saturating_sub(self.size)).min(piece.len());
        piece[..bound].iter().position(is_newline).map_or(bound, |end| end + 1)
    }

    /// Answers how much of it the disk took. What it did not take does not count to the size: else
    /// what is lost on a full disk would push out what was kept.
    fn append(&mut self, bytes: &[u8]) -> usize {
        if self.seen.elapsed() >= LOOK {
            self.seen = Instant::now();
            if self.is_gone() {
                self.file = None;
            }
        }
        if self.file.is_none() {
            self.reopen();
        }
        let Some(open) = &mut self.file else { return 0 };
        let mut taken = 0;
        while taken < bytes.len() {
            match open.file.write(&bytes[taken..]) {
                Ok(0) => break,
                Ok(written) => taken += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        if open.is_regular {
            self.size += taken as u64;
        }
        taken
    }

    /// Whether the file is no longer at its path: someone has removed it, or put another there.
    fn is_gone(&self) -> bool {
        let at_path = fs::metadata(&self.path).map(|data| (data.dev(), data.ino()));
        self.file.as_ref().is_some_and(|open| at_path.ok() != Some(open.place))
    }

    fn is_old(&self) -> bool {
        self.age.is_some_and(|age| self.begun.elapsed() >= age)
    }

    /// Whatever goes wrong here, the next write tries again with what is there.
    fn rotate(&mut self) {
        if !self.file.as_ref().is_some_and(|open| open.is_regular) {
            self.begun = Instant::now();
            return;
        }
        let mut older = older(&self.path);
        older.sort_by_key(|(number, _)| *number);
        let next = older.last().map_or(1, |(number, _)| number + 1);
        let set_aside = match self.keep {
            0 => fs::remove_file(&self.path),
            _ => fs::rename(&self.path, numbered(&self.path, next)),
        };
        if set_aside.is_err() {
            // So that it does not try at every line.
            (self.size, self.begun) = (0, Instant::now());
            return;
        }
        let too_many = (older.len() + 1).saturating_sub(self.keep);
        for (_, path) in older.iter().take(too_many) {
            let _ = fs::remove_file(path);
        }
        self.reopen();
        if self.compress && self.keep > 0 {
            compress::in_background(&mut self.compressor, &self.path);
        }
    }

    fn reopen(&mut self) {
        self.begun = Instant::now();
        if let Some(parent) = self.path.parent() {
            // Says the next line, if it matters.
            let _ = fs::create_dir_all(parent);
        }
        match append(&self.path, self.is_link) {
            Ok((file, size)) => (self.file, self.size) = (Some(file), size),
            Err(_) => self.file = None,
        }
    }
}

fn append(path: &Path, follow: bool) -> io::Result<(Open, u64)> {
    let flags = if follow { 0 } else { libc::O_NOFOLLOW };
    let file = File::options().create(true).append(true).custom_flags(flags).open(path)?;
    let data = file.metadata()?;
    let (place, is_regular) = ((data.dev(), data.ino()), data.is_file());
    Ok((Open { file, place, is_regular }, data.len()))
}

fn numbered(path: &Path, number: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// The files that were set aside for `path`, compressed or not, with their numbers.
pub fn older(path: &Path) -> Vec<(u64, PathBuf)> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Vec::new();
    };
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let own = entry.file_name();
            let rest = own.as_encoded_bytes().strip_prefix(name.as_encoded_bytes())?;
            let number = std::str::from_utf8(rest.strip_prefix(b".")?).ok()?;
            let number = number.strip_suffix(compress::SUFFIX).unwrap_or(number);
            Some((number.parse().ok()?, entry.path()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logs(bytes: u64, files: u32) -> Logs {
        Logs { bytes, files, compress: false, ..Logs::default() }
    }

    fn text(path: &Path) -> String {
        let mut files = super::super::files_of(path);
        files.reverse();
        files.iter().map(|file| fs::read_to_string(file).unwrap()).collect()
    }

    #[test]
    fn lines_are_whole_and_the_disk_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let mut log = LogFile::open(&path, &logs(4096, 2), Arc::default()).unwrap();
        let mut all = String::new();
        for number in 0..2000 {
            let line = format!("line {number:06} {}\n", "x".repeat(number % 90));
            // In two pieces, as a pipe may have it.
            let (first, second) = line.split_at(number % line.len());
            log.write(first.as_bytes());
            log.write(second.as_bytes());
            all += &line;
        }
        let kept = text(&path);
        assert!(all.ends_with(&kept) && kept.starts_with("line "));
        for file in super::super::files_of(&path) {
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.len() <= 8192 && (text.is_empty() || text.ends_with('\n')), "{file:?}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_line_without_end_does_not_fill_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let mut log = LogFile::open(&path, &logs(4096, 1), Arc::default()).unwrap();
        for _ in 0..50 {
            log.write(&[b'x'; 4000]);
        }
        assert!(text(&path).len() <= 2 * 8192);
        assert_eq!(log.tally.written.load(Relaxed), 200_000);
    }

    #[test]
    fn an_old_file_is_set_aside_at_the_end_of_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let old = Logs { age: Some(Duration::ZERO), ..logs(1 << 20, 9) };
        let mut log = LogFile::open(&path, &old, Arc::default()).unwrap();
        for piece in ["one\n", "tw", "o\n"] {
            log.write(piece.as_bytes());
        }
        assert_eq!(older(&path).len(), 2);
        assert_eq!(text(&path), "one\ntwo\n");
    }

    #[test]
    fn a_link_that_the_task_puts_there_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, secret) = (dir.path().join("out"), dir.path().join("secret"));
        fs::write(&secret, "").unwrap();
        let mut log = LogFile::open(&path, &logs(4096, 1), Arc::default()).unwrap();
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&secret, &path).unwrap();
        log.seen -= 2 * LOOK;
        log.write(b"hello\n");
        assert_eq!(log.tally.dropped.load(Relaxed), 6);
        assert_eq!(fs::metadata(&secret).unwrap().len(), 0);
        // One that was there from the beginning is what the user wants.
        let mut log = LogFile::open(&path, &logs(4096, 1), Arc::default()).unwrap();
        log.write(b"hello\n");
        assert_eq!(fs::read(&secret).unwrap(), b"hello\n");
    }

    #[test]
    fn a_disk_that_takes_nothing_loses_the_log_and_counts_it() {
        let tally = Arc::<Tally>::default();
        let mut log = LogFile::open(Path::new("/dev/full"), &logs(4096, 1), tally.clone()).unwrap();
        log.write(b"hello\n");
        assert_eq!((tally.written.load(Relaxed), tally.dropped.load(Relaxed)), (0, 6));
        assert!(tally.failing.load(Relaxed));
    }
}
