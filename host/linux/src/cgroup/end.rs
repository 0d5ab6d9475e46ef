//! The end of a group: of its processes, and of itself.

use super::{Cgroup, CgroupError, at, below};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long one look waits for the kernel to say that a group is empty.
const LOOK: Duration = Duration::from_millis(20);

impl Cgroup {
    /// Kills every process in it and below; answers whether all were gone in time.
    pub fn kill(&self, within: Duration) -> bool {
        if self.processes().is_empty() {
            return true;
        }
        let end = Instant::now() + within;
        let v2 = self.cgroups.v2.as_ref().map(|root| root.join(&self.path));
        // Opened before, so that no change is missed.
        let events = v2.as_ref().and_then(|dir| File::open(dir.join("cgroup.events")).ok());
        loop {
            if let Some(dir) = &v2 {
                // Missing before Linux 5.14; then the loop does it alone.
                let _ = fs::write(dir.join("cgroup.kill"), "1");
            }
            let left = self.processes();
            if left.is_empty() {
                return true;
            }
            for pid in left {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            if Instant::now() > end {
                return false;
            }
            wait_for_change(events.as_ref());
        }
    }

    /// Removes it with the groups below, once they are empty; that it is gone already is no error.
    pub fn remove(&self, within: Duration) -> Result<(), CgroupError> {
        let end = Instant::now() + within;
        for directory in self.directories() {
            // A group stays busy for a moment after its last process has died.
            while let Err(source) = remove_tree(&directory) {
                if Instant::now() > end {
                    return Err(at("remove", &directory)(source));
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        Ok(())
    }

    /// Removes it if nothing is in it, not even an empty group below; an error otherwise.
    pub fn remove_empty(&self) -> Result<(), CgroupError> {
        for directory in self.directories() {
            match fs::remove_dir(&directory) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(at("remove", &directory)(source));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Waits until the version 2 group is empty or filled, or a moment has passed.
fn wait_for_change(events: Option<&File>) {
    let Some(events) = events else { return std::thread::sleep(Duration::from_millis(1)) };
    let mut polled = [PollFd::new(events.as_fd(), PollFlags::POLLPRI)];
    let timeout = PollTimeout::try_from(LOOK).unwrap_or(PollTimeout::ZERO);
    // The first call answers at once, for a file that was not read since it was opened.
    let _ = nix::sys::uio::pread(events, &mut [0; 64], 0);
    let _ = poll(&mut polled, timeout);
}

fn remove_tree(directory: &Path) -> io::Result<()> {
    for child in below(directory) {
        remove_tree(&child)?;
    }
    match fs::remove_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
