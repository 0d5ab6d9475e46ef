//! The task sitter's loop: performs what the watch decides, and tells it what happened.

use crate::child;
use crate::control::Control;
use crate::files::{DirError, TaskDir};
use crate::log::Log;
use cerebro_linux::cgroup::Cgroups;
use cerebro_linux::pidfd::PidFd;
use cerebro_linux::process::{Identity, boot_id, kill_tree};
use cerebro_supervise::{self as supervise, Effect, Event, Exit, Then, Watch};
use cerebro_tasksitter::protocol::{Phase, Request, TaskSpec, TaskState};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::time::{Duration, Instant, SystemTime};

/// How long a tree may take to die of SIGKILL; past that the kernel has a fault of its own.
const KILL_WITHIN: Duration = Duration::from_secs(5);

/// A process of the task: a child of ours, or one that an earlier sitter left.
struct Process {
    identity: Identity,
    fd: PidFd,
    child: Option<Child>,
}

pub struct Sitter {
    spec: TaskSpec,
    dir: TaskDir,
    watch: Watch,
    state: TaskState,
    process: Option<Process>,
    logs: [Log; 2],
    control: Control,
    signals: SignalFd,
    begun: Instant,
    /// Whether it ends with its task.
    stand_alone: bool,
    leaving: bool,
}

fn wall_micros() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

impl Sitter {
    pub fn open(dir: TaskDir, spec: TaskSpec, stand_alone: bool) -> Result<Self, DirError> {
        let here = dir.path().to_owned();
        let fault = |doing| {
            let path = here.display().to_string();
            move |source| DirError::File { doing, path, source }
        };
        let log =
            |name| Log::open(dir.fifo(name), dir.logs(), name, spec.log_bytes, spec.log_files);
        let logs =
            [log("stdout").map_err(fault("log in"))?, log("stderr").map_err(fault("log in"))?];
        let control = Control::bind(dir.path()).map_err(fault("listen in"))?;
        let signals =
            [Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD].into_iter().collect::<SigSet>();
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let signals = signals
            .thread_block()
            .and_then(|()| SignalFd::with_flags(&signals, flags))
            .map_err(|error| fault("take signals in")(error.into()))?;
        let boot = boot_id().map_err(fault("find out the boot for"))?;
        let before = dir.state();
        let state = TaskState {
            phase: Phase::Stopped,
            pid: None,
            sitter: std::process::id().cast_signed(),
            adopted: false,
            incarnation: before.as_ref().map_or(0, |state| state.incarnation),
            restarts: before.as_ref().map_or(0, |state| state.restarts),
            last_exit: before.as_ref().and_then(|state| state.last_exit.clone()),
            ended_at: before.as_ref().and_then(|state| state.ended_at),
            started_at: before.as_ref().and_then(|state| state.started_at),
            boot,
        };
        let watch = Watch::new(spec.policy.clone(), state.restarts);
        let begun = Instant::now();
        let mut sitter = Self {
            spec,
            dir,
            watch,
            state,
            process: None,
            logs,
            control,
            signals,
            begun,
            stand_alone,
            leaving: false,
        };
        sitter.begin(before.as_ref())?;
        Ok(sitter)
    }

    /// Takes over what an earlier sitter left, or starts the task.
    fn begin(&mut self, before: Option<&TaskState>) -> Result<(), DirError> {
        let same_boot = before.is_some_and(|state| state.boot == self.state.boot);
        let left = child::last(&self.dir).filter(|_| same_boot);
        let was_running =
            before.is_some_and(|state| matches!(state.phase, Phase::Running | Phase::Stopping));
        match left.filter(|identity| identity.is_alive()) {
            Some(identity) => {
                if let Ok(fd) = PidFd::open(identity.pid) {
                    self.process = Some(Process { identity, fd, child: None });
                    self.state.adopted = true;
                    self.happened(Event::Adopted)?;
                    if before.is_some_and(|state| state.phase == Phase::Stopping) {
                        self.happened(Event::Stop)?;
                    }
                    return Ok(());
                }
                self.missed_the_end()
            }
            None if was_running && same_boot => self.missed_the_end(),
            None => match before.map(|state| state.phase) {
                // Whoever stopped it meant it, and whoever gave it up too.
                Some(Phase::Stopped) if same_boot => self.happened(Event::Stop),
                Some(Phase::Failed) if same_boot => self.missed_the_end(),
                _ => self.happened(Event::Begin),
            },
        }
    }

    /// The task ended between two sitters.
    fn missed_the_end(&mut self) -> Result<(), DirError> {
        self.happened(Event::Adopted)?;
        self.ended(Exit::Unknown)
    }

    /// Runs until it is told to leave, or, alone, until the task rests; answers how that ended.
    pub fn run(mut self) -> Result<Option<Exit>, DirError> {
        loop {
            let resting =
                matches!(self.watch.phase(), supervise::Phase::Stopped | supervise::Phase::Failed);
            if self.process.is_none() && (self.leaving || (self.stand_alone && resting)) {
                self.pump();
                return Ok(self.state.last_exit);
            }
            self.wait();
            self.pump();
            self.reap()?;
            self.obey_signals()?;
            for request in self.control.requests(&self.state) {
                self.obey(request)?;
            }
            self.happened(Event::Tick)?;
        }
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Waits for anything to happen, or for the watch's deadline.
    fn wait(&self) {
        let mut polled = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        polled.extend(self.logs.iter().map(|log| PollFd::new(log.as_fd(), PollFlags::POLLIN)));
        polled.extend(self.control.descriptors().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        polled.extend(self.process.iter().map(|p| PollFd::new(p.fd.as_fd(), PollFlags::POLLIN)));
        let timeout = self.watch.deadline().map_or(PollTimeout::NONE, |deadline| {
            let left = deadline.saturating_sub(self.now()).as_micros().div_ceil(1000);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        // Interrupted or not, everything is looked at again.
        let _ = poll(&mut polled, timeout);
    }

    /// A disk that takes no logs must not take the task with it.
    fn pump(&mut self) {
        for log in &mut self.logs {
            if let Err(error) = log.pump() {
                eprintln!("tasksitter: cannot write the task's log: {error}");
            }
        }
    }

    fn reap(&mut self) -> Result<(), DirError> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let exit = match &mut process.child {
            Some(child) => match child.try_wait() {
                Ok(Some(status)) => exit_of(Some(status.into_raw())),
                Ok(None) => return Ok(()),
                Err(_) => Exit::Unknown,
            },
            None if process.identity.is_alive() => return Ok(()),
            None => exit_of(process.fd.wait_status()),
        };
        self.ended(exit)
    }

    fn ended(&mut self, exit: Exit) -> Result<(), DirError> {
        self.process = None;
        self.state.ended_at = Some(wall_micros());
        self.state.last_exit = Some(exit.clone());
        self.happened(Event::Ended(exit))
    }

    fn obey_signals(&mut self) -> Result<(), DirError> {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if signal.ssi_signo != Signal::SIGCHLD as u32 {
                self.leaving = true;
                self.happened(Event::Stop)?;
            }
        }
        Ok(())
    }

    fn obey(&mut self, request: Request) -> Result<(), DirError> {
        match request {
            Request::Stop => self.happened(Event::Stop),
            Request::Restart => self.happened(Event::Restart),
            Request::Signal(number) => {
                if let (Some(process), Ok(signal)) = (&self.process, Signal::try_from(number)) {
                    // Gone meanwhile: its end is on its way to us.
                    let _ = process.fd.signal(signal);
                }
                Ok(())
            }
            Request::Exit => {
                self.leaving = self.process.is_none();
                Ok(())
            }
        }
    }

    /// Tells the watch, performs what it decides, and lets everyone know.
    fn happened(&mut self, event: Event) -> Result<(), DirError> {
        let before =
            (self.watch.phase().clone(), self.state.incarnation, self.state.last_exit.clone());
        let mut failed_start = None;
        for effect in self.watch.step(event, self.now(), jitter()) {
            match effect {
                Effect::Start => failed_start = self.start()?,
                Effect::AskToStop => self.ask_to_stop(),
                Effect::KillTree => self.kill_tree(),
            }
        }
        if let Some(why) = failed_start {
            return self.ended(Exit::NotStarted(why));
        }
        if before
            != (self.watch.phase().clone(), self.state.incarnation, self.state.last_exit.clone())
            || self.state.pid != self.pid()
        {
            self.publish()?;
        }
        Ok(())
    }

    fn pid(&self) -> Option<i32> {
        self.process.as_ref().map(|process| process.identity.pid)
    }

    fn publish(&mut self) -> Result<(), DirError> {
        self.state.phase = match self.watch.phase() {
            supervise::Phase::Running { .. } => Phase::Running,
            supervise::Phase::BackingOff { .. } => Phase::BackingOff,
            supervise::Phase::Stopping { then: Then::Rest, .. } => Phase::Stopping,
            // It comes back by itself: a sitter that finds it running need not stop it again.
            supervise::Phase::Stopping { .. } => Phase::Running,
            supervise::Phase::Idle | supervise::Phase::Stopped => Phase::Stopped,
            supervise::Phase::Failed => Phase::Failed,
        };
        self.state.pid = self.pid();
        self.state.restarts = self.watch.restarts();
        self.dir.save(&self.state)?;
        self.control.announce(&self.state);
        Ok(())
    }

    /// Why it could not be started, if it could not.
    fn start(&mut self) -> Result<Option<String>, DirError> {
        self.state.incarnation += 1;
        self.state.adopted = false;
        // Before the child can exist, so that no later sitter takes its absence for a clean slate.
        self.state.phase = Phase::Running;
        self.dir.save(&self.state)?;
        let started = child::start(&self.spec, &self.dir).and_then(|child| {
            let pid = child.id().cast_signed();
            let gone = || io::Error::other("it was gone before it could be watched");
            let identity =
                child::last(&self.dir).filter(|identity| identity.pid == pid).ok_or_else(gone)?;
            Ok(Process { identity, fd: PidFd::open(pid)?, child: Some(child) })
        });
        match started {
            Ok(process) => {
                self.state.started_at = Some(wall_micros());
                self.process = Some(process);
                Ok(None)
            }
            Err(error) => Ok(Some(format!("{}: {error}", self.spec.argv.join(" ")))),
        }
    }

    fn ask_to_stop(&self) {
        if let Some(process) = &self.process {
            let signal = Signal::try_from(self.spec.stop_signal).unwrap_or(Signal::SIGTERM);
            let _ = process.fd.signal(signal);
        }
    }

    fn kill_tree(&self) {
        let marker = child::marker(self.dir.path());
        let root = self.pid().or_else(|| child::last(&self.dir).map(|identity| identity.pid));
        let gone = match self
            .spec
            .cgroup
            .as_deref()
            .and_then(|path| Some(Cgroups::detect().ok()?.group(path)))
        {
            Some(group) => group.kill(KILL_WITHIN),
            None => kill_tree(root, &marker, KILL_WITHIN),
        };
        if !gone {
            eprintln!(
                "tasksitter: processes of {} do not die of SIGKILL",
                self.dir.path().display()
            );
        }
    }
}

fn exit_of(wait_status: Option<i32>) -> Exit {
    let Some(raw) = wait_status else { return Exit::Unknown };
    let status = std::process::ExitStatus::from_raw(raw);
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (_, Some(signal)) => Exit::Signal(signal),
        _ => Exit::Unknown,
    }
}

/// From 0 to 1. Spreading restarts needs no better randomness than the clock's last digits.
fn jitter() -> f64 {
    let nanos =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    f64::from(nanos % 1000) / 1000.0
}
