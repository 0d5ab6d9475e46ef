//! Where a journal's bytes go.

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes that are set aside at a time.
const PIECE: u64 = 256 << 10;
/// Bytes that stay set aside for what taking back will write.
const RESERVE: u64 = 64 << 10;

/// What takes a journal's bytes: a file. A test puts a disk in its place that is full, or that loses
/// its power.
pub trait Medium: Send {
    /// Puts `bytes` behind all others.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Sees to it that there is room for `bytes` more, and for taking back what was done.
    fn reserve(&mut self, bytes: usize) -> io::Result<()>;

    /// Has all that was appended be on the disk.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file.
#[derive(Debug)]
pub struct FileMedium {
    file: File,
    length: u64,
    reserved: u64,
    /// Directories that may be as new as the file: until they are on the disk, it has no name there.
    above: Vec<PathBuf>,
}

/// Directories above a journal that are made with it: its call's, that of all calls, and the one that
/// holds that.
const MADE_WITH_IT: usize = 3;

impl FileMedium {
    /// The file at `path`, which is made, or gone on with behind `length` bytes.
    pub fn open(path: &Path, length: u64) -> io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let mut file =
            File::options().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        file.set_len(length)?;
        file.seek(SeekFrom::Start(length))?;
        let above = path.ancestors().skip(1).take(MADE_WITH_IT).map(Path::to_owned);
        let above = if length == 0 { above.collect() } else { Vec::new() };
        Ok(Self { file, length, reserved: length, above })
    }
}

impl Medium for FileMedium {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(bytes) {
            // So that what follows does not stand behind half a frame.
            self.file.set_len(self.length)?;
            self.file.seek(SeekFrom::Start(self.length))?;
            return Err(error);
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn reserve(&mut self, bytes: usize) -> io::Result<()> {
        let wanted = self.length + bytes as u64 + RESERVE;
        if wanted <= self.reserved {
            return Ok(());
        }
        let from = self.reserved;
        let more = (wanted - from).next_multiple_of(PIECE);
        let (offset, length) = (i64::try_from(from), i64::try_from(more));
        let (Ok(offset), Ok(length)) = (offset, length) else { return Ok(()) };
        match fallocate(&self.file, FallocateFlags::FALLOC_FL_KEEP_SIZE, offset, length) {
            // A file system that cannot set space aside.
            Ok(()) | Err(Errno::EOPNOTSUPP) => {
                self.reserved = from + more;
                Ok(())
            }
            Err(errno) => Err(errno.into()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        for directory in std::mem::take(&mut self.above) {
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    }
}
