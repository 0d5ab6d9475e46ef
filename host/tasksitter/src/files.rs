//! The files of a task's directory.

use cerebro_tasksitter::protocol::{TaskSpec, TaskState};
use nix::sys::stat::Mode;
use std::fs::{self, File, TryLockError};
use std::io;
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
    _lock: File,
}

fn at<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> DirError + 'a {
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
        let dir = Self { path, _lock: lock };
        fs::create_dir_all(dir.logs()).map_err(at("make", &dir.logs()))?;
        for name in ["stdout", "stderr"] {
            let fifo = dir.fifo(name);
            match nix::unistd::mkfifo(&fifo, Mode::from_bits_truncate(0o600)) {
                Ok(()) | Err(nix::errno::Errno::EEXIST) => {}
                Err(error) => return Err(at("make", &fifo)(error.into())),
            }
        }
        Ok(dir)
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

    pub fn spec(&self) -> Result<TaskSpec, DirError> {
        let file = self.path.join("spec.json");
        let text = fs::read(&file).map_err(at("read", &file))?;
        serde_json::from_slice(&text).map_err(|error| at("understand", &file)(error.into()))
    }

    /// The state that the last sitter left; none if it left none that can be read.
    pub fn state(&self) -> Option<TaskState> {
        serde_json::from_slice(&fs::read(self.path.join("state.json")).ok()?).ok()
    }

    pub fn save(&self, state: &TaskState) -> Result<(), DirError> {
        let (new, file) = (self.path.join("state.json.new"), self.path.join("state.json"));
        let text = serde_json::to_vec(state).map_err(|error| at("write", &file)(error.into()))?;
        fs::write(&new, text).and_then(|()| fs::rename(&new, &file)).map_err(at("write", &file))
    }
}
