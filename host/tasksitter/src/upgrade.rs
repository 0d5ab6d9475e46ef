//! Going on as another program in the same process, so that the task keeps its parent.
//!
//! Nothing needs to be handed over but the lock: all else is in the task's directory, where a new
//! sitter looks for it anyway.

use crate::files::TaskDir;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Names the descriptor of the lock that the program before held.
const LOCK: &str = "CEREBRO_TASK_LOCK";

/// Whether `program` is one that understands the task in `dir`.
pub fn is_usable(program: &Path, dir: &Path) -> bool {
    let mut command = Command::new(program);
    command.arg("--check").arg(dir).stdin(Stdio::null()).stdout(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => true,
        Ok(status) => {
            eprintln!(
                "tasksitter: `{}` does not understand this task: {status}",
                program.display()
            );
            false
        }
        Err(error) => {
            eprintln!("tasksitter: cannot go on as `{}`: {error}", program.display());
            false
        }
    }
}

/// Executes `program` on the directory; comes back only if that failed.
pub fn execute(program: &Path, dir: &TaskDir, stand_alone: bool) -> io::Error {
    let lock = dir.lock().as_raw_fd();
    // SAFETY: a descriptor of ours, which is to be there after exec.
    if unsafe { libc::fcntl(lock, libc::F_SETFD, 0) } < 0 {
        return io::Error::last_os_error();
    }
    let mut command = Command::new(program);
    command.arg("--dir").arg(dir.path()).env(LOCK, lock.to_string());
    if stand_alone {
        command.arg("--stand-alone");
    }
    command.exec()
}

/// The lock that the program before held, if this one goes on for another.
pub fn inherited_lock() -> Option<OwnedFd> {
    let lock: RawFd = std::env::var(LOCK).ok()?.parse().ok().filter(|fd| *fd > 2)?;
    // SAFETY: takes no pointers; a number that is no descriptor is refused.
    if unsafe { libc::fcntl(lock, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return None;
    }
    // SAFETY: it is open, and this process, which has just begun, has no other use for it.
    Some(unsafe { OwnedFd::from_raw_fd(lock) })
}
