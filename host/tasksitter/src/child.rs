//! Starting the task's process, and finding one that an earlier sitter started.
//!
//! The child writes its own `/proc/self/stat` into the file `child` before exec, and holds the
//! sitter's lock until exec. So whoever gets the lock knows: either no child was made, or its line
//! is there. There is no moment at which a second one could be started.

use crate::files::TaskDir;
use cerebro_linux::cgroup::{Cgroups, Door};
use cerebro_linux::process::Identity;
use cerebro_tasksitter::protocol::{MARKER, TaskSpec};
use nix::sys::resource::Resource;
use nix::unistd::User;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Starts the task; once this answers, exec has succeeded.
pub fn start(spec: &TaskSpec, dir: &TaskDir) -> io::Result<Child> {
    let (program, arguments) =
        spec.argv.split_first().ok_or_else(|| io::Error::other("the task has no command"))?;
    let user = spec.user.as_deref().map(find_user).transpose()?;
    let door = spec
        .cgroup
        .as_deref()
        .map(|path| Cgroups::detect().map(|all| all.group(path).door()))
        .transpose()?;
    let line = File::create(dir.child_file())?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&spec.cwd).env_clear();
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    if let Some(user) = &user {
        command.env("HOME", &user.dir).env("USER", &user.name).env("LOGNAME", &user.name);
    }
    command.envs(&spec.env).env(MARKER, dir.path());
    // Open for reading too: so the task's writes never meet a pipe without a reader, and nothing
    // is lost while no sitter reads.
    let fifo = |name: &str| File::options().read(true).write(true).open(dir.fifo(name));
    command.stdin(Stdio::null()).stdout(fifo("stdout")?).stderr(fifo("stderr")?);
    let line_fd = line.as_raw_fd();
    // SAFETY: `prepare` makes only async-signal-safe calls; this process has one thread besides.
    unsafe { command.pre_exec(move || prepare(line_fd, door.as_ref(), user.as_ref())) };
    command.spawn()
}

/// A number is taken as it is, with or without an entry in the user database.
fn find_user(user: &str) -> io::Result<User> {
    let found = match user.parse::<u32>() {
        Ok(id) => User::from_uid(id.into())?.or_else(|| {
            Some(User {
                name: id.to_string(),
                uid: id.into(),
                gid: id.into(),
                dir: "/".into(),
                shell: "/bin/sh".into(),
                passwd: c"".into(),
                gecos: c"".into(),
            })
        }),
        Err(_) => User::from_name(user)?,
    };
    found.ok_or_else(|| io::Error::other(format!("this machine has no user `{user}`")))
}

/// Between fork and exec: joins the group, leaves what it inherited, becomes the user, and writes
/// down who it is.
fn prepare(line: RawFd, door: Option<&Door>, user: Option<&User>) -> io::Result<()> {
    if let Some(door) = door {
        door.enter()?;
    }
    nix::unistd::setsid()?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    // By the system call, since libc keeps some signals to itself; 64 is the kernel's last.
    let default_action = [0u64; 4];
    for signal in 1..=64 {
        let (action, old) = (default_action.as_ptr(), std::ptr::null_mut::<u64>());
        // SAFETY: all zeros is the kernel's `struct sigaction` for the default action, with an
        // empty mask of 8 bytes; the two signals that refuse it don't matter.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, action, old, 8) };
    }
    // What the sitter reads from a descriptor, the task must get as a signal.
    nix::sys::signal::SigSet::empty().thread_set_mask()?;
    // SAFETY: closes at exec whatever was inherited; takes no pointers.
    unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if let Some(user) = user {
        become_user(user)?;
    }
    nix::sys::resource::setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    // Last, so that a line means a child that is about to be the task.
    write_identity(line)
}

fn become_user(user: &User) -> io::Result<()> {
    if user.uid == nix::unistd::geteuid() {
        return Ok(());
    }
    nix::unistd::setgroups(&[user.gid])?;
    nix::unistd::setgid(user.gid)?;
    nix::unistd::setuid(user.uid)?;
    Ok(())
}

fn write_identity(line: RawFd) -> io::Result<()> {
    let mut buffer = [0u8; 1024];
    // SAFETY: the path is a C string, the buffer is valid for its length, the descriptors are open.
    let written = unsafe {
        let stat = libc::open(c"/proc/self/stat".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        let read = libc::read(stat, buffer.as_mut_ptr().cast(), buffer.len());
        libc::close(stat);
        libc::write(line, buffer.as_ptr().cast(), usize::try_from(read).unwrap_or(0))
    };
    if written > 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The child that the last sitter started, dead or alive; none if it started none.
pub fn last(dir: &TaskDir) -> Option<Identity> {
    Identity::from_stat(&fs::read_to_string(dir.child_file()).ok()?)
}

/// The way to `directory`, as an environment entry.
pub fn marker(directory: &Path) -> String {
    format!("{MARKER}={}", directory.display())
}
