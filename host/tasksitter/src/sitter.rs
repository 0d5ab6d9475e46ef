//! The task sitter's loop: performs what the watch decides, and tells it what happened.

use crate::child::{self, Start};
use crate::clock;
use crate::control::{ClientId, Control};
use crate::files::{DirError, TaskDir, at};
use crate::group::Group;
use crate::log::LogThread;
use crate::measure::{CpuShare, Meter};
use crate::monitor::HttpMonitor;
use crate::notify::{Notify, Said};
use crate::ready::Probe;
use crate::tell::tell;
use crate::upgrade;
use cerebro_linux::pidfd::PidFd;
use cerebro_linux::process::{Identity, Tree, reap};
use cerebro_supervise::{self as supervise, Constraint, Effect, Event, Exit, Finding, Then, Watch};
use cerebro_tasksitter::protocol::{
    Notice, OomKill, Phase, Readiness, Request, TaskSpec, TaskState, TaskStats,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// From one attempt to write the state down to the next, where the disk does not take it.
const SAVE_AGAIN: Duration = Duration::from_secs(1);
/// From one look at the kernel's count of kills to the next, after it has told of one.
const COUNT_AGAIN: Duration = Duration::from_millis(20);
/// How long a tree may take to die of SIGKILL; past that the kernel has a fault of its own.
const KILL_WITHIN: Duration = Duration::from_secs(5);

/// The task's process: a child of ours, or one that an earlier sitter left.
pub struct Process {
    pub identity: Identity,
    pub fd: PidFd,
}

pub struct Sitter {
    pub spec: TaskSpec,
    pub dir: TaskDir,
    pub watch: Watch,
    pub state: TaskState,
    pub prepared: child::Prepared,
    /// What was told last.
    pub published: Option<TaskState>,
    /// The process that the sitter before knew last, with its incarnation.
    pub published_pid: Option<(u64, i32)>,
    pub process: Option<Process>,
    pub group: Option<Group>,
    pub logs: LogThread,
    pub control: Control,
    pub notify: Option<Notify>,
    pub monitor: Option<HttpMonitor>,
    pub probe: Option<Probe>,
    pub meter: Meter,
    /// The share of CPU for those who ask.
    pub share: CpuShare,
    /// When the tree is measured next; none where nothing depends on it.
    pub next_measure: Option<Duration>,
    /// The kernel has killed in this incarnation, or is about to.
    pub out_of_memory: bool,
    /// When the kernel's count of kills is looked at again: it tells before it counts.
    pub next_count: Option<Duration>,
    /// An end that nothing has followed from yet.
    pub not_started: Option<String>,
    /// The state could not be written down, and when that is tried again.
    pub unsaved_until: Option<Duration>,
    pub signals: SignalFd,
    /// Whether it ends with its task.
    pub stand_alone: bool,
    pub leaving: bool,
}

impl Sitter {
    /// Runs until it is told to leave, or, alone, until the task rests; answers how that ended.
    pub fn run(mut self: Box<Self>) -> Result<Option<Exit>, DirError> {
        let mut trimmed = None;
        while !self.is_done() {
            // Being set up and starting a task take more stack than waiting does; that it is not
            // given back would harm nothing else.
            if trimmed != Some(self.state.incarnation) {
                trimmed = Some(self.state.incarnation);
                let _ = cerebro_linux::memory::trim_stack();
            }
            let ready = self.wait();
            self.turn(&ready)?;
        }
        self.logs.finish();
        self.monitor.take().into_iter().for_each(HttpMonitor::finish);
        if let (true, Some(group)) = (self.stand_alone, self.group.take()) {
            group.remove();
        }
        Ok(self.state.last_exit.take())
    }

    /// Whether there is nothing left to do.
    fn is_done(&self) -> bool {
        let resting =
            matches!(self.watch.phase(), supervise::Phase::Stopped | supervise::Phase::Failed(_));
        self.process.is_none()
            && (self.leaving || (self.stand_alone && resting && !self.keeps_serving()))
    }

    /// Looks after everything once. Not within the loop's frame, which is there while it waits.
    #[inline(never)]
    fn turn(&mut self, ready: &Ready) -> Result<(), DirError> {
        // Who ends after that signals anew: a signal that was read later might be of somebody who was not looked for.
        let (stop, reload) = self.read_signals();
        self.reap()?;
        if stop {
            self.leaving = true;
            self.happened(Event::Stop)?;
        }
        if reload {
            self.send(self.spec.reload_signal);
        }
        self.listen()?;
        self.ask_whether_ready(ready.probe)?;
        if ready.oom {
            self.ran_out_of_memory();
        }
        for (client, request) in self.control.requests(&self.state) {
            self.obey(client, request)?;
        }
        self.serve();
        let now = clock::since_boot();
        if self.next_measure.is_some_and(|at| now >= at) {
            self.measure_by_rule()?;
        }
        if self.next_count.is_some_and(|at| now >= at) {
            self.next_count = None;
            self.count_oom_kills();
        }
        // Here rather than where it happened, so that one that never starts and need not wait
        // in between does not keep us from all else.
        if let Some(why) = self.not_started.take() {
            self.ended(Exit::NotStarted(why))?;
        }
        self.forgive_silence(now)?;
        self.happened(Event::Tick)
    }

    /// A task that ran while no sitter was there may have said then that it is ready, and says so
    /// once. It must not be ended for that.
    fn forgive_silence(&mut self, now: Duration) -> Result<(), DirError> {
        let supervise::Phase::Running { since, ready: false } = *self.watch.phase() else {
            return Ok(());
        };
        let waits = self.state.adopted && self.spec.readiness == Readiness::Notify;
        let is_late = self.spec.policy.ready_within.is_some_and(|within| now >= since + within);
        if waits && is_late { self.happened(Event::Ready) } else { Ok(()) }
    }

    /// Waits for anything to happen, or for the next deadline.
    #[inline(never)]
    fn wait(&self) -> Ready {
        let mut polled = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        let oom = self.group.as_ref().and_then(|group| group.oom.as_ref());
        let oom = oom.map(|oom| {
            let (fd, flags) = oom.poll_for();
            polled.push(PollFd::new(fd, flags));
            polled.len() - 1
        });
        let probe = self.probe.as_ref().and_then(Probe::descriptor).map(|fd| {
            polled.push(PollFd::new(fd, PollFlags::POLLOUT));
            polled.len() - 1
        });
        polled.extend(self.control.descriptors().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        polled.extend(self.notify.iter().map(|n| PollFd::new(n.as_fd(), PollFlags::POLLIN)));
        polled.extend(self.process.iter().map(|p| PollFd::new(p.fd.as_fd(), PollFlags::POLLIN)));
        let monitor = self.monitor.as_ref();
        let served = monitor.into_iter().flat_map(|monitor| monitor.descriptors(&self.logs));
        polled.extend(served.map(|(fd, flags)| PollFd::new(fd, flags)));
        let served = monitor.and_then(HttpMonitor::deadline);
        let probed = self.probe.as_ref().map(Probe::deadline);
        let pending = self.not_started.as_ref().map(|_| Duration::ZERO);
        let own = [self.next_measure, self.next_count, self.unsaved_until, pending];
        let deadline =
            own.into_iter().chain([self.watch.deadline(), probed, served]).flatten().min();
        let timeout = deadline.map_or(PollTimeout::NONE, |deadline| {
            let left = deadline.saturating_sub(clock::since_boot()).as_micros().div_ceil(1000);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        // Interrupted or not, everything is looked at again.
        let _ = poll(&mut polled, timeout);
        let is_ready = |at: Option<usize>| {
            at.and_then(|at| polled[at].revents()).is_some_and(|events| !events.is_empty())
        };
        Ready { oom: is_ready(oom), probe: is_ready(probe) }
    }

    fn reap(&mut self) -> Result<(), DirError> {
        let mut status = None;
        while let Some((pid, raw)) = reap() {
            // Others are what the task left to us, and what compresses its logs.
            if Some(pid) == self.pid() {
                status = Some(raw);
            }
        }
        let Some(process) = &self.process else { return Ok(()) };
        if status.is_none() {
            if process.identity.is_alive() {
                return Ok(());
            }
            // A child of someone else, whose end only the kernel can tell us.
            status = status_of_stranger(process).or_else(|| self.told_by_another());
        }
        self.ended(exit_of(status))
    }

    /// What someone who held the process's descriptor has written down for us.
    pub fn told_by_another(&self) -> Option<i32> {
        let note = self.dir.take_exit_note()?;
        let is_child = child::last(&self.dir).is_some_and(|last| {
            (last.incarnation, last.identity.pid) == (note.incarnation, note.pid)
        });
        // The last sitter may have ended just before it had the next child write itself down.
        let is_known = self.published_pid == Some((note.incarnation, note.pid));
        (is_child || is_known).then_some(note.wait_status)
    }

    pub fn ended(&mut self, exit: Exit) -> Result<(), DirError> {
        self.count_oom_kills();
        let counts = &mut self.state.counts;
        if self.out_of_memory && counts.oom_kills_now == 0 {
            // We were quicker than the kernel, which had told us what it was about to do.
            (counts.oom_kills, counts.oom_kills_now) = (counts.oom_kills + 1, 1);
        }
        let was_killed = exit == Exit::Signal(libc::SIGKILL);
        let exit = if was_killed && self.out_of_memory { Exit::OutOfMemory } else { exit };
        (self.process, self.probe, self.next_measure, self.next_count) = (None, None, None, None);
        self.state.ended_at = Some(clock::wall_micros());
        self.state.last_exit = Some(exit.clone());
        self.happened(Event::Ended(exit))
    }

    /// Reads all signals that have come: whether to stop, and whether to reload.
    fn read_signals(&mut self) -> (bool, bool) {
        let (mut stop, mut reload) = (false, false);
        while let Ok(Some(signal)) = self.signals.read_signal() {
            match Signal::try_from(signal.ssi_signo.cast_signed()) {
                Ok(Signal::SIGTERM | Signal::SIGINT) => stop = true,
                Ok(Signal::SIGHUP) => reload = true,
                _ => {}
            }
        }
        (stop, reload)
    }

    fn obey(&mut self, client: ClientId, request: Request) -> Result<(), DirError> {
        match request {
            Request::Start => self.happened(Event::Start),
            Request::Stop => self.happened(Event::Stop),
            Request::Restart => self.happened(Event::Restart),
            Request::Reload => {
                self.send(self.spec.reload_signal);
                Ok(())
            }
            Request::Signal(number) => {
                self.send(number);
                Ok(())
            }
            Request::Stats { pss } => {
                let stats = self.look(pss);
                self.control.reply(client, &Notice::Stats(Box::new(stats)));
                Ok(())
            }
            Request::Upgrade(program) => {
                if upgrade::is_usable(&program, self.dir.path()) {
                    self.publish()?;
                    self.logs.finish();
                    // Only if it fails it comes back, and then nothing is lost but this sitter.
                    let error = upgrade::execute(&program, &self.dir, self.stand_alone);
                    return Err(at("go on as", &program)(error));
                }
                Ok(())
            }
            Request::Exit => {
                self.leaving = self.process.is_none();
                Ok(())
            }
        }
    }

    /// Hears what the task says of itself.
    fn listen(&mut self) -> Result<(), DirError> {
        let Some(notify) = &self.notify else { return Ok(()) };
        let user = crate::credentials::find(&self.spec.credentials).ok().flatten();
        let user = user.map_or_else(nix::unistd::geteuid, |user| user.uid()).as_raw();
        // A sender that is gone already cannot be looked up; then its user must do.
        let said = notify.read(|sender, pid| {
            (sender == user || sender == 0)
                && (self.processes().contains(&pid) || Identity::of(pid).is_none())
        });
        for said in said {
            match said {
                Said::Ready => self.happened(Event::Ready)?,
                Said::Alive => self.happened(Event::Alive)?,
                Said::Status(status) => {
                    self.state.status = status;
                    self.publish()?;
                }
            }
        }
        Ok(())
    }

    fn ask_whether_ready(&mut self, is_done: bool) -> Result<(), DirError> {
        let now = clock::since_boot();
        if self.probe.as_mut().is_some_and(|probe| probe.step(is_done, now)) {
            self.probe = None;
            self.happened(Event::Ready)?;
        }
        Ok(())
    }

    /// The kernel has killed in the group, or is about to.
    fn ran_out_of_memory(&mut self) {
        let Some(group) = &self.group else { return };
        group.oom.iter().for_each(|oom| oom.clear());
        self.out_of_memory = true;
        self.next_count = Some(clock::since_boot() + COUNT_AGAIN);
        if self.spec.limits.oom == OomKill::Group && !group.kills_as_one {
            self.kill_tree();
        }
        self.count_oom_kills();
    }

    fn count_oom_kills(&mut self) {
        let Some(group) = &self.group else { return };
        let counts = &mut self.state.counts;
        let counter = group.oom_kills();
        let more = counter.saturating_sub(counts.oom_counter);
        counts.oom_counter = counter;
        counts.oom_kills += more;
        counts.oom_kills_now += more;
        self.out_of_memory |= more > 0;
    }

    /// Tells the watch, performs what it decides, and lets everyone know.
    pub fn happened(&mut self, event: Event) -> Result<(), DirError> {
        let mut failed_start = None;
        for effect in self.watch.step(event, clock::since_boot(), clock::jitter()) {
            match effect {
                Effect::Start => failed_start = self.start()?,
                Effect::AskToStop => self.send(self.spec.stop_signal),
                Effect::Abort => self.send(libc::SIGABRT),
                Effect::KillTree => self.kill_tree(),
                Effect::Tell(finding) => {
                    if let Finding::Warned { constraint, .. } = finding {
                        self.state.counts.warn(constraint);
                    }
                    self.state.finding = Some(finding);
                }
            }
        }
        self.not_started = failed_start.or(self.not_started.take());
        self.publish()
    }

    fn pid(&self) -> Option<i32> {
        self.process.as_ref().map(|process| process.identity.pid)
    }

    /// Keeps and tells the state, if it is not what was told last.
    pub fn publish(&mut self) -> Result<(), DirError> {
        let (phase, ready, reason) = match self.watch.phase() {
            supervise::Phase::Running { ready, .. } => (Phase::Running, *ready, None),
            supervise::Phase::BackingOff { .. } => (Phase::BackingOff, false, None),
            supervise::Phase::Stopping { then: Then::Rest, .. } => (Phase::Stopping, false, None),
            supervise::Phase::Stopping { then: Then::GiveUp(reason), .. } => {
                (Phase::Stopping, false, Some(*reason))
            }
            // It comes back by itself: a sitter that finds it running need not stop it again.
            supervise::Phase::Stopping { then: Then::Violation(reason), .. } => {
                (Phase::Running, false, Some(*reason))
            }
            supervise::Phase::Stopping { then: Then::Start, .. } => (Phase::Running, false, None),
            supervise::Phase::Idle | supervise::Phase::Stopped => (Phase::Stopped, false, None),
            supervise::Phase::Failed(reason) => (Phase::Failed, false, Some(*reason)),
        };
        let state = &mut self.state;
        (state.phase, state.ready) = (phase, ready && self.process.is_some());
        state.reason = reason.or(state.reason);
        state.pid = self.process.as_ref().map(|process| process.identity.pid);
        state.restarts = self.watch.restarts();
        let [cpu, mem, time] = self.watch.violations();
        (state.counts.cpu_violations, state.counts.mem_violations) = (cpu, mem);
        state.counts.time_violations = time;
        state.counts.log_bytes_dropped = self.logs.tally().dropped.load(Relaxed);
        if self.published.as_ref() != Some(&self.state) {
            self.save();
            self.control.announce(&Notice::State(Box::new(self.state.clone())));
            self.published = Some(self.state.clone());
        } else if self.unsaved_until.is_some_and(|at| clock::since_boot() >= at) {
            self.save();
        }
        Ok(())
    }

    /// Writes the state down. A disk that does not take it is no reason to leave the task alone: it
    /// is tried again until it does. Answers why not.
    fn save(&mut self) -> Option<DirError> {
        let error = self.dir.save(&self.state).err();
        if let (Some(error), None) = (&error, self.unsaved_until) {
            tell(format_args!("{error}; it goes on, and tries again"));
        }
        self.unsaved_until = error.as_ref().map(|_| clock::since_boot() + SAVE_AGAIN);
        error
    }

    /// Why it could not be started, if it could not.
    fn start(&mut self) -> Result<Option<String>, DirError> {
        self.state.incarnation += 1;
        self.state.adopted = false;
        self.state.status = String::new();
        (self.state.counts.oom_kills_now, self.out_of_memory) = (0, false);
        if self.state.phase != Phase::Running {
            // Before the child can exist, so that no later sitter takes its absence for a clean
            // slate. One that was running is kept as such until its next life is.
            self.state.phase = Phase::Running;
            if let Some(error) = self.save() {
                return Ok(Some(error.to_string()));
            }
        }
        match self.start_child() {
            Ok(process) => {
                self.state.started_at = Some(clock::wall_micros());
                self.process = Some(process);
                self.begin_life(true);
                Ok(None)
            }
            Err(error) => Ok(Some(format!("{}: {error}", self.spec.argv.join(" ")))),
        }
    }

    fn start_child(&mut self) -> io::Result<Process> {
        let mut variables = Vec::new();
        if let Some(notify) = &self.notify {
            variables.push(("NOTIFY_SOCKET", notify.address()));
        }
        if let Some(watchdog) = self.spec.policy.watchdog {
            variables.push(("WATCHDOG_USEC", watchdog.as_micros().to_string()));
        }
        let life = (self.state.boot.as_str(), self.state.incarnation);
        let prepared = &mut self.prepared;
        let start = Start::prepare(&self.spec, &self.dir, life, &variables, prepared)?;
        let spawned = match &self.group {
            Some(group) => group.start(start)?,
            None => start.go(None)?,
        };
        let own = child::last(&self.dir).map(|last| last.identity);
        let gone = || io::Error::other("it was gone before it could be watched");
        let identity = own.filter(|identity| identity.pid == spawned.pid).ok_or_else(gone)?;
        Ok(Process { identity, fd: spawned.fd })
    }

    /// A process runs from now on: one that was just started, or one that was found.
    pub fn begin_life(&mut self, is_new: bool) {
        let now = clock::since_boot();
        let age = self.process.as_ref().map(|process| process.identity.started_after_boot());
        self.state.started_after_boot =
            age.map(|age| u64::try_from(age.as_micros()).unwrap_or(u64::MAX));
        self.meter.begin(self.group.as_ref().map(Group::cgroup), is_new);
        self.next_measure = self.measures_matter().then_some(now);
        let is_ready = matches!(self.watch.phase(), supervise::Phase::Running { ready: true, .. });
        self.probe = match self.spec.readiness {
            Readiness::Port(address) if !is_ready => Some(Probe::new(address, now)),
            _ => None,
        };
    }

    /// Whether anything follows from measuring: the kernel does not enforce a limit, or someone
    /// wants to be warned.
    fn measures_matter(&self) -> bool {
        let (limits, rules) = (&self.spec.limits, &self.spec.policy.rules);
        let unenforced =
            |controller| !self.group.as_ref().is_some_and(|group| group.enforces(controller));
        let wanted = rules.want_measures() && !self.spec.disable_stat_collection;
        (limits.cpu_millis.is_some() && (wanted || unenforced("cpu")))
            || (limits.memory.is_some() && (wanted || unenforced("memory")))
    }

    /// Measures, tells the watch, and says when to measure again.
    fn measure_by_rule(&mut self) -> Result<(), DirError> {
        let (stats, throttled) = self.measure(false);
        let limits = self.spec.limits.clone();
        let memory = limits.memory.map(|limit| {
            let used = stats.memory_working.unwrap_or(stats.rss);
            used as f64 / limit.max(1) as f64
        });
        // Set before the watch is told, since that may end the life that was measured.
        let interval = self.spec.poll_interval.max(Duration::from_millis(10));
        // The nearer to the limit, the sooner: whoever allocates fast is not waited for.
        let headroom = memory.map_or(1.0, |used| (1.0 - used).clamp(0.01, 1.0));
        let pause = interval.mul_f64(headroom).max(Duration::from_millis(10));
        self.next_measure = Some(clock::since_boot() + pause);
        if let (Some(millis), Some(cores)) = (limits.cpu_millis, stats.cpu_cores) {
            let share = cores * 1000.0 / f64::from(millis.max(1));
            // Held back by the kernel, it never has more than all; but it wanted to.
            let share = if throttled { share.max(1.0 + f64::EPSILON) } else { share };
            self.happened(Event::Measured(Constraint::Cpu, share))?;
        }
        match memory {
            Some(used) => self.happened(Event::Measured(Constraint::Mem, used)),
            None => Ok(()),
        }
    }

    /// What the tree uses, for someone who asks: that changes nothing for the rules, whose meter
    /// goes on from where it was.
    pub fn look(&mut self, pss: bool) -> TaskStats {
        let meter = self.meter.clone();
        let (mut stats, _) = self.measure(pss);
        self.meter = meter;
        let (now, incarnation) = (clock::since_boot(), self.state.incarnation);
        let cores = self.share.cores(now, incarnation, stats.cpu_seconds);
        stats.cpu_cores = cores.or(stats.cpu_cores);
        stats
    }

    /// What the tree uses, and whether the kernel held it back since it was measured before.
    fn measure(&mut self, pss: bool) -> (TaskStats, bool) {
        self.count_oom_kills();
        let processes = self.processes();
        let cgroup = self.group.as_ref().map(Group::cgroup);
        let (mut stats, throttled) =
            self.meter.measure(cgroup, &processes, pss, clock::since_boot());
        stats.log_bytes = self.logs.tally().written.load(Relaxed);
        (stats, throttled)
    }

    /// Every process of the task.
    fn processes(&self) -> BTreeSet<i32> {
        match &self.group {
            Some(group) => group.cgroup().processes(),
            None => self.with_tree(|tree| tree.processes()),
        }
    }

    fn with_tree<R>(&self, look: impl FnOnce(&Tree<'_>) -> R) -> R {
        let marker = child::marker(self.dir.path());
        let root = self.pid().or_else(|| child::last(&self.dir).map(|last| last.identity.pid));
        look(&Tree { root, reaper: Some(self.state.sitter), marker: &marker })
    }

    fn send(&self, signal: i32) {
        if let (Some(process), Ok(signal)) = (&self.process, Signal::try_from(signal)) {
            // Gone meanwhile: its end is on its way to us.
            let _ = process.fd.signal(signal);
        }
    }

    fn kill_tree(&self) {
        let gone = match &self.group {
            Some(group) => group.kill(KILL_WITHIN),
            None => self.with_tree(|tree| tree.kill(KILL_WITHIN)),
        };
        // One that has left the group is found as if there were none.
        let escaped = self.process.as_ref().is_some_and(|process| process.identity.is_alive());
        let gone = gone && (!escaped || self.with_tree(|tree| tree.kill(KILL_WITHIN)));
        if !gone {
            let path = self.dir.path().display();
            tell(format_args!("processes of {path} do not die of SIGKILL"));
        }
    }
}

/// How a process that is no child of ours has ended. The kernel tells once it is buried; until then
/// its remains do.
fn status_of_stranger(process: &Process) -> Option<i32> {
    let told = || process.fd.wait_status();
    // Asked again last, since it may be buried between the two.
    told().or_else(|| process.identity.status_of_remains()).or_else(told)
}

/// What `wait` found.
struct Ready {
    oom: bool,
    probe: bool,
}

pub fn exit_of(wait_status: Option<i32>) -> Exit {
    match wait_status {
        Some(status) if libc::WIFEXITED(status) => Exit::Code(libc::WEXITSTATUS(status)),
        Some(status) if libc::WIFSIGNALED(status) => Exit::Signal(libc::WTERMSIG(status)),
        _ => Exit::Unknown,
    }
}
