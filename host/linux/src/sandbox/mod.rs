//! A sandbox for one command: a file system that it cannot write to but in some directories, no
//! network, and no way to more privileges.
//!
//! The first line are namespaces of its own: of mounts, where everything is read-only, and of
//! network interfaces. The second, where the kernel has it, is Landlock, which also keeps it from
//! reaching out through other processes of its user. All is made in the child between fork and
//! exec, and ends with the command; the machine's own mounts stay as they are.

mod call;
mod enter;
mod ground;
mod landlock;
mod layer;
mod plan;
mod privileges;
mod refused;
mod seccomp;
#[cfg(test)]
mod tests;

pub use layer::{is_opaque, is_whiteout};
pub use refused::{Doing, Refused, Verdict};

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// What a command may touch.
///
/// It sees a `/dev` of its own with the harmless devices, whatever is read-only.
#[derive(Debug)]
pub struct Sandbox {
    /// Whether nothing can be written but what is in `writable`, and in a `/tmp`, `/var/tmp` and
    /// `/dev/shm` of its own, which are empty.
    pub read_only_root: bool,
    /// Directories that can be written nevertheless, with all that is mounted below.
    pub writable: Vec<OwnedFd>,
    /// Directories that the command has copies of, to write to.
    pub copies: Vec<Copy>,
    /// Directories that it sees though they lie in a `/tmp` that is not its own.
    pub visible: Vec<OwnedFd>,
    /// Whether it has no network, and no sockets to the machine's services.
    pub no_network: bool,
    /// Whether programs that lend privileges lend it none.
    pub no_new_privs: bool,
    /// Whom it runs as, if not as the caller.
    pub user: Option<u32>,
    /// Its group, if not the caller's.
    pub group: Option<u32>,
    /// Where it starts.
    pub directory: PathBuf,
}

/// A directory, and where what a command changes in it goes.
#[derive(Debug)]
pub struct Copy {
    /// The directory.
    pub directory: OwnedFd,
    /// Where changes go.
    pub upper: PathBuf,
    /// The kernel's scratch directory beside `upper`.
    pub work: PathBuf,
}

impl Default for Sandbox {
    /// One in which a command only reads.
    fn default() -> Self {
        Self {
            read_only_root: true,
            writable: Vec::new(),
            copies: Vec::new(),
            visible: Vec::new(),
            no_network: true,
            no_new_privs: true,
            user: None,
            group: None,
            directory: PathBuf::from("/"),
        }
    }
}

impl Sandbox {
    /// Has `command` run in this sandbox. Its user, group and directory are the sandbox's: `command`
    /// is to name none. If it then cannot be started, the verdict tells whether that was for the
    /// sandbox.
    pub fn apply(self, command: &mut Command) -> io::Result<Verdict> {
        let (verdict, tell) = Verdict::new()?;
        let plan = plan::Plan::new(self)?;
        // SAFETY: `enter` makes only system calls, on what was prepared before.
        unsafe {
            command.pre_exec(move || plan.enter().map_err(|refused| tell.tell(refused)));
        }
        Ok(verdict)
    }
}
