//! Going on as another program in the same process, so that the task keeps its parent.
//!
//! Nothing needs to be handed over but the lock: all else is in the task's directory, where a new
//! sitter looks for it anyway.

use crate::files::TaskDir;
use crate::tell::tell;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Names the descriptor of the lock that the program before held.
const LOCK: &str = "CEREBRO_TASK_LOCK";

/// What a task sitter prints that understands a task, followed by its version: that a program ends
/// well does not make it one.
pub const UNDERSTOOD: &str = "tasksitter understands";
/// How long a program has to say so. The task is not watched meanwhile.
const CHECK_WITHIN: Duration = Duration::from_secs(2);

/// Whether `program` is a task sitter that understands the task in `dir`.
pub fn is_usable(program: &Path, dir: &Path) -> bool {
    let answer = check(program, dir);
    if let Err(error) = &answer {
        tell(format_args!("does not go on as `{}`: {error}", program.display()));
    }
    answer.is_ok()
}

fn check(program: &Path, dir: &Path) -> io::Result<()> {
    let mut command = Command::new(program);
    command.arg("--check").arg(dir).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let answer = answer(&mut child);
    // It may still be there, if it did not answer.
    let _ = child.kill();
    let status = child.wait()?;
    match answer? {
        answer if answer.starts_with(UNDERSTOOD.as_bytes()) && status.success() => Ok(()),
        _ => Err(io::Error::other(format!("it does not understand this task ({status})"))),
    }
}

/// The beginning of what it prints, until it ends.
fn answer(child: &mut Child) -> io::Result<Vec<u8>> {
    let (mut answer, end) = (Vec::new(), Instant::now() + CHECK_WITHIN);
    let Some(output) = &mut child.stdout else { return Ok(answer) };
    let mut buffer = [0; 256];
    while answer.len() < buffer.len() {
        let left = end.saturating_duration_since(Instant::now()).as_millis();
        let mut polled = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
        if poll(&mut polled, PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO))? == 0 {
            let message = format!("it did not answer within {CHECK_WITHIN:?}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, message));
        }
        match output.read(&mut buffer)? {
            0 => break,
            read => answer.extend_from_slice(&buffer[..read]),
        }
    }
    Ok(answer)
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
