//! Namespaces: what a process sees of the machine, made private to it.

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{ForkResult, fork};
use std::io;

/// A kind of namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespace {
    /// Processes. It begins with the caller's next child, which becomes its init.
    Processes,
    /// Mounts.
    Mounts,
    /// The host's name.
    HostName,
    /// Network interfaces, addresses and routes; new ones have a loopback that is down.
    Network,
}

impl Namespace {
    fn flag(self) -> CloneFlags {
        match self {
            Self::Processes => CloneFlags::CLONE_NEWPID,
            Self::Mounts => CloneFlags::CLONE_NEWNS,
            Self::HostName => CloneFlags::CLONE_NEWUTS,
            Self::Network => CloneFlags::CLONE_NEWNET,
        }
    }
}

/// Leaves the given namespaces for new ones.
pub fn leave(namespaces: &[Namespace]) -> io::Result<()> {
    let flags = namespaces.iter().fold(CloneFlags::empty(), |flags, one| flags | one.flag());
    Ok(unshare(flags)?)
}

/// Which side of a fork the caller is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The process that forked.
    Parent {
        /// The new process's pid, as the parent sees it.
        child: i32,
    },
    /// The new process.
    Child,
}

/// Forks a process that has one thread only; both sides go on from here.
///
/// With more threads the child could find a lock held by a thread that it does not have, so that
/// is refused.
pub fn fork_alone() -> io::Result<Side> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("only a process of one thread may fork and go on"));
    }
    // SAFETY: there is no other thread, so the child inherits no lock held by one.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(Side::Parent { child: child.as_raw() }),
        ForkResult::Child => Ok(Side::Child),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_does_not_fork() {
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || held.recv());
        assert!(fork_alone().is_err());
        drop(hold);
        let _ = other.join().unwrap();
    }
}
