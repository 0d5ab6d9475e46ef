//! The end of a group: of its processes, and of itself.

use super::{Cgroup, CgroupError, at, below};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long one look waits for the kernel to say that a group is empty.
const LOOK: Duration = Duration::from_millis(20);

impl Cgroup {
    /// Kills every process in it and below; answers whether all were gone in time. For a group that
    /// may well be empty, ask [`Occupancy`] first.
    ///
    /// By a freeze, so that none can start another meanwhile, and then one by one. Not by
    /// `cgroup.kill`: Linux 6.18 and others kill whatever is cloned into a group that was ever
    /// killed that way, so that nothing could be started in it again
    /// (`docs/decisions/0006-freeze-then-kill.md`).
    pub fn kill(&self, within: Duration) -> bool {
        let end = Instant::now() + within;
        let events = self.v2().and_then(|dir| File::open(dir.join("cgroup.events")).ok());
        self.freeze(true);
        let gone = loop {
            let left = self.processes();
            if left.is_empty() {
                break true;
            }
            for pid in left {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            if Instant::now() > end {
                break false;
            }
            wait_for_change(events.as_ref());
        };
        self.freeze(false);
        gone
    }

    /// Lets its processes run, if whoever was about to kill them ended in the middle.
    pub fn thaw(&self) {
        self.freeze(false);
    }

    /// Where there is no version 2 tree, or one before Linux 5.2, the loop does it alone.
    fn freeze(&self, frozen: bool) {
        if let Some(dir) = self.v2() {
            let _ = fs::write(dir.join("cgroup.freeze"), u8::from(frozen).to_string());
        }
    }

    fn v2(&self) -> Option<PathBuf> {
        self.cgroups.v2.as_ref().map(|root| root.join(&self.path))
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

/// Tells cheaply whether anything is in a group, by files that are kept open.
#[derive(Debug)]
pub enum Occupancy {
    /// The file `cgroup.events` of version 2: every child is born in that group, whatever others it
    /// is in.
    Events(File),
    /// The files `cgroup.procs` of version 1, where there is no version 2 tree.
    Lists(Vec<File>),
}

impl Occupancy {
    /// Whether any process is in it; in groups below it too, where there is a version 2 tree. When
    /// in doubt, there is one.
    pub fn is_there(&self) -> bool {
        let mut buffer = [0; 256];
        let mut read = |file: &File| {
            let length = nix::sys::uio::pread(file, &mut buffer, 0).ok()?;
            Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
        };
        match self {
            Self::Events(file) => read(file).is_none_or(|text| !text.contains("populated 0")),
            Self::Lists(files) => {
                let own = std::process::id().to_string();
                let is_ours = |list: String| list.lines().all(|pid| pid == own);
                files.iter().any(|file| !read(file).is_some_and(is_ours))
            }
        }
    }
}

impl Cgroup {
    /// Tells cheaply whether anything is in it.
    pub fn occupancy(&self) -> Result<Occupancy, CgroupError> {
        let open = |path: PathBuf| File::open(&path).map_err(at("open", &path));
        if let Some(dir) = self.v2() {
            return open(dir.join("cgroup.events")).map(Occupancy::Events);
        }
        let v1 = self.cgroups.v1.iter().map(|(_, root)| root.join(&self.path));
        let lists = v1.map(|dir| open(dir.join("cgroup.procs"))).collect::<Result<_, _>>()?;
        Ok(Occupancy::Lists(lists))
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
