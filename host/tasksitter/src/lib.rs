//! What others need to know of task sitters: the protocol, and how to start one.
//!
//! One task sitter runs beside each task, in a process of its own that outlives the agent; see
//! [`protocol`] for its directory and its socket.

pub mod protocol;
mod spec;

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// Starts a task sitter on a task's directory, as a child of init, so that it lives on when the
/// caller ends. If another one holds the directory, the new one waits for its end, or gives up.
///
/// Blocks until it has begun, for a millisecond or so.
pub fn launch(program: &Path, directory: &Path) -> io::Result<()> {
    let log =
        std::fs::File::options().create(true).append(true).open(directory.join("sitter.log"))?;
    let mut command = Command::new(program);
    command.arg("--detach").arg("--dir").arg(directory).current_dir("/");
    // It forks once more by itself: that is quick, since it is small, and the caller may not be.
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("its {status}"))) }
}
