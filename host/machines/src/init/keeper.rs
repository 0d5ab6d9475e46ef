//! The machine's life: the agent is started again when it dies, orphans are reaped, and on SIGTERM
//! everything ends.

use super::agent::{self, SETTLED};
use cerebro_linux::process::descendants;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, getpid};
use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long the machine's processes have to end by themselves.
const GRACE: Duration = Duration::from_secs(5);

/// Keeps one agent running.
pub struct Keeper {
    command: Command,
    signals: SignalFd,
    agent: Agent,
    deaths: u32,
}

enum Agent {
    Running { pid: i32, since: Instant },
    Waiting { until: Instant },
}

impl Keeper {
    /// Starts the agent. From here on the caller's signals come to the keeper.
    pub fn start(mut command: Command) -> io::Result<Self> {
        let mut set = SigSet::empty();
        for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT] {
            set.add(signal);
        }
        set.thread_block()?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let signals = SignalFd::with_flags(&set, flags)?;
        let agent = Agent::Running { pid: agent::spawn(&mut command)?, since: Instant::now() };
        Ok(Self { command, signals, agent, deaths: 0 })
    }

    /// Runs until the machine is told to end; then nothing is left of it.
    pub fn run(mut self) -> io::Result<()> {
        loop {
            while let Some(pid) = reap() {
                self.ended(pid, Instant::now());
            }
            self.start_if_due(Instant::now());
            if self.wait(self.until_due(Instant::now()))? {
                return self.end();
            }
        }
    }

    fn ended(&mut self, dead: i32, now: Instant) {
        let Agent::Running { pid, since } = self.agent else { return };
        if pid == dead {
            self.deaths = if now - since >= SETTLED { 1 } else { self.deaths.saturating_add(1) };
            self.agent = Agent::Waiting { until: now + agent::pause(self.deaths) };
        }
    }

    fn start_if_due(&mut self, now: Instant) {
        if !matches!(self.agent, Agent::Waiting { until } if until <= now) {
            return;
        }
        self.agent = match agent::spawn(&mut self.command) {
            Ok(pid) => Agent::Running { pid, since: now },
            Err(error) => {
                eprintln!("localmachine: {error}; trying again");
                self.deaths = self.deaths.saturating_add(1);
                Agent::Waiting { until: now + agent::pause(self.deaths) }
            }
        };
    }

    fn until_due(&self, now: Instant) -> Option<Duration> {
        match self.agent {
            Agent::Running { .. } => None,
            Agent::Waiting { until } => Some(until.saturating_duration_since(now)),
        }
    }

    /// Waits for a signal or the time; answers whether the machine is to end.
    fn wait(&self, within: Option<Duration>) -> io::Result<bool> {
        // Rounded up, so that it is due when the wait is over.
        let timeout = within.map_or(PollTimeout::NONE, |within| {
            PollTimeout::try_from(within.as_millis() + 1).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut end = false;
        while let Some(signal) = self.signals.read_signal()? {
            end |= signal.ssi_signo != Signal::SIGCHLD as u32;
        }
        Ok(end)
    }

    fn end(self) -> io::Result<()> {
        let deadline = Instant::now() + GRACE;
        let mut asked = BTreeSet::new();
        loop {
            while reap().is_some() {}
            let living = descendants(getpid().as_raw());
            if living.is_empty() {
                return Ok(());
            }
            let late = Instant::now() > deadline;
            for pid in living {
                // One that was just being forked was not there to be asked with the others.
                if asked.insert(pid) {
                    signal(pid, Signal::SIGTERM);
                }
                if late {
                    signal(pid, Signal::SIGKILL);
                }
            }
            // Bounded, because a grandchild's end tells us nothing before it is our child.
            self.wait(Some(Duration::from_millis(10)))?;
        }
    }
}

fn signal(pid: i32, signal: Signal) {
    // Gone meanwhile is as good.
    let _ = kill(Pid::from_raw(pid), signal);
}

/// Takes the remains of one child that has ended, or of an orphan that came to us.
fn reap() -> Option<i32> {
    let status = waitpid(None, Some(WaitPidFlag::WNOHANG)).ok()?;
    status.pid().map(Pid::as_raw)
}
