//! Processes by descriptor: signalled and waited for without the risk that the pid was reused.

use nix::errno::Errno;
use nix::sys::signal::Signal;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A descriptor of one process; readable once that has ended.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

/// `struct pidfd_info` of Linux 6.15, `include/uapi/linux/pidfd.h`, as far as `exit_code`.
#[repr(C)]
#[derive(Default)]
struct PidFdInfo {
    mask: u64,
    cgroup_id: u64,
    pids_and_ids: [u32; 11],
    exit_code: i32,
}

const PIDFD_INFO_EXIT: u64 = 1 << 3;

mod request {
    // The macro makes a public function, which is private to this file all the same.
    #![allow(missing_docs)]
    nix::ioctl_readwrite!(pidfd_get_info, 0xFF, 11, super::PidFdInfo);
}

impl PidFd {
    /// A descriptor of the process that has `pid` now.
    pub fn open(pid: i32) -> io::Result<Self> {
        // SAFETY: pidfd_open takes a pid and flags, and returns a new descriptor or -1.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let fd = i32::try_from(Errno::result(fd)?).map_err(io::Error::other)?;
        // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let (fd, info, flags) = (self.0.as_raw_fd(), std::ptr::null::<libc::siginfo_t>(), 0);
        // SAFETY: the descriptor is open, and a null siginfo is allowed.
        let result =
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal as i32, info, flags) };
        Errno::result(result).map(drop).map_err(io::Error::from)
    }

    /// The wait status of a process that has ended, also of one that is not our child; none while
    /// it runs or where the kernel (before 6.15) does not tell.
    pub fn wait_status(&self) -> Option<i32> {
        let mut info = PidFdInfo { mask: PIDFD_INFO_EXIT, ..PidFdInfo::default() };
        // SAFETY: the request's number carries the size of `info`, which is valid for writing.
        unsafe { request::pidfd_get_info(self.0.as_raw_fd(), &raw mut info) }.ok()?;
        (info.mask & PIDFD_INFO_EXIT != 0).then_some(info.exit_code)
    }
}

impl From<OwnedFd> for PidFd {
    /// `fd` must be the descriptor of a process.
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::process::Command;

    #[test]
    fn an_ended_process_tells_its_status() {
        let mut child = Command::new("sh").args(["-c", "exec sleep 60"]).spawn().unwrap();
        let fd = PidFd::open(child.id() as i32).unwrap();
        assert_eq!(fd.wait_status(), None);
        fd.signal(Signal::SIGKILL).unwrap();
        let mut ready = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut ready, PollTimeout::from(5000u16)).unwrap(), 1);
        child.wait().unwrap();
        // Older kernels say nothing; those that do must be right.
        assert!(matches!(fd.wait_status(), None | Some(libc::SIGKILL)));
    }
}
