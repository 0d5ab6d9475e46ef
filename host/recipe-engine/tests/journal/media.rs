//! Media that fail as disks do.

use cerebro_recipe_engine::{FileMedium, Medium};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

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
