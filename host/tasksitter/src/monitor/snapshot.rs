//! All that the pages tell of a task, looked up once for one answer.

use crate::clock;
use crate::sitter::Sitter;
use cerebro_tasksitter::protocol::{Action, Constraint, TaskSpec, TaskState, TaskStats};
use std::io::Read;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// The longest version that is shown, in bytes.
const LONGEST_VERSION: u64 = 256;

/// How a task is, now.
pub struct Snapshot<'a> {
    pub spec: &'a TaskSpec,
    pub state: &'a TaskState,
    pub directory: &'a Path,
    /// None where nothing is to be measured.
    pub stats: Option<TaskStats>,
    /// How long its process has lived.
    pub age: Option<Duration>,
    /// The version of what runs, or why it is not known; none where nobody says.
    pub version: Option<Result<String, String>>,
    pub log_bytes_written: u64,
    pub log_bytes_dropped: u64,
    /// The disk took nothing of the last that the task said.
    pub log_failing: bool,
}

impl<'a> Snapshot<'a> {
    /// Looks now. `pss` asks for what is slow to find out.
    pub fn take(sitter: &'a mut Sitter, pss: bool) -> Self {
        let now = clock::since_boot();
        let measured = !sitter.spec.disable_stat_collection;
        let stats = measured.then(|| sitter.look(pss));
        let state = &sitter.state;
        let begun = state.started_after_boot.filter(|_| state.pid.is_some());
        let tally = sitter.logs.tally();
        Self {
            spec: &sitter.spec,
            state,
            directory: sitter.dir.path(),
            stats,
            age: begun.map(|micros| now.saturating_sub(Duration::from_micros(micros))),
            version: sitter.spec.version_file.as_deref().map(version),
            log_bytes_written: tally.written.load(Relaxed),
            log_bytes_dropped: tally.dropped.load(Relaxed),
            log_failing: tally.failing.load(Relaxed),
        }
    }

    /// How one limit stands.
    pub fn of(&self, constraint: Constraint) -> Standing {
        let (counts, stats) = (&self.state.counts, self.stats.as_ref());
        let limits = &self.spec.limits;
        let (limit, used) = match constraint {
            Constraint::Cpu => (
                limits.cpu_millis.map(|millis| f64::from(millis) / 1000.0),
                stats.and_then(|stats| stats.cpu_cores),
            ),
            // As the rules measure it.
            Constraint::Mem => (
                limits.memory.map(|bytes| bytes as f64),
                stats.map(|stats| stats.memory_working.unwrap_or(stats.rss) as f64),
            ),
            Constraint::TimeLimit => (
                self.spec.policy.rules.lifetime.map(|limit| limit.as_secs_f64()),
                self.age.map(|age| age.as_secs_f64()),
            ),
        };
        let (warnings, violations) = match constraint {
            Constraint::Cpu => (counts.cpu_warnings, counts.cpu_violations),
            Constraint::Mem => (counts.mem_warnings, counts.mem_violations),
            Constraint::TimeLimit => (counts.time_warnings, counts.time_violations),
        };
        let action = self.spec.policy.rules.of(constraint).action;
        Standing { limit, used, warnings, violations, action }
    }
}

/// How a limit stands: in cores, bytes or seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    pub limit: Option<f64>,
    pub used: Option<f64>,
    pub warnings: u32,
    pub violations: u32,
    pub action: Action,
}

impl Standing {
    /// What is used, in percent of the limit.
    pub fn percent(&self) -> Option<f64> {
        let (used, limit) = self.used.zip(self.limit.filter(|limit| *limit > 0.0))?;
        Some(used / limit * 100.0)
    }
}

fn version(path: &Path) -> Result<String, String> {
    let read = || {
        let mut text = Vec::new();
        super::follow::open_any(path)?.take(LONGEST_VERSION).read_to_end(&mut text)?;
        Ok(String::from_utf8_lossy(&text).trim().to_owned())
    };
    read().map_err(|error: std::io::Error| format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use cerebro_tasksitter::protocol::{Counts, Exit, Phase};

    /// A task that means ill, with its limits.
    pub fn spec() -> TaskSpec {
        let argv = ["sh", "-c", "echo '</pre>'"].map(str::to_owned).to_vec();
        let mut spec = TaskSpec::new(argv, "/".into());
        spec.name = "<script>alert(\"1\")</script>".to_owned();
        spec.limits.cpu_millis = Some(500);
        spec.limits.memory = Some(1 << 30);
        spec
    }

    pub fn state() -> TaskState {
        TaskState {
            phase: Phase::Running,
            pid: Some(42),
            sitter: 41,
            version: "1.2.3".to_owned(),
            adopted: false,
            ready: true,
            incarnation: 4,
            restarts: 3,
            last_exit: Some(Exit::Code(3)),
            ended_at: Some(1_795_409_023_000_000),
            started_at: Some(1_795_409_024_000_000),
            started_after_boot: Some(1),
            reason: None,
            finding: None,
            enforcement: "enforced by the kernel".to_owned(),
            status: "<b>loading</b>\n& more".to_owned(),
            counts: Counts {
                cpu_violations: 2,
                mem_warnings: 5,
                oom_kills: 1,
                ..Counts::default()
            },
            boot: "b".to_owned(),
        }
    }

    pub fn snapshot<'a>(spec: &'a TaskSpec, state: &'a TaskState) -> Snapshot<'a> {
        let stats = TaskStats {
            cpu_seconds: 1.5,
            cpu_cores: Some(0.25),
            rss: 256 << 20,
            vmem: 1 << 30,
            processes: 2,
            threads: 7,
            descriptors: Some(12),
            read_bytes: Some(4096),
            ..TaskStats::default()
        };
        Snapshot {
            spec,
            state,
            directory: Path::new("/tasks/1"),
            stats: Some(stats),
            age: Some(Duration::from_secs(90)),
            version: Some(Ok("v7 \"beta\"".to_owned())),
            log_bytes_written: 1000,
            log_bytes_dropped: 10,
            log_failing: false,
        }
    }

    #[test]
    fn a_limit_stands_as_measured() {
        let (spec, state) = (spec(), state());
        let snapshot = snapshot(&spec, &state);
        let cpu = snapshot.of(Constraint::Cpu);
        assert_eq!((cpu.percent(), cpu.violations, cpu.warnings), (Some(50.0), 2, 0));
        let mem = snapshot.of(Constraint::Mem);
        assert_eq!((mem.percent(), mem.violations, mem.warnings), (Some(25.0), 0, 5));
        let time = snapshot.of(Constraint::TimeLimit);
        assert_eq!((time.limit, time.used, time.percent()), (None, Some(90.0), None));
    }

    #[test]
    fn a_version_is_a_short_text_and_no_pipe_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("VERSION");
        assert!(version(&file).unwrap_err().contains("VERSION"));
        std::fs::write(&file, format!(" 1.0 \n{}", "x".repeat(1000))).unwrap();
        assert!(version(&file).unwrap().starts_with("1.0 \nxxx"));
        let pipe = dir.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(version(&pipe).is_err());
    }
}
