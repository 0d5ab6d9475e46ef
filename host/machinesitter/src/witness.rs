//! Who sees how a task ends while it has no sitter: the agent, by a descriptor of its process.

use crate::disk;
use cerebro_linux::pidfd::PidFd;
use cerebro_linux::process::Identity;
use cerebro_tasksitter::protocol::{ExitNote, TaskState};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often the kernel is asked how a process ended, a millisecond apart.
const TRIES: u32 = 100;

/// A hold on the process that a task is.
pub struct Witness {
    incarnation: u64,
    process: Identity,
    fd: PidFd,
}

impl Witness {
    /// Of the process in `state`, if it is there.
    pub fn of(state: &TaskState) -> Option<Self> {
        let pid = state.pid?;
        let fd = PidFd::open(pid).ok()?;
        // Looked at after it was opened: so what is found is what the descriptor is of.
        let identity = Identity::of(pid)?;
        // Whoever has this pid after the task ended was started later.
        let known = Duration::from_micros(state.started_after_boot?);
        let is_task = identity.started_after_boot() <= known;
        is_task.then_some(Self { incarnation: state.incarnation, process: identity, fd })
    }

    /// Whether it is of the process in `state`.
    pub fn is_of(&self, state: &TaskState) -> bool {
        (Some(self.process.pid), self.incarnation) == (state.pid, state.incarnation)
    }

    /// Waits for so long whether the process ends, and then does as [`testify`](Self::testify).
    pub async fn attend(&self, dir: &Path, within: Duration) -> bool {
        let end = Instant::now() + within;
        while !self.testify(dir).await {
            if Instant::now() >= end {
                return false;
            }
            sleep(Duration::from_millis(1)).await;
        }
        true
    }

    /// If the process has ended, writes down how, for the sitter to come; answers whether it has.
    pub async fn testify(&self, dir: &Path) -> bool {
        let mut ready = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        if !poll(&mut ready, PollTimeout::ZERO).is_ok_and(|ready| ready > 0) {
            return false;
        }
        let pid = self.process.pid;
        for _ in 0..TRIES {
            if let Some(wait_status) = self.wait_status() {
                let note = ExitNote { incarnation: self.incarnation, pid, wait_status };
                if let Err(error) = disk::write(&dir.join("exit.json"), &note) {
                    tracing::warn!(%error, pid, "how a task ended cannot be written down");
                }
                return true;
            }
            sleep(Duration::from_millis(1)).await;
        }
        tracing::warn!(pid, "the kernel does not tell how a task ended that had no sitter");
        true
    }
}

impl Witness {
    /// As the kernel tells it once the parent has taken it (Linux 6.15), and as its remains show
    /// until then.
    fn wait_status(&self) -> Option<i32> {
        self.fd.wait_status().or_else(|| {
            let entry = format!("/proc/{}", self.process.pid);
            let stat = fs::read_to_string(format!("{entry}/stat")).ok()?;
            let own = nix::unistd::geteuid();
            // Of a stranger's process the kernel shows 0 there, whatever it was.
            let may_see = own.is_root() || fs::metadata(&entry).ok()?.uid() == own.as_raw();
            (may_see && Identity::from_stat(&stat)? == self.process).then(|| remains(&stat))?
        })
    }
}

/// The wait status in a line of `/proc/<pid>/stat`, if it is of a process that has ended: field 52,
/// by proc_pid_stat(5).
fn remains(stat: &str) -> Option<i32> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split_ascii_whitespace();
    (fields.next()? == "Z").then(|| fields.nth(48)?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use cerebro_tasksitter::protocol::Phase;
    use std::process::Command;

    fn state(pid: u32, started_after_boot: u64) -> TaskState {
        let value = serde_json::json!({
            "phase": Phase::Running, "pid": pid, "sitter": 1, "adopted": false, "incarnation": 3,
            "restarts": 0, "last_exit": null, "ended_at": null, "started_at": null,
            "started_after_boot": started_after_boot, "boot": "b",
        });
        serde_json::from_value(value).unwrap()
    }

    fn micros() -> u64 {
        u64::try_from(crate::time::since_boot().as_micros()).unwrap()
    }

    #[tokio::test]
    async fn an_end_that_nobody_else_saw_is_written_down() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let state = state(child.id(), micros());
        let witness = Witness::of(&state).unwrap();
        assert!(witness.is_of(&state));
        assert!(!witness.testify(dir.path()).await);
        child.kill().unwrap();
        let told = || serde_json::from_slice(&fs::read(dir.path().join("exit.json")).unwrap());
        while !witness.testify(dir.path()).await {}
        let note: ExitNote = told().unwrap();
        let sigkill = nix::sys::signal::Signal::SIGKILL as i32;
        assert_eq!((note.incarnation, note.wait_status), (3, sigkill), "by its remains");
        child.wait().unwrap();
        // Kernels before 6.15 do not tell any more.
        assert!(matches!(witness.wait_status(), None | Some(9)));
    }

    #[tokio::test]
    async fn a_process_that_started_later_is_someone_else() {
        let long_ago = micros();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let found = Witness::of(&state(child.id(), long_ago));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found.is_none());
    }
}
