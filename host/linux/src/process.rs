//! Processes as /proc shows them, and processes that outlive their parent.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A process that cannot be mistaken for a later one with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The pid.
    pub pid: i32,
    /// When it started, in clock ticks since boot: field 22 of `/proc/<pid>/stat`.
    pub started: u64,
}

/// One line of `/proc/<pid>/stat`, as far as we need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    identity: Identity,
    state: u8,
    parent: i32,
    session: i32,
}

fn parse(stat: &str) -> Option<Stat> {
    let pid = stat.split(' ').next()?.parse().ok()?;
    // The name, in parentheses, may hold anything, so the fields are counted behind the last one.
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        identity: Identity { pid, started: fields.get(19)?.parse().ok()? },
        state: *fields.first()?.as_bytes().first()?,
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
    })
}

impl Stat {
    /// Whether it belongs to that user.
    fn is_of(&self, user: nix::unistd::Uid) -> bool {
        use std::os::unix::fs::MetadataExt;
        let owner = fs::metadata(format!("/proc/{}", self.identity.pid)).map(|data| data.uid());
        owner.is_ok_and(|owner| owner == user.as_raw())
    }
}

fn stat_of(pid: i32) -> Option<Stat> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

impl Identity {
    /// Of the process that has `pid` now; none if there is none, or only its remains.
    pub fn of(pid: i32) -> Option<Self> {
        stat_of(pid).filter(|stat| stat.state != b'Z').map(|stat| stat.identity)
    }

    /// From a line of `/proc/<pid>/stat`, which a process can write down about itself.
    pub fn from_stat(line: &str) -> Option<Self> {
        parse(line).map(|stat| stat.identity)
    }

    /// Of the process that had this pid at `time` since boot. It may be gone: then this is nobody
    /// else's, since whoever has the pid after it starts later.
    pub fn at_time(pid: i32, time: Duration) -> Self {
        // In whole numbers: to round down at the edge of a tick would make it nobody's.
        let ticks = time.as_nanos() * crate::usage::ticks_per_second() as u128 / 1_000_000_000;
        let latest = Self { pid, started: u64::try_from(ticks).unwrap_or(u64::MAX) };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok();
        let now = stat.as_deref().and_then(Self::from_stat);
        now.filter(|now| now.started <= latest.started).unwrap_or(latest)
    }

    /// When it started, since boot.
    pub fn started_after_boot(self) -> Duration {
        Duration::from_secs_f64(self.started as f64 / crate::usage::ticks_per_second())
    }

    /// The raw wait status that its remains show until they are buried; none before its end and
    /// after, and where we may not look.
    pub fn status_of_remains(self) -> Option<i32> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        let stat = parse(&text).filter(|stat| stat.identity == self && stat.state == b'Z')?;
        // Field 52 of proc_pid_stat(5). It shows 0 to those who may not see it.
        let status: i32 = text.split_ascii_whitespace().next_back()?.parse().ok()?;
        let is_ours = || stat.is_of(nix::unistd::geteuid());
        (status != 0 || nix::unistd::geteuid().is_root() || is_ours()).then_some(status)
    }

    /// Whether the process leads a session.
    pub fn leads_session(self) -> bool {
        stat_of(self.pid).is_some_and(|stat| stat.identity == self && stat.session == self.pid)
    }

    /// Whether the process is still there, and not only its remains.
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// The number that the kernel drew for this boot: pids of another one mean nothing.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

fn all() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| stat_of(entry.file_name().to_str()?.parse().ok()?))
        .collect()
}

/// Every process below `root`, by parent, without `root`.
pub fn descendants(root: i32) -> Vec<i32> {
    let processes = all();
    let mut found = BTreeSet::from([root]);
    loop {
        let before = found.len();
        let below = processes.iter().filter(|p| found.contains(&p.parent)).map(|p| p.identity.pid);
        let below: Vec<i32> = below.collect();
        found.extend(below);
        if found.len() == before {
            found.remove(&root);
            return found.into_iter().collect();
        }
    }
}

/// A tree of processes, for use where there is no cgroup.
#[derive(Debug, Clone, Copy)]
pub struct Tree<'a> {
    /// The process at its top, while that lives.
    pub root: Option<i32>,
    /// The process to which those fall that lose their parent, if it has nobody else below it but
    /// those of its own session.
    pub reaper: Option<i32>,
    /// The variable (`NAME=value`) that is in the environment with which each of them started.
    pub marker: &'a str,
}

impl Tree<'_> {
    /// Every process that belongs to it, however far it has run: whoever descends from the root, is
    /// of its session, fell to the reaper, or carries the marker.
    pub fn processes(&self) -> BTreeSet<i32> {
        let own = std::process::id().cast_signed();
        let mut members: BTreeSet<i32> =
            self.root.map(descendants).unwrap_or_default().into_iter().collect();
        let reaper = self.reaper.and_then(stat_of);
        let fallen: BTreeSet<i32> =
            self.reaper.map(descendants).unwrap_or_default().into_iter().collect();
        for process in all() {
            let pid = process.identity.pid;
            let is_fallen = fallen.contains(&pid)
                && reaper.is_some_and(|reaper| reaper.session != process.session);
            let is_root = Some(pid) == self.root || Some(process.session) == self.root;
            if is_root || is_fallen || is_marked(pid, self.marker) {
                members.insert(pid);
            }
        }
        members.retain(|pid| *pid != own && stat_of(*pid).is_some_and(|stat| stat.state != b'Z'));
        members
    }

    /// Ends every process of it. Answers whether all were gone in time.
    pub fn kill(&self, within: Duration) -> bool {
        let end = Instant::now() + within;
        loop {
            let members = self.processes();
            if members.is_empty() {
                return true;
            }
            for pid in members {
                // Gone meanwhile is as good.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            if Instant::now() > end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Ends every process of a tree without a reaper; see [`Tree`].
pub fn kill_tree(root: Option<i32>, marker: &str, within: Duration) -> bool {
    Tree { root, reaper: None, marker }.kill(within)
}

/// A child that has ended, with its raw wait status; none if no other has.
pub fn reap() -> Option<(i32, i32)> {
    let mut status = 0;
    // SAFETY: the status is valid for writing.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    (pid > 0).then_some((pid, status))
}

/// Has processes whose parent ends fall to this one rather than to init.
pub fn become_reaper() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

/// Whether the environment with which the process started has the entry `marker` (`NAME=value`).
pub fn is_marked(pid: i32, marker: &str) -> bool {
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| {
        environ.split(|byte| *byte == 0).any(|entry| entry == marker.as_bytes())
    })
}

/// Starts a command in a session of its own, as a child of init rather than of us, so that it
/// lives on when we end. Its standard input is empty; its outputs are those of `command`.
///
/// It forks the caller, which takes long where that is large.
pub fn spawn_detached(command: &mut Command) -> io::Result<()> {
    command.stdin(Stdio::null());
    // SAFETY: between fork and exec only setsid, fork and _exit are called, all of which are
    // async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            if libc::setsid() < 0 {
                return Err(io::Error::last_os_error());
            }
            match libc::fork() {
                0 => Ok(()),
                -1 => Err(io::Error::last_os_error()),
                // The process that std waits for ends here; its child goes on to exec.
                _ => libc::_exit(0),
            }
        });
    }
    command.spawn()?.wait().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_full_of_tricks_does_not_shift_the_fields() {
        let line = "7 (a) R 1 (b) S 42 7 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 555 1 1\n";
        assert_eq!(Identity::from_stat(line), Some(Identity { pid: 7, started: 555 }));
        assert_eq!(Identity::from_stat("7"), None);
    }

    #[test]
    fn we_are_alive_and_a_later_start_is_someone_else() {
        let own = Identity::of(std::process::id() as i32).unwrap();
        assert!(own.is_alive());
        assert!(!Identity { started: own.started + 1, ..own }.is_alive());
    }

    #[test]
    fn a_process_is_known_by_the_time_at_which_it_was_there() {
        let own = Identity::of(std::process::id() as i32).unwrap();
        let tick = Duration::from_secs_f64(1.0 / crate::usage::ticks_per_second());
        let started = own.started_after_boot();
        for later in [tick / 2, Duration::from_secs(3600)] {
            assert_eq!(Identity::at_time(own.pid, started + later), own);
        }
        // There before we were: another process, which is gone.
        assert!(!Identity::at_time(own.pid, started - tick / 2).is_alive());
    }

    #[test]
    fn remains_tell_how_a_process_ended_until_they_are_buried() {
        let mut command = Command::new("sh");
        let mut child =
            command.args(["-c", "read x; exit 7"]).stdin(Stdio::piped()).spawn().unwrap();
        let identity = Identity::of(child.id() as i32).unwrap();
        assert_eq!(identity.status_of_remains(), None);
        drop(child.stdin.take());
        let end = Instant::now() + Duration::from_secs(10);
        while identity.is_alive() && Instant::now() < end {
            std::thread::yield_now();
        }
        assert_eq!(identity.status_of_remains(), Some(7 << 8));
        child.wait().unwrap();
        assert_eq!(identity.status_of_remains(), None);
    }

    #[test]
    fn a_tree_is_killed_also_where_it_ran_away() {
        let marker = format!("CEREBRO_TEST_TREE={}", std::process::id());
        let (name, value) = marker.split_once('=').unwrap();
        let mut child = Command::new("sh")
            .args(["-c", "setsid sh -c 'sleep 61 & sleep 62' & sleep 63"])
            .env(name, value)
            .spawn()
            .unwrap();
        let running = || {
            all().iter().filter(|p| p.state != b'Z' && is_marked(p.identity.pid, &marker)).count()
        };
        let end = Instant::now() + Duration::from_secs(10);
        while running() < 4 && Instant::now() < end {
            std::thread::yield_now();
        }
        assert!(running() >= 4);
        assert!(kill_tree(Some(child.id() as i32), &marker, Duration::from_secs(10)));
        child.wait().unwrap();
        assert_eq!(running(), 0);
    }
}
