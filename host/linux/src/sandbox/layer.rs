//! How the kernel marks in an overlay's upper directory what is gone.

use nix::errno::Errno;
use nix::sys::stat::{FileStat, SFlag};
use nix::unistd::geteuid;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Whether this stands for something that was removed: a character device without a number.
pub fn is_whiteout(found: &FileStat) -> bool {
    let kind = SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT;
    kind == SFlag::S_IFCHR && found.st_rdev == 0
}

/// Whether nothing of the directory below shows through this one.
pub fn is_opaque(directory: BorrowedFd<'_>) -> Result<bool, Errno> {
    // As the overlay was made: see `userxattr`.
    let name = match geteuid().is_root() {
        true => c"trusted.overlay.opaque",
        false => c"user.overlay.opaque",
    };
    let mut value = [0_u8; 1];
    let (fd, into) = (directory.as_raw_fd(), value.as_mut_ptr().cast());
    // SAFETY: a descriptor, a C string, and a buffer of the length that is given.
    let read = unsafe { libc::fgetxattr(fd, name.as_ptr(), into, value.len()) };
    match Errno::result(read) {
        Ok(_) => Ok(value == *b"y"),
        Err(Errno::ENODATA | Errno::EOPNOTSUPP) => Ok(false),
        Err(errno) => Err(errno),
    }
}
