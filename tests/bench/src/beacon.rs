//! What the tasks tell: one datagram each time that one starts, with its own stamp.

use crate::clock;
use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const MAGIC: u32 = 0x5b5b_5b5b;
/// `struct message` of kid.c.
const LENGTH: usize = 40;

/// Why a task speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Its first instruction ran.
    Started,
    /// It has written all that it was to write.
    Wrote,
    /// It is a grandchild that has left the tree.
    Escaped,
}

/// One datagram.
#[derive(Debug, Clone, Copy)]
pub struct Beacon {
    /// Why the task speaks.
    pub kind: Kind,
    /// Whose task it is.
    pub contender: u32,
    /// Which of its tasks.
    pub index: u32,
    /// The task's pid.
    pub pid: i32,
    /// When it happened, by [`clock::now_ns`].
    pub at_ns: u64,
    /// For [`Kind::Wrote`]: when the last byte was written.
    pub extra: u64,
}

impl Beacon {
    fn read(bytes: &[u8; LENGTH]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let long = |at: usize| Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        if word(0)? != MAGIC {
            return None;
        }
        let kind = match word(4)? {
            1 => Kind::Started,
            2 => Kind::Wrote,
            3 => Kind::Escaped,
            _ => return None,
        };
        Some(Self {
            kind,
            contender: word(8)?,
            index: word(12)?,
            pid: i32::try_from(long(16)?).ok()?,
            at_ns: long(24)?,
            extra: long(32)?,
        })
    }
}

/// Where the tasks' datagrams arrive.
#[derive(Debug)]
pub struct Beacons {
    socket: UnixDatagram,
    path: PathBuf,
    latest: HashMap<(u32, u32), Beacon>,
}

impl Beacons {
    /// A fresh socket in the directory.
    pub fn bind(directory: &Path) -> Result<Self> {
        let path = directory.join("socket");
        let _ = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path)
            .with_context(|| format!("cannot listen on {}", path.display()))?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, path, latest: HashMap::new() })
    }

    /// What the tasks are to be told.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next one, or none within that time.
    pub fn next(&mut self, within: Duration) -> Result<Option<Beacon>> {
        let begun = Instant::now();
        loop {
            clock::check()?;
            let mut bytes = [0; LENGTH];
            if let Ok(LENGTH) = self.socket.recv(&mut bytes)
                && let Some(beacon) = Beacon::read(&bytes)
            {
                if beacon.kind == Kind::Started {
                    self.latest.insert((beacon.contender, beacon.index), beacon);
                }
                return Ok(Some(beacon));
            }
            let left = within.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Ok(None);
            }
            // In pieces, for a signal may come just before the call.
            let piece = left.min(Duration::from_millis(500)).as_millis() as u16;
            let mut ready = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            match poll(&mut ready, PollTimeout::from(piece.max(1))) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The last start of a task that has been told.
    pub fn latest(&self, contender: u32, index: u32) -> Option<Beacon> {
        self.latest.get(&(contender, index)).copied()
    }

    /// Hears what comes for so long.
    pub fn listen(&mut self, length: Duration) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < length {
            self.next(length.saturating_sub(begun.elapsed()))?;
        }
        Ok(())
    }

    /// How many of a contender's tasks have started, and when the last start of all was.
    pub fn starts(&self, contender: u32) -> Starts {
        let stamps = || {
            let ours = self.latest.iter().filter(move |((of, _), _)| *of == contender);
            ours.map(|(_, beacon)| beacon.at_ns)
        };
        Starts { tasks: stamps().count(), last_ns: stamps().max() }
    }
}

impl AsFd for Beacons {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// How a contender's tasks came up.
#[derive(Debug, Clone, Copy)]
pub struct Starts {
    /// How many did.
    pub tasks: usize,
    /// When the last of them did, by [`clock::now_ns`].
    pub last_ns: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(magic: u32, kind: u32) -> [u8; LENGTH] {
        let mut bytes = Vec::new();
        for word in [magic, kind, 7, 9] {
            bytes.extend(u32::to_ne_bytes(word));
        }
        for long in [4321, 10, 20] {
            bytes.extend(u64::to_ne_bytes(long));
        }
        bytes.try_into().unwrap()
    }

    #[test]
    fn datagrams_of_others_are_no_beacons() {
        assert!(Beacon::read(&bytes(MAGIC + 1, 1)).is_none());
        assert!(Beacon::read(&bytes(MAGIC, 4)).is_none());
    }

    #[test]
    fn the_latest_start_is_kept_and_no_other_beacon() {
        let directory = tempfile::tempdir().unwrap();
        let mut beacons = Beacons::bind(directory.path()).unwrap();
        let task = UnixDatagram::unbound().unwrap();
        task.send_to(&bytes(MAGIC, 1), beacons.path()).unwrap();
        task.send_to(&bytes(MAGIC, 3), beacons.path()).unwrap();
        let first = beacons.next(Duration::from_secs(5)).unwrap().unwrap();
        let second = beacons.next(Duration::from_secs(5)).unwrap().unwrap();
        assert_eq!((first.kind, first.pid, first.at_ns), (Kind::Started, 4321, 10));
        assert_eq!(second.kind, Kind::Escaped);
        assert_eq!(beacons.latest(7, 9).unwrap().kind, Kind::Started);
        assert!(beacons.latest(7, 8).is_none());
        assert_eq!((beacons.starts(7).tasks, beacons.starts(7).last_ns), (1, Some(10)));
        assert_eq!(beacons.starts(8).tasks, 0);
        assert!(beacons.next(Duration::from_millis(1)).unwrap().is_none());
    }
}
