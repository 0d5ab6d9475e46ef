//! Starting a program as a child that is known by descriptor from its first moment, and that is
//! born in its control group.

use nix::errno::Errno;
use std::convert::Infallible;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::pidfd::PidFd;

/// A program with its arguments and its whole environment, ready for exec.
#[derive(Debug)]
pub struct Program {
    /// Where it may be, in the order of `PATH`.
    candidates: Vec<CString>,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a NUL in the command"))
}

impl Program {
    /// `argv[0]` is looked for in the environment's `PATH`, unless it holds a slash.
    pub fn new<'a>(
        argv: impl IntoIterator<Item = &'a OsStr>,
        environment: impl IntoIterator<Item = (&'a OsStr, &'a OsStr)>,
    ) -> io::Result<Self> {
        let arguments = argv.into_iter().map(c_string).collect::<io::Result<Vec<_>>>()?;
        let Some(program) = arguments.first().filter(|program| !program.is_empty()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"));
        };
        let mut path = None;
        let mut variables = Vec::new();
        for (name, value) in environment {
            if name == "PATH" {
                path = Some(value.to_owned());
            }
            let entry: OsString = [name, OsStr::new("="), value].into_iter().collect();
            variables.push(c_string(&entry)?);
        }
        let candidates = match program.as_bytes().contains(&b'/') {
            true => vec![program.clone()],
            false => {
                let directories = path.unwrap_or_default().into_vec();
                let directories = directories.split(|byte| *byte == b':');
                let joined = directories.map(|dir| [dir, b"/", program.as_bytes()].concat());
                joined.filter_map(|path| CString::new(path).ok()).collect()
            }
        };
        Ok(Self { candidates, arguments, environment: variables })
    }
}

/// A child that executes its program.
#[derive(Debug)]
pub struct Spawned {
    /// Its pid.
    pub pid: i32,
    /// Its descriptor.
    pub fd: PidFd,
}

/// Starts `program` as a child, in the version 2 control group of which `group` is a descriptor if
/// there is one, and lets `prepare` run in it before exec. Once this answers, exec has succeeded.
///
/// The child shares the caller's memory and stack until exec, as with `vfork`, and the calling thread
/// waits for that: so no page tables are copied, however large the caller is.
///
/// # Safety
/// `prepare` runs beside the caller's other threads, in their memory and as if it were the calling
/// one, but in another process. So it may make only async-signal-safe calls, among others it may
/// not allocate; and of libc's functions none that change all threads of a process, such as
/// `setuid`, since those threads are not its own.
pub unsafe fn spawn<F: FnMut() -> io::Result<()>>(
    program: &Program,
    group: Option<BorrowedFd<'_>>,
    prepare: F,
) -> io::Result<Spawned> {
    let arguments = pointers(&program.arguments);
    let environment = pointers(&program.environment);
    let mut birth = Birth { program, arguments, environment, prepare, error: 0 };
    let mut pidfd: libc::c_int = -1;
    let flags = libc::CLONE_PIDFD | libc::CLONE_VFORK | libc::CLONE_VM;
    // SAFETY: all zeros is a valid `clone_args`.
    let mut call: libc::clone_args = unsafe { std::mem::zeroed() };
    call.flags = u64::from(flags.cast_unsigned());
    call.pidfd = (&raw mut pidfd) as u64;
    call.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    if let Some(group) = group {
        const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
        call.flags |= CLONE_INTO_CGROUP;
        call.cgroup = u64::from(group.as_raw_fd().cast_unsigned());
    }
    // SAFETY: the arguments are valid until the child has executed its program or ended, which is
    // when this returns. `be_born` never returns, and only it is given `birth` meanwhile.
    let pid = unsafe { clone3(&call, be_born::<F>, (&raw mut birth).cast()) };
    let pid = i32::try_from(Errno::result(pid)?).map_err(io::Error::other)?;
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    let fd = PidFd::from(unsafe { OwnedFd::from_raw_fd(pidfd) });
    // SAFETY: the child has written it, if anything, before it ended.
    match unsafe { std::ptr::read_volatile(&raw const birth.error) } {
        0 => Ok(Spawned { pid, fd }),
        number => {
            let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None);
            Err(io::Error::from_raw_os_error(number))
        }
    }
}

/// What the child needs, and what it tells.
struct Birth<'a, F> {
    program: &'a Program,
    arguments: Vec<*const libc::c_char>,
    environment: Vec<*const libc::c_char>,
    prepare: F,
    /// Why it could not execute its program; 0 if it could.
    error: i32,
}

/// The child, from its first instruction to exec.
extern "C" fn be_born<F: FnMut() -> io::Result<()>>(birth: *mut libc::c_void) -> ! {
    // SAFETY: `spawn` gives it a `Birth` of this type, and waits.
    let birth = unsafe { &mut *birth.cast::<Birth<'_, F>>() };
    let Err(error) = child(birth.program, &birth.arguments, &birth.environment, &mut birth.prepare);
    birth.error = error.raw_os_error().unwrap_or(libc::EIO);
    // SAFETY: the child ends without running what belongs to the parent.
    unsafe { libc::_exit(127) }
}

/// The system call, after which the child goes on in `entry`, below the caller's frames: what libc's
/// `vfork` does, which cannot take a control group.
///
/// # Safety
/// `call` must be valid, name no stack, and have `CLONE_VFORK`; `entry` must not return; and
/// `argument` must be what it expects.
unsafe fn clone3(
    call: &libc::clone_args,
    entry: extern "C" fn(*mut libc::c_void) -> !,
    argument: *mut libc::c_void,
) -> libc::c_long {
    let mut result: libc::c_long;
    // SAFETY: the kernel keeps all registers but the result (and two that are named). The child has
    // a result of 0 and writes below the stack pointer, where nothing of ours is (there is no red
    // zone without `nostack`, and the pointer is aligned for a call), while this thread waits.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, {argument}",
            "call {entry}",
            "ud2",
            "2:",
            argument = in(reg) argument,
            entry = in(reg) entry,
            inout("rax") libc::SYS_clone3 => result,
            in("rdi") call,
            in("rsi") size_of::<libc::clone_args>(),
            // Not late: what the child needs after the call must stand elsewhere.
            out("rcx") _,
            out("r11") _,
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, {argument}",
            "blr {entry}",
            "brk 1",
            "2:",
            argument = in(reg) argument,
            entry = in(reg) entry,
            in("x8") libc::SYS_clone3,
            inout("x0") call => result,
            in("x1") size_of::<libc::clone_args>(),
        );
    }
    if (-4095..0).contains(&result) {
        Errno::set_raw(i32::try_from(-result).unwrap_or(libc::EIO));
        result = -1;
    }
    result
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}

/// What the child does; it answers only if it failed.
fn child(
    program: &Program,
    arguments: &[*const libc::c_char],
    environment: &[*const libc::c_char],
    prepare: &mut impl FnMut() -> io::Result<()>,
) -> io::Result<Infallible> {
    prepare()?;
    let mut result = Errno::ENOENT;
    for candidate in &program.candidates {
        // SAFETY: a C string, and two arrays of C strings that end with a null pointer.
        unsafe { libc::execve(candidate.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
        // As execvp(3) does: the first that is there decides, unless it may not be executed.
        match Errno::last() {
            Errno::ENOENT | Errno::ENOTDIR => {}
            Errno::EACCES => result = Errno::EACCES,
            errno => return Err(errno.into()),
        }
    }
    Err(result.into())
}

/// Writes `text` to the file at `path`. Async-signal-safe.
pub fn write_file(path: &CStr, text: &[u8]) -> io::Result<()> {
    // SAFETY: a C string, a buffer of its own length, and a descriptor of ours.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let written = libc::write(fd, text.as_ptr().cast(), text.len());
        let result = if written < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
        libc::close(fd);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::Pid;

    fn program(argv: &[&str]) -> Program {
        let path = ("PATH", "/nowhere:/usr/bin:/bin");
        let argv = argv.iter().map(OsStr::new);
        Program::new(argv, [(OsStr::new(path.0), OsStr::new(path.1))]).unwrap()
    }

    #[test]
    fn a_program_is_found_started_and_told_by_its_descriptor() {
        // SAFETY: nothing is done before exec.
        let spawned = unsafe { spawn(&program(&["sh", "-c", "exit 7"]), None, || Ok(())) }.unwrap();
        let status = waitpid(Pid::from_raw(spawned.pid), None).unwrap();
        assert_eq!(status, WaitStatus::Exited(Pid::from_raw(spawned.pid), 7));
    }

    #[test]
    fn what_goes_wrong_in_the_child_is_told_to_the_parent() {
        // SAFETY: as above.
        let missing = unsafe { spawn(&program(&["no-such-program"]), None, || Ok(())) };
        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
        let refused = || Err(io::Error::from_raw_os_error(libc::EPERM));
        // SAFETY: as above.
        let refused = unsafe { spawn(&program(&["true"]), None, refused) };
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert!(Program::new([], []).is_err());
    }
}
