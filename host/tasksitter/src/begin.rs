//! The beginning of a sitter: it takes over what an earlier one left, or starts the task.

use crate::child::{self, Child};
use crate::clock;
use crate::control::Control;
use crate::files::{DirError, TaskDir, at};
use crate::group::Group;
use crate::log::{LogThread, Stream};
use crate::measure::{CpuShare, Meter};
use crate::monitor;
use crate::notify::{self, Notify};
use crate::sitter::{Process, Sitter, exit_of};
use crate::tell::tell;
use cerebro_linux::pidfd::PidFd;
use cerebro_linux::process::{Identity, become_reaper, boot_id, is_marked};
use cerebro_supervise::{Event, Past, Reason, Watch};
use cerebro_tasksitter::protocol::{Counts, Phase, TaskSpec, TaskState};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::path::Path;

impl Sitter {
    /// Opens all that a sitter needs, and begins. Neither on the caller's stack nor within its frame,
    /// which is there as long as the sitter is.
    #[inline(never)]
    pub fn open(dir: TaskDir, spec: TaskSpec, stand_alone: bool) -> Result<Box<Self>, DirError> {
        let here = dir.path().to_owned();
        // First, since threads inherit what is blocked.
        let signals = signals().map_err(|error| at("take signals in", &here)(error.into()))?;
        become_reaper().map_err(at("become the reaper for", &here))?;
        let logs =
            LogThread::start(streams(&spec, &dir), &spec.logs).map_err(at("log in", &here))?;
        let control = Control::bind(dir.path()).map_err(at("listen in", &here))?;
        let boot = boot_id().map_err(at("find out the boot for", &here))?;
        let wanted = notify::is_wanted(&spec.readiness, spec.policy.watchdog.is_some());
        let notify = wanted.then(|| Notify::bind(dir.path())).transpose();
        let notify = notify.map_err(at("listen to the task of", &here))?;
        let monitor = monitor::begin(&spec, stand_alone)?;
        let (group, enforcement) = group(&spec);
        let before = dir.state();
        let same_boot = before.as_ref().filter(|state| state.boot == boot);
        let mut state = TaskState {
            sitter: std::process::id().cast_signed(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            adopted: false,
            enforcement,
            boot: boot.clone(),
            ..before.clone().unwrap_or_else(nothing)
        };
        // A state that was lost, or damaged, is no reason to forget the child.
        let child = child::last(&dir).filter(|child| child.boot == boot);
        if same_boot.is_none() {
            (state.phase, state.pid) = (Phase::Stopped, None);
            state.counts.oom_counter = group.as_ref().map_or(0, |g| g.cgroup().oom_kills());
        }
        let watch = Watch::new(spec.policy.clone(), past(&state));
        let mut sitter = Box::new(Self {
            spec,
            dir,
            watch,
            state,
            prepared: child::Prepared::default(),
            published: None,
            published_pid: same_boot.and_then(|state| Some((state.incarnation, state.pid?))),
            process: None,
            group,
            logs,
            control,
            notify,
            monitor,
            probe: None,
            meter: Meter::default(),
            share: CpuShare::default(),
            next_measure: None,
            out_of_memory: false,
            next_count: None,
            not_started: None,
            unsaved_until: None,
            signals,
            stand_alone,
            leaving: false,
        });
        let same_boot = same_boot.cloned();
        sitter.begin(same_boot.as_ref(), child)?;
        Ok(sitter)
    }

    /// `before` is what the last sitter of this boot left, and `child` what the last child did.
    fn begin(&mut self, before: Option<&TaskState>, child: Option<Child>) -> Result<(), DirError> {
        let mut remains = None;
        if let Some(child) = child {
            // Its own word: the sitter that started it may not have come to write it down.
            self.state.incarnation = self.state.incarnation.max(child.incarnation);
            if let Some(process) = find(child.identity, &child::marker(self.dir.path())) {
                let same = before.filter(|before| before.incarnation == child.incarnation);
                if before.is_some() && same.is_none() {
                    self.missed_a_restart();
                }
                let ready = same.is_some_and(|before| before.ready);
                let stopping = before.is_some_and(|before| before.phase == Phase::Stopping);
                return self.adopt(process, ready, stopping);
            }
            // It ended while this process executed another program, or is not buried yet.
            remains = child.identity.status_of_remains();
        }
        let Some(before) = before else { return self.happened(Event::Begin) };
        match before.phase {
            // The last sitter was about to start it, and did not come to.
            Phase::Running if before.pid.is_none() => self.happened(Event::Begin),
            Phase::Running | Phase::Stopping => self.missed_the_end(before.phase, remains),
            // Whoever stopped it meant it, and whoever gave it up too.
            Phase::Stopped => self.rest(None),
            Phase::Failed => self.rest(Some(before.reason.unwrap_or(Reason::Ended))),
            Phase::BackingOff => self.happened(Event::Begin),
        }
    }

    fn adopt(&mut self, process: Process, ready: bool, stopping: bool) -> Result<(), DirError> {
        let since = process.identity.started_after_boot();
        self.process = Some(process);
        self.state.adopted = true;
        self.happened(Event::Adopted { since, ready })?;
        self.begin_life(false);
        if stopping { self.happened(Event::Stop) } else { self.publish() }
    }

    /// The last sitter saw one life end and began the next, and did not come to write that down.
    fn missed_a_restart(&mut self) {
        self.state.last_exit = Some(exit_of(self.told_by_another()));
        self.state.ended_at = Some(clock::wall_micros());
        self.state.restarts += 1;
        self.watch = Watch::new(self.spec.policy.clone(), past(&self.state));
    }

    /// The task ended between two sitters.
    fn missed_the_end(&mut self, phase: Phase, remains: Option<i32>) -> Result<(), DirError> {
        let since = clock::since_boot();
        self.happened(Event::Adopted { since, ready: false })?;
        if phase == Phase::Stopping {
            self.happened(Event::Stop)?;
        }
        self.ended(exit_of(remains.or_else(|| self.told_by_another())))
    }

    fn rest(&mut self, failed: Option<Reason>) -> Result<(), DirError> {
        self.watch = Watch::resting(self.spec.policy.clone(), past(&self.state), failed);
        self.publish()
    }
}

fn past(state: &TaskState) -> Past {
    let counts = &state.counts;
    let violations = [counts.cpu_violations, counts.mem_violations, counts.time_violations];
    Past { restarts: state.restarts, violations }
}

/// The process, unless another has its pid by now.
fn find(identity: Identity, marker: &str) -> Option<Process> {
    let fd = PidFd::open(identity.pid).ok()?;
    let now = Identity::of(identity.pid)?;
    // In a time namespace other than the last sitter's it seems to have started at another time.
    // Whoever leads a session, has its pid and carries its mark is no other.
    let is_same = now == identity || (now.leads_session() && is_marked(now.pid, marker));
    is_same.then_some(Process { identity: now, fd })
}

fn nothing() -> TaskState {
    TaskState {
        phase: Phase::Stopped,
        pid: None,
        sitter: 0,
        version: String::new(),
        adopted: false,
        ready: false,
        incarnation: 0,
        restarts: 0,
        last_exit: None,
        ended_at: None,
        started_at: None,
        started_after_boot: None,
        reason: None,
        finding: None,
        enforcement: String::new(),
        status: String::new(),
        counts: Counts::default(),
        boot: String::new(),
    }
}

/// The task's streams: standard output, and standard error unless it goes to the same file.
pub fn streams(spec: &TaskSpec, dir: &TaskDir) -> Vec<Stream> {
    let stream = |name: &str, file: &Option<std::path::PathBuf>| Stream {
        fifo: dir.fifo(name),
        file: file.clone().unwrap_or_else(|| dir.logs().join(format!("{name}.log"))),
    };
    let mut streams = vec![stream("stdout", &spec.logs.stdout)];
    if !spec.one_stream() {
        streams.push(stream("stderr", &spec.logs.stderr));
    }
    streams
}

/// The task's group, and in words what enforces its limits. A machine that cannot limit a task
/// runs it all the same.
fn group(spec: &TaskSpec) -> (Option<Group>, String) {
    let polling = |why: String| format!("measured every {:?}, since {why}", spec.poll_interval);
    let Some(path) = &spec.cgroup else {
        return (None, polling("it has no control group".to_owned()));
    };
    match Group::open(path, &spec.limits) {
        Ok(group) => {
            let words = format!("enforced by the kernel in the control group `{path}`");
            (Some(group), words)
        }
        Err(error) => {
            let source = std::error::Error::source(&error)
                .map_or_else(String::new, |source| format!(": {source}"));
            tell(format_args!("the task runs without a control group: {error}{source}"));
            (None, polling(format!("{error}{source}")))
        }
    }
}

/// A stable name for the group of a task that was given none.
pub fn own_group(dir: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let place = std::fs::metadata(dir).ok()?;
    Some(format!("cerebro-tasksitter/{:x}-{:x}", place.dev(), place.ino()))
}

/// Takes the signals that a sitter obeys, and gives up ignoring others: the child would ignore them
/// too. What is ignored when a program is executed may be anything, such as SIGHUP under nohup.
fn signals() -> nix::Result<SignalFd> {
    let default_action = [0u64; 4];
    for signal in (1..=64).filter(|signal| *signal != libc::SIGPIPE) {
        let (action, old) = (default_action.as_ptr(), std::ptr::null_mut::<u64>());
        // By the system call, since libc keeps some signals to itself; 64 is the kernel's last.
        // SAFETY: all zeros is the kernel's `struct sigaction` for the default action, with an
        // empty mask of 8 bytes; the two signals that refuse it don't matter.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, action, old, 8) };
    }
    let signals = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD];
    let signals = signals.into_iter().collect::<SigSet>();
    signals.thread_block()?;
    SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}
