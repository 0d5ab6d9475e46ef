//! Processes of a cluster, as this host sees them.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::Path;

/// Every process whose arguments hold all of `parts`; see [`has_arguments`].
pub fn by_arguments(parts: &[&str]) -> Vec<i32> {
    all().into_iter().filter(|pid| has_arguments(*pid, parts)).collect()
}

/// Whether a process's arguments hold all of `parts`, each as a whole argument or the end of a
/// path.
pub fn has_arguments(pid: i32, parts: &[&str]) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let arguments: Vec<_> = line.split(|b| *b == 0).map(String::from_utf8_lossy).collect();
    parts.iter().all(|part| arguments.iter().any(|a| a == part || a.ends_with(&format!("/{part}"))))
}

/// Whether a process runs and started with this environment entry (`NAME=value`).
pub fn has_environment(pid: i32, entry: &str) -> bool {
    let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    is_running(pid) && environ.split(|b| *b == 0).any(|own| own == entry.as_bytes())
}

/// Every process that has an open file, mount or working directory below `directory`, or names it
/// in its arguments.
pub fn touching(directory: &Path) -> Vec<i32> {
    let needle = directory.to_string_lossy().into_owned();
    let matches = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&needle) || mounts.contains(&needle)
    };
    let own = std::process::id().cast_signed();
    all().into_iter().filter(|pid| *pid != own && matches(pid)).collect()
}

fn all() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| is_running(*pid)).collect()
}

/// Whether a process is there, and not only its remains.
pub fn is_running(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// The pid that a process has in its innermost pid namespace.
pub fn inner_pid(pid: i32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_whitespace().last()?.parse().ok()
}

/// The signals that a process blocks, as a mask.
pub fn blocked_signals(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("SigBlk:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// Kills one process at once. That it is gone already is no error.
pub fn kill_9(pid: i32) {
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
}
