//! The machine that all of it runs on.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs;
use std::io;

/// What a supervisor of a thousand tasks with logs needs, and some to spare.
const OPEN_FILES: u64 = 20_000;

/// Lets the contenders have many files open, where we may.
pub fn raise_open_files() {
    let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES, hard.max(OPEN_FILES)).is_err() {
        // Not root: as many as there may be. A contender that needs more says so itself.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard.min(OPEN_FILES), hard);
    }
}

/// Whatever we were started with, contenders inherit none of it but what they are given: what a task
/// inherits is a finding about its supervisor, not about the shell that we were started from.
pub fn keep_descriptors() {
    let (first, last) = (3, libc::c_uint::MAX);
    // SAFETY: it closes nothing, and only marks what is open to be closed by an exec. Before Linux
    // 5.11 it fails, and the table may show descriptors of the shell's.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, libc::CLOSE_RANGE_CLOEXEC) };
}

/// What the figures were taken under, for people.
pub fn conditions(notes: &[String]) -> Vec<String> {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let load = read("/proc/loadavg");
    let load: Vec<&str> = load.split_whitespace().take(3).collect();
    let mut lines = vec![format!(
        "Linux {}, {processors} processors, load before the run {}",
        kernel.trim(),
        load.join(" ")
    )];
    lines.extend(notes.iter().cloned());
    lines
}

/// Lets us run before everything that is not real-time, so that the stamp of a kill is the kill's;
/// contenders inherit nothing of it. An error where we may not.
pub fn run_first() -> io::Result<()> {
    set_policy(libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, 5)
}

/// Back to the usual.
pub fn run_as_usual() {
    // Nobody is refused less than what they have.
    let _ = set_policy(libc::SCHED_OTHER, 0);
}

fn set_policy(policy: i32, priority: i32) -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: pid 0 is this thread, and the parameters are valid for reading.
    match unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
