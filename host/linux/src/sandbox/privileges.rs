//! Who the command is, and what it can never become. All is async-signal-safe.

use crate::spawn::write_file;
use nix::errno::Errno;
use std::ffi::{CStr, CString};
use std::io;

/// What root keeps: what has to do with files, users and its own processes. Not what could undo a
/// sandbox: to mount, make devices, open files by their handles, trace others, load modules, or
/// change the network.
const KEPT: [u32; 10] = [
    0,  // CAP_CHOWN
    1,  // CAP_DAC_OVERRIDE
    3,  // CAP_FOWNER
    4,  // CAP_FSETID
    5,  // CAP_KILL
    6,  // CAP_SETGID
    7,  // CAP_SETUID
    10, // CAP_NET_BIND_SERVICE
    13, // CAP_NET_RAW
    29, // CAP_AUDIT_WRITE
];
/// More of them than any kernel has.
const MOST_CAPABILITIES: u32 = 64;

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// Tells the kernel who is who in a user namespace that the caller has just made.
pub(super) fn identify([user, group]: &[CString; 2]) -> Result<(), Errno> {
    // What is not there need not be forbidden.
    let _ = write_file(c"/proc/self/setgroups", b"deny");
    write_file(c"/proc/self/uid_map", user.to_bytes()).map_err(|error| errno(&error))?;
    write_file(c"/proc/self/gid_map", group.to_bytes()).map_err(|error| errno(&error))
}

/// Gives up for good what could undo the sandbox, for when the program is executed.
pub(super) fn bound() -> Result<(), Errno> {
    for capability in (0..MOST_CAPABILITIES).filter(|one| !KEPT.contains(one)) {
        // SAFETY: it changes nothing but what this process may become.
        match Errno::result(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) }) {
            Ok(_) => {}
            // The kernel has no more of them.
            Err(Errno::EINVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    let (clear, none) = (libc::PR_CAP_AMBIENT_CLEAR_ALL, 0);
    // SAFETY: as above.
    Errno::result(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, clear, none, none, none) }).map(drop)
}

/// Becomes a user without further groups, and of a group.
pub(super) fn become_user(user: Option<u32>, group: Option<u32>) -> Result<(), Errno> {
    // SAFETY: the process has one thread, which is all that they change.
    unsafe {
        if user.is_some() && libc::geteuid() == 0 {
            Errno::result(libc::setgroups(0, std::ptr::null()))?;
        }
        if let Some(group) = group {
            Errno::result(libc::setgid(group))?;
        }
        if let Some(user) = user {
            Errno::result(libc::setuid(user))?;
        }
    }
    Ok(())
}

/// Goes to a directory.
pub(super) fn go_to(directory: &CStr) -> Result<(), Errno> {
    // SAFETY: a C string.
    Errno::result(unsafe { libc::chdir(directory.as_ptr()) }).map(drop)
}

/// Has no program that it executes lend it privileges.
pub(super) fn no_new() -> Result<(), Errno> {
    // SAFETY: it changes nothing but what this process may become.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }).map(drop)
}
