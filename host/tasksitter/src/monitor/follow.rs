//! Following a log from file to file. What was begun is read to its end, whatever became of its
//! name; the numbers of those set aside say which one comes next.
//!
//! A follower that is so slow that the next file is removed before its turn goes on with the oldest
//! that is left.

use crate::log::older;
use flate2::read::MultiGzDecoder;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How often files may be set aside just while one of them is opened.
const TRIES: usize = 100;

/// What a log is read from.
pub enum Source {
    /// A file as it was written, and how far it was read.
    Plain(File, u64),
    /// A file that was compressed.
    Gzip(Box<MultiGzDecoder<File>>),
}

/// A log that is followed.
pub struct Follow {
    path: PathBuf,
    /// The number that the file that is read now has, or will have once it is set aside.
    number: u64,
}

/// Opens a file to be shown: the file itself, not what a link names, since links may be made by
/// those who could not read what they name. Does not wait, whatever stands there.
pub fn open(path: &Path) -> io::Result<File> {
    open_with(path, libc::O_NOFOLLOW)
}

/// The same of a file that the task's description names, which may be a link.
pub fn open_any(path: &Path) -> io::Result<File> {
    open_with(path, 0)
}

fn open_with(path: &Path, flags: i32) -> io::Result<File> {
    let file = File::options().read(true).custom_flags(flags | libc::O_NONBLOCK).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no plain file")),
    }
}

/// Whether a file was compressed, by its name.
pub fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

impl Source {
    /// From the beginning of a file that was set aside.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        Ok(match is_compressed(path) {
            true => Self::Gzip(Box::new(MultiGzDecoder::new(file))),
            false => Self::Plain(file, 0),
        })
    }
}

impl Follow {
    /// Begins with the file that is being written now.
    pub fn begin(path: &Path) -> io::Result<(Self, Source)> {
        let mut follow = Self { path: path.to_owned(), number: newest(path) };
        let source = follow.next()?;
        Ok((follow, source))
    }

    /// Whether `file` is no longer the one being written. Nothing is written to it then.
    pub fn is_set_aside(&self, file: &File) -> io::Result<bool> {
        let own = file.metadata()?;
        Ok(match fs::symlink_metadata(&self.path) {
            Ok(now) => (now.dev(), now.ino()) != (own.dev(), own.ino()),
            // The next one is about to be made.
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        })
    }

    /// The file after the present one.
    pub fn next(&mut self) -> io::Result<Source> {
        for _ in 0..TRIES {
            let after = older(&self.path).into_iter().filter(|(number, _)| *number > self.number);
            // While one is compressed it is there twice.
            let after = after.min_by_key(|(number, path)| (*number, is_compressed(path)));
            let opened = match &after {
                Some((_, path)) => Source::open(path),
                None => open(&self.path).map(|file| Source::Plain(file, 0)),
            };
            let source = match opened {
                // It was compressed just now, or set aside.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened?,
            };
            let newest = newest(&self.path);
            match after {
                Some((number, _)) => self.number = number,
                // Set aside meanwhile, it has a number now, and there may be more of them.
                None if newest > self.number => continue,
                None => self.number = newest + 1,
            }
            return Ok(source);
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "the log has no file that stays"))
    }
}

fn newest(path: &Path) -> u64 {
    older(path).into_iter().map(|(number, _)| number).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::{Read, Write};

    fn text(source: Source) -> String {
        let mut text = String::new();
        match source {
            Source::Plain(mut file, _) => file.read_to_string(&mut text).unwrap(),
            Source::Gzip(mut file) => file.read_to_string(&mut text).unwrap(),
        };
        text
    }

    struct Log {
        dir: tempfile::TempDir,
    }

    impl Log {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().unwrap() }
        }

        fn file(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.file(name), text).unwrap();
        }

        fn set_aside(&self, number: u64, next: &str) {
            fs::rename(self.file("out"), self.file(&format!("out.{number}"))).unwrap();
            self.write("out", next);
        }

        fn compress(&self, number: u64) {
            let plain = self.file(&format!("out.{number}"));
            let to = File::create(self.file(&format!("out.{number}.gz"))).unwrap();
            let mut to = GzEncoder::new(to, Compression::fast());
            to.write_all(&fs::read(&plain).unwrap()).unwrap();
            to.finish().unwrap();
            fs::remove_file(plain).unwrap();
        }
    }

    #[test]
    fn every_file_has_its_turn_however_late() {
        let log = Log::new();
        log.write("out.7", "old");
        log.write("out", "eight");
        let (mut follow, source) = Follow::begin(&log.file("out")).unwrap();
        let Source::Plain(file, 0) = source else { panic!("it is compressed") };
        assert!(!follow.is_set_aside(&file).unwrap());
        for (number, next) in [(8, "nine"), (9, "ten"), (10, "eleven")] {
            log.set_aside(number, next);
        }
        log.compress(9);
        assert!(follow.is_set_aside(&file).unwrap());
        assert_eq!(text(Source::Plain(file, 0)), "eight");
        for expected in ["nine", "ten", "eleven"] {
            assert_eq!(text(follow.next().unwrap()), expected);
        }
        log.set_aside(11, "twelve");
        assert_eq!(text(follow.next().unwrap()), "twelve");
    }

    #[test]
    fn one_that_was_removed_is_passed_over() {
        let log = Log::new();
        log.write("out", "one");
        let (mut follow, source) = Follow::begin(&log.file("out")).unwrap();
        for number in 1..=4 {
            log.set_aside(number, &format!("after {number}"));
        }
        fs::remove_file(log.file("out.2")).unwrap();
        assert_eq!(text(source), "one");
        assert_eq!(text(follow.next().unwrap()), "after 2");
    }

    #[test]
    fn where_none_are_kept_the_present_one_comes_next() {
        let log = Log::new();
        log.write("out", "one");
        let (mut follow, source) = Follow::begin(&log.file("out")).unwrap();
        let Source::Plain(file, 0) = source else { panic!("it is compressed") };
        for next in ["two", "three"] {
            fs::remove_file(log.file("out")).unwrap();
            assert!(!follow.is_set_aside(&file).unwrap(), "there is no other yet");
            log.write("out", next);
            assert!(follow.is_set_aside(&file).unwrap());
            assert_eq!(text(follow.next().unwrap()), next);
        }
    }

    #[test]
    fn links_and_pipes_are_not_opened() {
        let log = Log::new();
        log.write("secret", "secret");
        std::os::unix::fs::symlink(log.file("secret"), log.file("out")).unwrap();
        assert!(open(&log.file("out")).is_err());
        nix::unistd::mkfifo(&log.file("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(open(&log.file("pipe")).is_err());
        assert!(open(log.dir.path()).is_err());
    }
}
