//! Landlock: the kernel's own list of what a process may do with files, whatever it finds a way to.
//! It also keeps the process from tracing others, and so from their files.

use super::call;
use super::plan::{Plan, Sort};
use nix::errno::Errno;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// All that changes files: the bits from `WRITE_FILE`, and from `REMOVE_DIR` to `MAKE_SYM`.
const WRITE: u64 = 1 << 1 | 0x1ff0;
/// Renaming from one directory to another; since version 2.
const REFER: u64 = 1 << 13;
/// Truncating; since version 3.
const TRUNCATE: u64 = 1 << 14;
/// Binding and connecting TCP sockets; since version 4.
const TCP: u64 = 3;
/// Connecting to abstract sockets of others; since version 6.
const ABSTRACT_SOCKETS: u64 = 1;

#[repr(C)]
struct Attributes {
    files: u64,
    network: u64,
    scoped: u64,
}

#[repr(C, packed)]
struct Beneath {
    allowed: u64,
    parent: i32,
}

/// What is restricted.
pub(super) struct Ruleset {
    fd: OwnedFd,
    files: u64,
}

impl Ruleset {
    /// Restricts as much as this kernel can; none if that is nothing.
    pub(super) fn new(read_only: bool, no_network: bool) -> Option<Self> {
        const VERSION: libc::c_uint = 1;
        let (none, call) = (std::ptr::null::<Attributes>(), libc::SYS_landlock_create_ruleset);
        // SAFETY: with this flag nothing is read.
        let version = unsafe { libc::syscall(call, none, 0, VERSION) };
        let since = |first: libc::c_long, bits: u64| if version >= first { bits } else { 0 };
        let files = match read_only {
            true => since(1, WRITE) | since(2, REFER) | since(3, TRUNCATE),
            false => 0,
        };
        let (network, scoped) = match no_network {
            true => (since(4, TCP), since(6, ABSTRACT_SOCKETS)),
            false => (0, 0),
        };
        if (files, network, scoped) == (0, 0, 0) {
            return None;
        }
        let attributes = Attributes { files, network, scoped };
        // Older kernels know the beginning of the struct only.
        let size = if version >= 6 {
            24
        } else if version >= 4 {
            16
        } else {
            8
        };
        // SAFETY: a struct that is at least as long as is said.
        let fd = unsafe { libc::syscall(call, &raw const attributes, size, 0) };
        let fd = i32::try_from(Errno::result(fd).ok()?).ok()?;
        // SAFETY: the kernel has just given it to us.
        Some(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) }, files })
    }

    /// Restricts the calling process, which lives in the sandbox already, for good.
    pub(super) fn restrict(&self, plan: &Plan) -> Result<(), Errno> {
        if self.files != 0 {
            let open = |place: &&super::plan::Place| !matches!(place.sort, Sort::Visible);
            for place in plan.places.iter().filter(open) {
                self.allow(&place.path)?;
            }
            for path in &plan.temporary {
                self.allow(path)?;
            }
            self.allow(c"/dev")?;
        }
        let call = libc::SYS_landlock_restrict_self;
        // SAFETY: a descriptor.
        Errno::result(unsafe { libc::syscall(call, self.fd.as_raw_fd(), 0) }).map(drop)
    }

    /// Allows all at and below a directory.
    fn allow(&self, path: &std::ffi::CStr) -> Result<(), Errno> {
        const PATH_BENEATH: libc::c_uint = 1;
        let found = match call::open(path) {
            Ok(found) => found,
            // Those whom it becomes may not come so far, so that there is nothing to allow.
            Err(Errno::EACCES) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        let rule = Beneath { allowed: self.files, parent: found.as_fd().as_raw_fd() };
        let (call, fd) = (libc::SYS_landlock_add_rule, self.fd.as_raw_fd());
        // SAFETY: a descriptor, and a struct as this sort of rule has it.
        let result = unsafe { libc::syscall(call, fd, PATH_BENEATH, &raw const rule, 0) };
        Errno::result(result).map(drop)
    }
}
