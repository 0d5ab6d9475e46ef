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
/// The same for a task's last words.
const LONGEST_WORDS: u64 = 16 << 10;
/// Characters of a line that they hold.
const LONGEST_LINE: usize = 300;

/// A log file, read from some place on.
pub struct Reader {
    path: PathBuf,
    file: Option<File>,
    first: Vec<u8>,
}

/// The last `lines` lines that the task in `dir` wrote to its standard error, or where it never did,
/// to its standard output; of each what is at most so long as is good to read.
pub async fn last_words(dir: &Path, lines: usize) -> String {
    for file in ["logs/stderr.log", "logs/stdout.log"] {
        let words = tail(dir.join(file), lines, LONGEST_WORDS).await.0;
        let words = String::from_utf8_lossy(&words);
        let shown =
            words.trim_end().lines().map(|line| match line.char_indices().nth(LONGEST_LINE) {
                Some((end, _)) => format!("{}...", &line[..end]),
                None => line.to_owned(),
            });
        let shown = shown.collect::<Vec<_>>().join("\n");
        if !shown.is_empty() {
            return shown;
        }
    }
    String::new()
}

/// The last lines of a file within its last `bytes`, and the file at its end.
async fn tail(path: PathBuf, lines: usize, bytes: u64) -> (Vec<u8>, Option<File>) {
    let Ok(mut file) = File::open(&path).await else { return (Vec::new(), None) };
    let mut text = Vec::new();
    let size = file.metadata().await.map_or(0, |file| file.len());
    if file.seek(SeekFrom::Start(size.saturating_sub(bytes))).await.is_ok() {
        let read = (&mut file).take(bytes).read_to_end(&mut text).await;
        if read.is_err() {
            text.clear();
        }
    }
    text.drain(..start_of_tail(&text, lines));
    (text, Some(file))
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
        let (first, file) = tail(path.clone(), lines, LONGEST_TAIL).await;
        Self { path, file, first }
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
    async fn last_words_are_of_the_one_or_the_other_and_not_too_long() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(last_words(dir.path(), 2).await, "");
        std::fs::create_dir(dir.path().join("logs")).unwrap();
        std::fs::write(dir.path().join("logs/stdout.log"), "one\ntwo\nthree\n").unwrap();
        assert_eq!(last_words(dir.path(), 2).await, "two\nthree");
        let long = "ü".repeat(1000);
        std::fs::write(dir.path().join("logs/stderr.log"), format!("{long}\nbye\n")).unwrap();
        assert_eq!(last_words(dir.path(), 5).await, format!("{}...\nbye", &long[..600]));
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
