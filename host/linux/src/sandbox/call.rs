//! The system calls that libc has no functions for. All are async-signal-safe.

use super::plan::Layers;
use nix::errno::Errno;
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Not to be written to.
pub(super) const READ_ONLY: u64 = 1;
/// Set-id bits mean nothing.
pub(super) const NO_SUID: u64 = 2;
/// Devices mean nothing.
pub(super) const NO_DEV: u64 = 4;

const EMPTY_PATH: libc::c_uint = libc::AT_EMPTY_PATH.cast_unsigned();
const RECURSIVE: libc::c_uint = 0x8000;

#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// `result` as a descriptor that is ours.
fn descriptor(result: libc::c_long) -> Result<OwnedFd, Errno> {
    let fd = Errno::result(result)?;
    let fd = i32::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just given it to us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A copy of the mount at `path` that is attached nowhere, with those below if `all`.
pub(super) fn clone_tree(dir: BorrowedFd<'_>, path: &CStr, all: bool) -> Result<OwnedFd, Errno> {
    const CLONE: libc::c_uint = 1;
    let cloexec = libc::O_CLOEXEC.cast_unsigned();
    let flags = CLONE | cloexec | EMPTY_PATH | if all { RECURSIVE } else { 0 };
    // SAFETY: a descriptor and a C string.
    descriptor(unsafe { libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), path.as_ptr(), flags) })
}

/// Attaches such a copy at what `to` is a descriptor of.
pub(super) fn attach(tree: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    const FROM_EMPTY: libc::c_uint = 0x4;
    const TO_EMPTY: libc::c_uint = 0x40;
    let (from, to, flags) = (tree.as_raw_fd(), to.as_raw_fd(), FROM_EMPTY | TO_EMPTY);
    // SAFETY: two descriptors and two C strings.
    let result =
        unsafe { libc::syscall(libc::SYS_move_mount, from, c"".as_ptr(), to, c"".as_ptr(), flags) };
    Errno::result(result).map(drop)
}

/// Sets and clears attributes of the mount that `at` is a descriptor of, and of those below if
/// `all`.
pub(super) fn set_mount(at: BorrowedFd<'_>, set: u64, clear: u64, all: bool) -> Result<(), Errno> {
    let attributes = MountAttributes { set, clear, propagation: 0, user_namespace: 0 };
    let flags = EMPTY_PATH | if all { RECURSIVE } else { 0 };
    // SAFETY: a descriptor, a C string, and a struct of the length that is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            at.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<MountAttributes>(),
        )
    };
    Errno::result(result).map(drop)
}

/// Opens a path without following any link, for naming it only.
pub(super) fn open(path: &CStr) -> Result<OwnedFd, Errno> {
    // SAFETY: all zeros is a valid `open_how`.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = u64::from((libc::O_PATH | libc::O_CLOEXEC).cast_unsigned());
    how.resolve = libc::RESOLVE_NO_SYMLINKS;
    let (call, size) = (libc::SYS_openat2, size_of::<libc::open_how>());
    // SAFETY: a C string, and a struct of the length that is given.
    descriptor(unsafe { libc::syscall(call, libc::AT_FDCWD, path.as_ptr(), &raw const how, size) })
}

/// Mounts a new file system.
pub(super) fn mount(
    kind: &CStr,
    target: &CStr,
    flags: libc::c_ulong,
    options: &CStr,
) -> Result<(), Errno> {
    let options = options.as_ptr().cast();
    // SAFETY: four C strings.
    let result =
        unsafe { libc::mount(kind.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, options) };
    Errno::result(result).map(drop)
}

/// An overlay over the directory `lower` that is attached nowhere.
pub(super) fn overlay(lower: BorrowedFd<'_>, layers: &Layers) -> Result<OwnedFd, Errno> {
    const OPEN_CLOEXEC: libc::c_uint = 1;
    const CREATE: libc::c_uint = 6;
    // So that no path leads to it.
    change_to(lower)?;
    // SAFETY: a C string.
    let made = unsafe { libc::syscall(libc::SYS_fsopen, c"overlay".as_ptr(), OPEN_CLOEXEC) };
    let made = descriptor(made)?;
    let context = made.as_fd();
    option(context, c"lowerdir", c".")?;
    option(context, c"upperdir", &layers.upper)?;
    option(context, c"workdir", &layers.work)?;
    // What was changed is to be found in the upper directory alone, whole and by its own name.
    option(context, c"redirect_dir", c"nofollow")?;
    option(context, c"metacopy", c"off")?;
    if layers.user_attributes {
        const SET_FLAG: libc::c_uint = 0;
        configure(context, SET_FLAG, Some(c"userxattr"), None)?;
    }
    configure(context, CREATE, None, None)?;
    let attributes = libc::c_uint::try_from(NO_SUID | NO_DEV).unwrap_or_default();
    // SAFETY: a descriptor.
    descriptor(unsafe { libc::syscall(libc::SYS_fsmount, made.as_raw_fd(), 1, attributes) })
}

fn option(context: BorrowedFd<'_>, name: &CStr, value: &CStr) -> Result<(), Errno> {
    const SET_STRING: libc::c_uint = 1;
    configure(context, SET_STRING, Some(name), Some(value))
}

fn configure(
    context: BorrowedFd<'_>,
    command: libc::c_uint,
    name: Option<&CStr>,
    value: Option<&CStr>,
) -> Result<(), Errno> {
    let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
    let (name, value) = (pointer(name), pointer(value));
    // SAFETY: a descriptor, and C strings or null pointers.
    let result =
        unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, name, value, 0) };
    Errno::result(result).map(drop)
}

/// Goes to a directory.
pub(super) fn change_to(dir: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: a descriptor.
    Errno::result(unsafe { libc::fchdir(dir.as_raw_fd()) }).map(drop)
}
