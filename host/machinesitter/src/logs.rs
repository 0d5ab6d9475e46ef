//! Logs: their last lines, and those to come.

use std::io::SeekFrom;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::time::sleep;

/// How often a followed file is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// Bytes read at a time.
const PIECE: usize = 64 << 10;
/// Bytes that are searched for the last lines, at most.
const LONGEST_TAIL: u64 = 8 << 20;

/// A log file, read from some place on.
pub struct Reader {
    path: PathBuf,
    file: Option<File>,
    first: Vec<u8>,
}

/// The last `lines` lines that the task in `dir` wrote to its standard error.
pub async fn last_words(dir: &Path, lines: usize) -> String {
    let words = Reader::from_tail(dir.join("logs/stderr.log"), lines).await.first;
    String::from_utf8_lossy(&words).trim_end().to_owned()
}

/// The first `lines` lines, of those in the file's first 8 MiB; nothing if there is no such file.
pub async fn head(path: &Path, lines: usize) -> Vec<u8> {
    let Ok(file) = File::open(path).await else { return Vec::new() };
    let mut text = Vec::new();
    if file.take(LONGEST_TAIL).read_to_end(&mut text).await.is_err() {
        return Vec::new();
    }
    let mut ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let end = match lines.checked_sub(1) {
        Some(before) => ends.nth(before).map_or(text.len(), |(at, _)| at + 1),
        None => 0,
    };
    text.truncate(end);
    text
}

impl Reader {
    /// From the last `lines` lines on.
    pub async fn from_tail(path: PathBuf, lines: usize) -> Self {
        let Ok(mut file) = File::open(&path).await else {
            return Self { path, file: None, first: Vec::new() };
        };
        let mut first = Vec::new();
        let size = file.metadata().await.map_or(0, |file| file.len());
        let from = size.saturating_sub(LONGEST_TAIL);
        if file.seek(SeekFrom::Start(from)).await.is_ok() {
            let read = (&mut file).take(LONGEST_TAIL).read_to_end(&mut first).await;
            if read.is_err() {
                first.clear();
            }
        }
        first.drain(..start_of_tail(&first, lines));
        Self { path, file: Some(file), first }
    }

    /// The next piece; without `follow` none at the end of the file. Going on with a new file,
    /// once the present one was set aside, loses nothing that is in either of them.
    pub async fn next(&mut self, follow: bool) -> Option<Vec<u8>> {
        if !self.first.is_empty() {
            return Some(std::mem::take(&mut self.first));
        }
        loop {
            // Asked before reading: what is set aside is not written any more.
            let is_old = follow && self.is_set_aside().await;
            let mut piece = vec![0; PIECE];
            let read = match &mut self.file {
                Some(file) => file.read(&mut piece).await.ok()?,
                None => 0,
            };
            if read > 0 {
                piece.truncate(read);
                return Some(piece);
            }
            if !follow {
                return None;
            }
            if is_old {
                self.file = File::open(&self.path).await.ok();
            } else {
                sleep(LOOK).await;
            }
        }
    }

    async fn is_set_aside(&self) -> bool {
        let Ok(now) = tokio::fs::metadata(&self.path).await else { return false };
        let Some(file) = &self.file else { return true };
        file.metadata().await.is_ok_and(|open| (open.dev(), open.ino()) != (now.dev(), now.ino()))
    }
}

fn start_of_tail(text: &[u8], lines: usize) -> usize {
    if lines == 0 {
        return text.len();
    }
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let mut ends = body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    ends.nth(lines - 1).map_or(0, |(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_last_lines_are_found() {
        let text = b"one\ntwo\nthree\n";
        let tail = |lines| std::str::from_utf8(&text[start_of_tail(text, lines)..]).unwrap();
        assert_eq!((tail(0), tail(1), tail(2)), ("", "three\n", "two\nthree\n"));
        assert_eq!(tail(9), "one\ntwo\nthree\n");
    }

    #[tokio::test]
    async fn the_first_lines_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        std::fs::write(&path, "one\ntwo\nthr").unwrap();
        for (lines, expected) in [(0, ""), (1, "one\n"), (2, "one\ntwo\n"), (9, "one\ntwo\nthr")] {
            assert_eq!(head(&path, lines).await, expected.as_bytes());
        }
    }

    #[tokio::test]
    async fn following_survives_a_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("a.log"), dir.path().join("a.log.1"));
        let mut file = std::fs::File::create(&path).unwrap();
        writeln!(file, "one\ntwo").unwrap();
        let mut reader = Reader::from_tail(path.clone(), 1).await;
        assert_eq!(reader.next(true).await.unwrap(), b"two\n");
        writeln!(file, "three").unwrap();
        std::fs::rename(&path, old).unwrap();
        std::fs::write(&path, "four\n").unwrap();
        let mut text = Vec::new();
        while !text.ends_with(b"four\n") {
            let next = tokio::time::timeout(Duration::from_secs(10), reader.next(true));
            text.extend(next.await.unwrap().unwrap());
        }
        assert_eq!(text, b"three\nfour\n");
    }
}
