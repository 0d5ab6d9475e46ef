//! A filter of system calls, for what no namespace keeps apart: sockets in the file system, behind
//! which are the machine's services.

use nix::errno::Errno;

/// The kernel's name of this architecture, with the bit that marks another one's calls.
#[cfg(target_arch = "x86_64")]
const NATIVE: Option<(u32, u32)> = Some((0xc000_003e, 0x4000_0000));
#[cfg(target_arch = "aarch64")]
const NATIVE: Option<(u32, u32)> = Some((0xc000_00b7, u32::MAX));
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const NATIVE: Option<(u32, u32)> = None;

const ALLOW: u32 = 0x7fff_0000;
const ERROR: u32 = 0x0005_0000;
/// Where the number of the call, the architecture and its first argument are.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENT: u32 = 16;

const LOAD: u16 = 0x20;
const IS: u16 = 0x15;
const AT_LEAST: u16 = 0x35;
const ANSWER: u16 = 0x06;

/// Instructions for the kernel.
pub(super) struct Filter(Vec<libc::sock_filter>);

fn step(code: u16, k: u32, then: u8, otherwise: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt: then, jf: otherwise, k }
}

fn number(call: libc::c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}

impl Filter {
    /// No sockets of the file system or of the machine's hypervisor, and no `io_uring`, which could
    /// make them. None where the architecture is unknown.
    pub(super) fn without_services() -> Option<Self> {
        let (native, foreign) = NATIVE?;
        let family = |family: libc::c_int| family.cast_unsigned();
        let error = |errno: libc::c_int| ERROR | errno.cast_unsigned();
        Some(Self(vec![
            step(LOAD, ARCHITECTURE, 0, 0),
            step(IS, native, 0, 8),
            step(LOAD, NUMBER, 0, 0),
            step(AT_LEAST, foreign, 6, 0),
            step(IS, number(libc::SYS_io_uring_setup), 5, 0),
            step(IS, number(libc::SYS_socket), 0, 5),
            step(LOAD, ARGUMENT, 0, 0),
            step(IS, family(libc::AF_UNIX), 1, 0),
            step(IS, family(libc::AF_VSOCK), 0, 2),
            step(ANSWER, error(libc::EACCES), 0, 0),
            step(ANSWER, error(libc::ENOSYS), 0, 0),
            step(ANSWER, ALLOW, 0, 0),
        ]))
    }

    /// Restricts the calling process, and all that it starts, for good. Async-signal-safe.
    pub(super) fn install(&self) -> Result<(), Errno> {
        const SET_MODE_FILTER: libc::c_uint = 1;
        let length = u16::try_from(self.0.len()).map_err(|_| Errno::E2BIG)?;
        let program = libc::sock_fprog { len: length, filter: self.0.as_ptr().cast_mut() };
        let (call, program) = (libc::SYS_seccomp, &raw const program);
        // SAFETY: instructions of the length that is given, which the kernel checks.
        Errno::result(unsafe { libc::syscall(call, SET_MODE_FILTER, 0, program) }).map(drop)
    }
}
