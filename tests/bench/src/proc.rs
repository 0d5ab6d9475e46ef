//! Processes as /proc shows them.

use nix::errno::Errno;
use nix::sys::signal::Signal;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

/// A descriptor of one process: what signals it cannot meet another that has its pid by now.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// A descriptor of the process that has the pid now.
    pub fn open(pid: i32) -> io::Result<Self> {
        // SAFETY: pidfd_open takes a pid and flags, and returns a new descriptor or -1.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let fd = i32::try_from(Errno::result(fd)?).map_err(io::Error::other)?;
        // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// A descriptor of a process, if that runs this program.
    pub fn open_if(pid: i32, program: &Path) -> Option<Self> {
        // The descriptor first: what is looked at then is what it stands for.
        let fd = Self::open(pid).ok()?;
        runs(pid, program).then_some(fd)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let (fd, info, flags) = (self.0.as_raw_fd(), std::ptr::null::<libc::siginfo_t>(), 0);
        // SAFETY: the descriptor is open, and a null siginfo is allowed.
        let result =
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal as i32, info, flags) };
        Errno::result(result).map(drop).map_err(io::Error::from)
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Every process that there is.
pub fn all() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Whether a process runs this program, and has not ended.
pub fn runs(pid: i32, program: &Path) -> bool {
    // A process that has ended and is not waited for has no program any longer.
    fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|executable| executable == program)
}

/// A process's parent.
pub fn parent(pid: i32) -> Option<i32> {
    status_field(&status(pid), "PPid:")?.parse().ok()
}

/// Where the memory of processes is, in KB.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// Proportional set size: what is shared is counted in parts.
    pub pss: u64,
    /// Of that: anonymous, so nobody else's.
    pub anonymous: u64,
    /// Of that: of files, so program text above all.
    pub file: u64,
}

/// The sum over the processes, from their smaps_rollup.
pub fn memory(pids: &[i32]) -> Memory {
    let mut sum = Memory::default();
    for pid in pids {
        // A process may end meanwhile.
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let field = |name| status_field(&text, name).and_then(|field| field.parse().ok());
        sum.pss += field("Pss:").unwrap_or(0);
        sum.anonymous += field("Pss_Anon:").unwrap_or(0);
        sum.file += field("Pss_File:").unwrap_or(0);
    }
    sum
}

/// How often the processes' threads have been switched away from, by their own will or not.
pub fn context_switches(pids: &[i32]) -> u64 {
    let mut sum = 0;
    for pid in pids {
        for thread in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let text = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            for name in ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"] {
                let count = status_field(&text, name).and_then(|field| field.parse::<u64>().ok());
                sum += count.unwrap_or(0);
            }
        }
    }
    sum
}

/// The CPU time that a process has used, in seconds; 0 if it is gone.
pub fn cpu_seconds(pid: i32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    let ns: Option<f64> = text.split_whitespace().next().and_then(|field| field.parse().ok());
    ns.unwrap_or(0.0) / 1e9
}

/// How many descriptors a process has open.
pub fn open_descriptors(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |entries| entries.flatten().count())
}

/// The signals that a process ignores, and those that it blocks.
pub fn signal_masks(pid: i32) -> (u64, u64) {
    let text = status(pid);
    let mask = |name| {
        status_field(&text, name).and_then(|field| u64::from_str_radix(field, 16).ok()).unwrap_or(0)
    };
    (mask("SigIgn:"), mask("SigBlk:"))
}

/// What the kernel itself holds for processes, in KB, on the whole machine: slabs, stacks, tables.
pub fn kernel_memory() -> i64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let field = |name| status_field(&text, name).and_then(|field| field.parse::<i64>().ok());
    ["Slab:", "KernelStack:", "PageTables:"].into_iter().filter_map(field).sum()
}

fn status(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default()
}

/// The first word after a name at the beginning of a line.
fn status_field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "Pss_Anon:  7 kB\nPss:  9 kB\n";
        assert_eq!(status_field(text, "Pss:"), Some("9"));
        assert_eq!(status_field(text, "Rss:"), None);
    }

    #[test]
    fn our_own_process_is_seen() {
        let pid = process::id() as i32;
        assert!(all().contains(&pid));
        assert!(runs(pid, &std::env::current_exe().unwrap()));
        assert!(!runs(pid, Path::new("/no/such/program")));
        let memory = memory(&[pid]);
        assert!(memory.anonymous > 0 && memory.file > 0);
        assert!(memory.pss >= memory.anonymous + memory.file);
        assert!(context_switches(&[pid]) > 0);
        assert!(open_descriptors(pid) >= 3);
    }

    #[test]
    fn only_the_program_that_is_meant_is_opened() {
        let pid = process::id() as i32;
        assert!(PidFd::open_if(pid, &std::env::current_exe().unwrap()).is_some());
        assert!(PidFd::open_if(pid, Path::new("/no/such/program")).is_none());
    }
}
