//! What the task writes, from its FIFO into files that are begun anew at a size.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

const BUFFER: usize = 64 * 1024;

/// One stream of a task.
pub struct Log {
    fifo: File,
    directory: PathBuf,
    name: &'static str,
    file: File,
    size: u64,
    limit: u64,
    keep: u32,
    buffer: Box<[u8; BUFFER]>,
}

impl Log {
    pub fn open(
        fifo: PathBuf,
        directory: PathBuf,
        name: &'static str,
        limit: u64,
        keep: u32,
    ) -> io::Result<Self> {
        // Open for writing too, so that it never ends.
        let fifo =
            File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(fifo)?;
        let (file, size) = append(&directory, name)?;
        Ok(Self {
            fifo,
            directory,
            name,
            file,
            size,
            limit: limit.max(4096),
            keep,
            buffer: Box::new([0; BUFFER]),
        })
    }

    /// Writes what has come so far; at most a few buffers, so that others get their turn.
    pub fn pump(&mut self) -> io::Result<()> {
        for _ in 0..16 {
            let read = match self.fifo.read(&mut self.buffer[..]) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.write(read)?;
        }
        Ok(())
    }

    /// Splits at the last line that still fits, so that no line stands in two files; one that is
    /// longer than a whole file cannot be helped.
    fn write(&mut self, length: usize) -> io::Result<()> {
        let mut from = 0;
        while from < length {
            let piece = &self.buffer[from..length];
            let room = usize::try_from(self.limit.saturating_sub(self.size)).unwrap_or(usize::MAX);
            if piece.len() <= room {
                self.file.write_all(piece)?;
                self.size += piece.len() as u64;
                return Ok(());
            }
            let end_of_line = |at: usize| at + 1;
            let newline = |byte: &u8| *byte == b'\n';
            let take =
                piece[..room].iter().rposition(newline).map(end_of_line).unwrap_or_else(|| {
                    // The line goes on to its end, or to twice the size.
                    let bound = usize::try_from(2 * self.limit - self.size)
                        .unwrap_or(usize::MAX)
                        .min(piece.len());
                    piece[..bound].iter().position(newline).map_or(bound, end_of_line)
                });
            self.file.write_all(&piece[..take])?;
            self.size += take as u64;
            from += take;
            if self.buffer[from - 1] == b'\n' || self.size >= 2 * self.limit {
                self.rotate()?;
            }
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let numbered = |n: u32| match n {
            0 => self.directory.join(format!("{}.log", self.name)),
            n => self.directory.join(format!("{}.log.{n}", self.name)),
        };
        for n in (0..self.keep).rev() {
            match fs::rename(numbered(n), numbered(n + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.keep == 0 {
            fs::remove_file(numbered(0))?;
        }
        (self.file, self.size) = append(&self.directory, self.name)?;
        Ok(())
    }
}

fn append(directory: &std::path::Path, name: &str) -> io::Result<(File, u64)> {
    let file =
        File::options().create(true).append(true).open(directory.join(format!("{name}.log")))?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

impl AsFd for Log {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fifo.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_and_the_disk_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        let mut log = Log::open(fifo.clone(), dir.path().to_owned(), "stdout", 4096, 2).unwrap();
        let mut writer = File::options().read(true).write(true).open(&fifo).unwrap();
        for number in 0..2000 {
            writeln!(writer, "line {number:06} {}", "x".repeat(number % 90)).unwrap();
            log.pump().unwrap();
        }
        let mut last = 2000;
        for name in ["stdout.log", "stdout.log.1", "stdout.log.2"] {
            let text = fs::read_to_string(dir.path().join(name)).unwrap();
            assert!(text.len() <= 8192, "{name}: {}", text.len());
            for line in text.lines().rev() {
                last -= 1;
                assert_eq!(
                    line,
                    format!("line {last:06} {}", "x".repeat(last % 90)).trim_end_matches('\n')
                );
            }
        }
        assert!(!dir.path().join("stdout.log.3").exists());
    }

    #[test]
    fn a_line_without_end_does_not_fill_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        let mut log = Log::open(fifo.clone(), dir.path().to_owned(), "stdout", 4096, 1).unwrap();
        let mut writer = File::options().read(true).write(true).open(&fifo).unwrap();
        for _ in 0..50 {
            writer.write_all(&[b'x'; 4000]).unwrap();
            log.pump().unwrap();
        }
        let files = fs::read_dir(dir.path()).unwrap().flatten().filter(|e| e.path() != fifo);
        let total: u64 = files.map(|e| e.metadata().unwrap().len()).sum();
        assert!(total <= 4 * 8192, "{total}");
    }
}
