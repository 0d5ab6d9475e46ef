//! What a group uses, and what the kernel did about it.

use super::{At, Cgroup};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// What a group uses. None where the kernel does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CgroupUsage {
    /// CPU, in microseconds, since the group was made.
    pub cpu_micros: Option<u64>,
    /// Periods in which it was held back for its CPU limit.
    pub throttled: Option<u64>,
    /// Memory, in bytes, as it counts towards the limit.
    pub memory: Option<u64>,
    /// Of that, what the kernel would give back first: the page cache that was not used lately.
    pub memory_inactive: Option<u64>,
    /// The most memory so far.
    pub memory_peak: Option<u64>,
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn field(file: &Path, name: &str) -> Option<u64> {
    field_in(&fs::read_to_string(file).ok()?, name)
}

fn field_in(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

impl Cgroup {
    /// What it uses now.
    pub fn usage(&self) -> CgroupUsage {
        let mut usage = CgroupUsage::default();
        match self.controller("cpu") {
            Some(At::V2(dir)) => {
                usage.cpu_micros = field(&dir.join("cpu.stat"), "usage_usec");
                usage.throttled = field(&dir.join("cpu.stat"), "nr_throttled");
            }
            Some(At::V1(dir)) => usage.throttled = field(&dir.join("cpu.stat"), "nr_throttled"),
            None => {}
        }
        if usage.cpu_micros.is_none() {
            // The version 2 tree counts CPU in every group, even without the controller.
            let v2 = self.cgroups.v2.as_ref().map(|root| root.join(&self.path).join("cpu.stat"));
            usage.cpu_micros = v2.and_then(|file| field(&file, "usage_usec"));
        }
        match self.controller("memory") {
            Some(At::V2(dir)) => {
                usage.memory = number(&dir.join("memory.current"));
                usage.memory_peak = number(&dir.join("memory.peak"));
                usage.memory_inactive = field(&dir.join("memory.stat"), "inactive_file");
            }
            Some(At::V1(dir)) => {
                usage.memory = number(&dir.join("memory.usage_in_bytes"));
                usage.memory_peak = number(&dir.join("memory.max_usage_in_bytes"));
                usage.memory_inactive = field(&dir.join("memory.stat"), "total_inactive_file");
            }
            None => {}
        }
        usage
    }

    /// How often the kernel killed in it for want of memory.
    pub fn oom_kills(&self) -> u64 {
        let file = match self.controller("memory") {
            Some(At::V2(dir)) => dir.join("memory.events"),
            Some(At::V1(dir)) => dir.join("memory.oom_control"),
            None => return 0,
        };
        field(&file, "oom_kill").unwrap_or(0)
    }

    /// Tells when the kernel may have killed in it; none where it has no memory controller.
    pub fn watch_oom(&self) -> io::Result<Option<OomWatch>> {
        match self.controller("memory") {
            Some(At::V2(dir)) => File::open(dir.join("memory.events")).map(OomWatch::V2).map(Some),
            Some(At::V1(dir)) => {
                // Documentation/admin-guide/cgroup-v1/memory.rst, 9 and 10.
                let control = File::open(dir.join("memory.oom_control"))?;
                let event = nix::sys::eventfd::EventFd::from_flags(
                    nix::sys::eventfd::EfdFlags::EFD_CLOEXEC
                        | nix::sys::eventfd::EfdFlags::EFD_NONBLOCK,
                )?;
                let line = format!("{} {}", event.as_fd().as_raw_fd(), control.as_raw_fd());
                fs::write(dir.join("cgroup.event_control"), line)?;
                Ok(Some(OomWatch::V1 { event: event.into(), control }))
            }
            None => Ok(None),
        }
    }
}

/// Tells when the kernel may have killed in a group for want of memory.
#[derive(Debug)]
pub enum OomWatch {
    /// An eventfd, readable once that happened, and the file `memory.oom_control`.
    V1 {
        /// The eventfd.
        event: OwnedFd,
        /// The file.
        control: File,
    },
    /// The file `memory.events`, with a priority event at each change.
    V2(File),
}

impl OomWatch {
    /// What to poll for.
    pub fn poll_for(&self) -> (BorrowedFd<'_>, nix::poll::PollFlags) {
        match self {
            Self::V1 { event, .. } => (event.as_fd(), nix::poll::PollFlags::POLLIN),
            Self::V2(file) => (file.as_fd(), nix::poll::PollFlags::POLLPRI),
        }
    }

    /// Takes note of what was told so far.
    pub fn clear(&self) {
        let mut buffer = [0; 512];
        let _ = match self {
            Self::V1 { event, .. } => nix::unistd::read(event, &mut buffer[..8]),
            Self::V2(file) => nix::sys::uio::pread(file, &mut buffer, 0),
        };
    }

    /// What [`Cgroup::oom_kills`] says, without a file to open; none if the group is gone.
    pub fn kills(&self) -> Option<u64> {
        let (Self::V1 { control: file, .. } | Self::V2(file)) = self;
        let mut buffer = [0; 512];
        let length = nix::sys::uio::pread(file, &mut buffer, 0).ok()?;
        field_in(std::str::from_utf8(&buffer[..length]).ok()?, "oom_kill")
    }
}
