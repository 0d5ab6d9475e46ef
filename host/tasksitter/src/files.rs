//! The files of a task's directory.

use crate::credentials::Identity;
use cerebro_tasksitter::protocol::{ExitNote, TaskSpec, TaskState};
use nix::sys::stat::Mode;
use std::fs::{self, File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the sitter before may take to let go of the lock: it is dead, but its child may still
/// be on its way to exec.
const LOCK_WITHIN: Duration = Duration::from_secs(5);

/// Why a task's directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// Another sitter is at work here.
    #[error("another task sitter watches {0}")]
    InUse(String),
    /// Its pages cannot be served.
    #[error("cannot serve its pages at {address}: {source}: {hint}")]
    Monitor {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
        /// What to do about it.
        hint: &'static str,
    },
    /// A file is not as it should be.
    #[error("cannot {doing} {path}: {source}")]
    File {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: String,
        /// What came of it.
        source: io::Error,
    },
}

/// A task's directory, locked.
pub struct TaskDir {
    path: PathBuf,
    lock: File,
}

pub fn at<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> DirError + 'a {
    move |source| DirError::File { doing, path: path.display().to_string(), source }
}

impl TaskDir {
    /// Locks the directory, and makes what is missing in it.
    pub fn open(path: &Path) -> Result<Self, DirError> {
        let path = fs::canonicalize(path).map_err(at("find", path))?;
        let lock_file = path.join("lock");
        let lock = File::create(&lock_file).map_err(at("make", &lock_file))?;
        let end = Instant::now() + LOCK_WITHIN;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < end => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(DirError::InUse(path.display().to_string()));
                }
                Err(TryLockError::Error(source)) => return Err(at("lock", &lock_file)(source)),
            }
        }
        Self { path, lock }.furnish()
    }

    /// Takes over a directory whose `lock` this process held before it executed another program.
    pub fn resume(path: &Path, lock: OwnedFd) -> Result<Self, DirError> {
        let path = fs::canonicalize(path).map_err(at("find", path))?;
        Self { path, lock: lock.into() }.furnish()
    }

    fn furnish(self) -> Result<Self, DirError> {
        fs::create_dir_all(self.logs()).map_err(at("make", &self.logs()))?;
        for name in ["stdout", "stderr"] {
            let fifo = self.fifo(name);
            match nix::unistd::mkfifo(&fifo, Mode::from_bits_truncate(0o600)) {
                Ok(()) | Err(nix::errno::Errno::EEXIST) => {}
                Err(error) => return Err(at("make", &fifo)(error.into())),
            }
        }
        Ok(self)
    }

    pub fn lock(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }

    /// What the task writes to. Open for reading too: so its writes never meet a pipe without a
    /// reader, and nothing is lost while no sitter reads. It belongs to the task's user, who may
    /// then open `/dev/stdout` by name.
    pub fn open_for_task(&self, name: &str, identity: Option<&Identity>) -> io::Result<File> {
        let file = File::options().read(true).write(true).open(self.fifo(name))?;
        if let Some(identity) = identity.filter(|_| nix::unistd::geteuid().is_root()) {
            nix::unistd::fchown(&file, Some(identity.uid()), None)?;
        }
        Ok(file)
    }

    /// What someone else saw of the end of a child, if anyone left word; it is taken away.
    pub fn take_exit_note(&self) -> Option<ExitNote> {
        let file = self.path.join("exit.json");
        let note = serde_json::from_slice(&fs::read(&file).ok()?).ok();
        let _ = fs::remove_file(file);
        note
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn fifo(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.fifo"))
    }

    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    pub fn child_file(&self) -> PathBuf {
        self.path.join("child")
    }

    pub fn save_spec(&self, spec: &TaskSpec) -> Result<(), DirError> {
        self.replace("spec.json", spec)
    }

    /// The state that the last sitter left; none if it left none that can be read.
    pub fn state(&self) -> Option<TaskState> {
        serde_json::from_slice(&fs::read(self.path.join("state.json")).ok()?).ok()
    }

    pub fn forget_state(&self) -> Result<(), DirError> {
        let file = self.path.join("state.json");
        fs::remove_file(&file).map_err(at("remove", &file))
    }

    pub fn save(&self, state: &TaskState) -> Result<(), DirError> {
        self.replace("state.json", state)
    }

    fn replace(&self, name: &str, value: &impl serde::Serialize) -> Result<(), DirError> {
        let (new, file) = (self.path.join(format!("{name}.new")), self.path.join(name));
        let text = serde_json::to_vec(value).map_err(|error| at("write", &file)(error.into()))?;
        fs::write(&new, text).and_then(|()| fs::rename(&new, &file)).map_err(at("write", &file))
    }
}

/// What runs in the task's directory `dir`.
pub fn spec_in(dir: &Path) -> Result<TaskSpec, DirError> {
    let file = dir.join("spec.json");
    let text = fs::read(&file).map_err(at("read", &file))?;
    serde_json::from_slice(&text).map_err(|error| at("understand", &file)(error.into()))
}
