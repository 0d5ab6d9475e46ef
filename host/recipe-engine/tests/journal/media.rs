//! Media that fail as disks do.

use cerebro_recipe_engine::{FileMedium, Medium};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// What happens at a record.
#[derive(Clone, Copy)]
pub enum Fault {
    /// The disk is full, from there on.
    Full,
    /// The process dies before it is written.
    Before,
    /// The process dies behind it.
    Behind,
}

/// A medium on which something happens at the record `at`, counted from 0 over all journals.
pub struct Faulty {
    file: FileMedium,
    fault: Fault,
    at: usize,
    written: Arc<AtomicUsize>,
}

impl Faulty {
    /// Opens such media. `written` counts their records.
    pub fn opening(
        fault: Fault,
        at: usize,
        written: Arc<AtomicUsize>,
    ) -> impl Fn(&Path, u64) -> io::Result<Box<dyn Medium>> + Send + Sync {
        move |path, length| {
            let file = FileMedium::open(path, length)?;
            Ok(Box::new(Self { file, fault, at, written: written.clone() }))
        }
    }
}

/// As if the agent had been killed: nothing is cleaned up.
fn die() -> ! {
    // SAFETY: it only ends the process.
    unsafe { libc::_exit(137) }
}

impl Medium for Faulty {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let n = self.written.fetch_add(1, SeqCst);
        match self.fault {
            Fault::Full if n >= self.at => Err(io::ErrorKind::StorageFull.into()),
            Fault::Before if n == self.at => die(),
            Fault::Behind if n == self.at => {
                self.file.append(bytes)?;
                die()
            }
            _ => self.file.append(bytes),
        }
    }

    fn reserve(&mut self, bytes: usize) -> io::Result<()> {
        self.file.reserve(bytes)
    }

    // The kernel has what was written: that is enough for a process that dies.
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What reached a disk: writes, and where all before was on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Logged {
    Bytes(Vec<u8>),
    Synced,
}

/// The writes of a journal, in their order.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Logged>>>);

impl Log {
    pub fn take(&self) -> Vec<Logged> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A medium that takes records up to one, and tells what it took.
pub struct Losing {
    file: FileMedium,
    left: usize,
    log: Log,
}

impl Losing {
    /// Opens media that take `at` records less one: then the machine is as it is when its power goes.
    pub fn opening(
        at: usize,
        log: Log,
    ) -> impl Fn(&Path, u64) -> io::Result<Box<dyn Medium>> + Send + Sync {
        move |path, length| {
            let file = FileMedium::open(path, length)?;
            Ok(Box::new(Self { file, left: at - 1, log: log.clone() }))
        }
    }
}

impl Medium for Losing {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.left = self.left.checked_sub(1).ok_or(io::ErrorKind::BrokenPipe)?;
        self.file.append(bytes)?;
        self.log.0.lock().unwrap().push(Logged::Bytes(bytes.to_vec()));
        Ok(())
    }

    fn reserve(&mut self, bytes: usize) -> io::Result<()> {
        self.file.reserve(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.log.0.lock().unwrap().push(Logged::Synced);
        Ok(())
    }
}
