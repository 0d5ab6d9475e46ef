//! What a sandbox stands on: its own mounts. All is async-signal-safe.

use super::call::{self, attach, clone_tree};
use super::plan::Place;
use nix::errno::Errno;
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Devices that lend no power, and which programs expect.
const DEVICES: [&CStr; 6] =
    [c"/dev/null", c"/dev/zero", c"/dev/full", c"/dev/random", c"/dev/urandom", c"/dev/tty"];
/// Links that programs expect beside them.
const LINKS: [(&CStr, &CStr); 4] = [
    (c"/proc/self/fd", c"/dev/fd"),
    (c"/proc/self/fd/0", c"/dev/stdin"),
    (c"/proc/self/fd/1", c"/dev/stdout"),
    (c"/proc/self/fd/2", c"/dev/stderr"),
];
/// As much of the memory as a directory of the sandbox's own may take.
const TEMPORARY: &CStr = c"mode=1777,size=25%";

/// Keeps every mount of this namespace from showing elsewhere, and the other way round.
pub(super) fn make_private() -> Result<(), Errno> {
    let (none, flags) = (std::ptr::null(), libc::MS_REC | libc::MS_PRIVATE);
    // SAFETY: a C string; the rest is not read with these flags.
    let result = unsafe { libc::mount(none, c"/".as_ptr(), none, flags, none.cast()) };
    Errno::result(result).map(drop)
}

/// Mounts an empty directory in memory to which everybody may write.
pub(super) fn temporary(path: &CStr) -> Result<(), Errno> {
    call::mount(c"tmpfs", path, libc::MS_NOSUID | libc::MS_NODEV, TEMPORARY)
}

/// Makes a directory, whatever the umask is.
pub(super) fn make_dir(path: &CStr, mode: libc::mode_t) -> Result<(), Errno> {
    // SAFETY: a C string.
    Errno::result(unsafe { libc::mkdir(path.as_ptr(), mode) })?;
    // SAFETY: as above.
    Errno::result(unsafe { libc::chmod(path.as_ptr(), mode) }).map(drop)
}

/// Whether this is the directory that was meant.
pub(super) fn is(found: BorrowedFd<'_>, place: &Place) -> bool {
    // SAFETY: all zeros is a valid `stat`.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: a descriptor, and a struct to fill.
    let result = unsafe { libc::fstat(found.as_raw_fd(), &raw mut stat) };
    result == 0 && (stat.st_dev, stat.st_ino) == (place.device, place.inode)
}

/// The harmless devices, attached nowhere.
pub(super) struct Devices([Option<OwnedFd>; DEVICES.len()]);

impl Devices {
    pub(super) fn hold() -> Result<Self, Errno> {
        let mut held = [const { None }; DEVICES.len()];
        for (path, held) in DEVICES.iter().zip(&mut held) {
            match call::open(path) {
                Ok(found) => *held = Some(clone_tree(found.as_fd(), c"", false)?),
                Err(Errno::ENOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(Self(held))
    }

    /// Has them in a directory that hides all others.
    pub(super) fn show(&self) -> Result<(), Errno> {
        let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
        call::mount(c"tmpfs", c"/dev", flags, c"mode=755,size=25%")?;
        for (path, held) in DEVICES.iter().zip(&self.0) {
            if let Some(held) = held {
                make_file(path)?;
                attach(held.as_fd(), call::open(path)?.as_fd())?;
            }
        }
        for (target, path) in LINKS {
            // SAFETY: two C strings.
            Errno::result(unsafe { libc::symlink(target.as_ptr(), path.as_ptr()) })?;
        }
        make_dir(c"/dev/shm", 0o1777)
    }
}

fn make_file(path: &CStr) -> Result<(), Errno> {
    // SAFETY: a C string.
    let fd = Errno::result(unsafe {
        libc::open(path.as_ptr(), libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC, 0o444)
    })?;
    // SAFETY: a descriptor of ours.
    unsafe { libc::close(fd) };
    Ok(())
}
