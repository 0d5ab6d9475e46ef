//! One process under watch, as a pure state machine.
//!
//! [`Watch::step`] takes an event and answers with effects; whoever performs them (the task
//! sitter) tells what came of it by further events. `now` is a monotonic time, so that a wall
//! clock that jumps changes nothing.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The least time from one start to the next, from the second restart in a row on; it doubles with
/// each. The first restart comes at once.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A process that lived this long was fine: what follows is a first restart again.
const LIVED: Duration = Duration::from_secs(10);

/// What the user wants to happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Start it again when it ends.
    pub ensure_alive: bool,
    /// An end with code 0 may stand.
    pub allow_exit: bool,
    /// Start it again after it was ended for breaking a limit.
    pub restart: bool,
    /// Restarts after which it is given up; none for never.
    pub max_restarts: Option<u32>,
    /// How long it may live.
    pub time_limit: Option<Duration>,
    /// How long it has to stop when asked, before its tree is killed.
    pub stop_grace: Duration,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// By itself.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// Unseen: nobody who could have known was there.
    Unknown,
    /// It could not be started at all.
    NotStarted(String),
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(signal) => write!(f, "was ended by signal {signal}"),
            Self::Unknown => f.write_str("ended while nobody watched"),
            Self::NotStarted(why) => write!(f, "could not be started: {why}"),
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Watching begins; nothing runs.
    Begin,
    /// A process of an earlier watcher was found running.
    Adopted,
    /// The process that was started, or found, has ended.
    Ended(Exit),
    /// Time has passed.
    Tick,
    /// It should stop.
    Stop,
    /// It should stop and start again.
    Restart,
}

/// Something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Start the process.
    Start,
    /// Ask the process to stop.
    AskToStop,
    /// Kill whatever is left of the tree.
    KillTree,
}

/// Where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Nothing has happened yet.
    Idle,
    /// It runs.
    Running {
        /// Since when.
        since: Duration,
    },
    /// It ended, and waits before it is started again.
    BackingOff {
        /// Until when.
        until: Duration,
    },
    /// It was asked to stop.
    Stopping {
        /// When its tree is killed.
        kill_at: Duration,
        /// What comes after.
        then: Then,
    },
    /// It ended as it may, or was stopped.
    Stopped,
    /// It was given up.
    Failed,
}

/// What follows a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// Nothing.
    Rest,
    /// It starts again, because that was asked for.
    Start,
    /// It broke a limit: `restart` decides.
    Violation,
}

/// The watch over one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    policy: Policy,
    phase: Phase,
    restarts: u32,
    /// Restarts since the process last lived long enough.
    streak: u32,
}

impl Watch {
    /// A watch that has seen `restarts` so far.
    pub fn new(policy: Policy, restarts: u32) -> Self {
        Self { policy, phase: Phase::Idle, restarts, streak: 0 }
    }

    /// Where it stands.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// How often it was started again.
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// When a [`Event::Tick`] is due, if nothing else happens.
    pub fn deadline(&self) -> Option<Duration> {
        match self.phase {
            Phase::Running { since } => self.policy.time_limit.map(|limit| since + limit),
            Phase::BackingOff { until } => Some(until),
            Phase::Stopping { kill_at, .. } => Some(kill_at),
            Phase::Idle | Phase::Stopped | Phase::Failed => None,
        }
    }

    /// What follows from an event. `jitter`, from 0 to 1, spreads the waits of many.
    pub fn step(&mut self, event: Event, now: Duration, jitter: f64) -> Vec<Effect> {
        match (event, &self.phase) {
            (Event::Begin, Phase::Idle) => self.start(now),
            (Event::Adopted, Phase::Idle) => {
                self.phase = Phase::Running { since: now };
                Vec::new()
            }
            (Event::Ended(exit), &Phase::Running { since }) => {
                if now.saturating_sub(since) >= LIVED {
                    self.streak = 0;
                }
                let may_rest = self.policy.allow_exit && exit == Exit::Code(0);
                let again = self.policy.ensure_alive && !may_rest;
                self.ended(again, matches!(exit, Exit::Code(0)), since, now, jitter)
            }
            (Event::Ended(_), Phase::Stopping { then, .. }) => match then {
                Then::Rest => self.rest(Phase::Stopped),
                Then::Start => {
                    self.restarts += 1;
                    self.and_start(now)
                }
                Then::Violation => self.ended(self.policy.restart, false, now, now, jitter),
            },
            (Event::Tick, Phase::Running { since }) => match self.policy.time_limit {
                Some(limit) if now >= *since + limit => self.ask_to_stop(Then::Violation, now),
                _ => Vec::new(),
            },
            (Event::Tick, Phase::BackingOff { until }) if now >= *until => self.start(now),
            (Event::Tick, Phase::Stopping { kill_at, .. }) if now >= *kill_at => {
                vec![Effect::KillTree]
            }
            (Event::Stop, Phase::Running { .. }) => self.ask_to_stop(Then::Rest, now),
            (Event::Stop, Phase::Stopping { kill_at, .. }) => {
                self.phase = Phase::Stopping { kill_at: *kill_at, then: Then::Rest };
                Vec::new()
            }
            (Event::Stop, Phase::Idle | Phase::BackingOff { .. }) => self.rest(Phase::Stopped),
            (Event::Restart, Phase::Running { .. }) => self.ask_to_stop(Then::Start, now),
            (Event::Restart, Phase::BackingOff { .. } | Phase::Stopped | Phase::Failed) => {
                self.streak = 0;
                self.start(now)
            }
            // Whatever else comes, comes too late to matter.
            _ => Vec::new(),
        }
    }

    fn start(&mut self, now: Duration) -> Vec<Effect> {
        self.phase = Phase::Running { since: now };
        vec![Effect::Start]
    }

    /// Nothing of the old tree may be there when the new one starts.
    fn and_start(&mut self, now: Duration) -> Vec<Effect> {
        self.phase = Phase::Running { since: now };
        vec![Effect::KillTree, Effect::Start]
    }

    fn rest(&mut self, phase: Phase) -> Vec<Effect> {
        self.phase = phase;
        vec![Effect::KillTree]
    }

    fn ask_to_stop(&mut self, then: Then, now: Duration) -> Vec<Effect> {
        self.phase = Phase::Stopping { kill_at: now + self.policy.stop_grace, then };
        vec![Effect::AskToStop]
    }

    /// `since` is when it was started, or when it broke its limit.
    fn ended(
        &mut self,
        again: bool,
        well: bool,
        since: Duration,
        now: Duration,
        jitter: f64,
    ) -> Vec<Effect> {
        if !again {
            return self.rest(if well { Phase::Stopped } else { Phase::Failed });
        }
        if self.policy.max_restarts.is_some_and(|max| self.restarts >= max) {
            return self.rest(Phase::Failed);
        }
        self.restarts += 1;
        self.streak += 1;
        if self.streak == 1 {
            return self.and_start(now);
        }
        let doubled = FIRST_WAIT.saturating_mul(1 << (self.streak - 2).min(16)).min(LONGEST_WAIT);
        // From three quarters of it to all of it.
        let until = since + doubled.mul_f64(0.75 + 0.25 * jitter.clamp(0.0, 1.0));
        if until <= now {
            return self.and_start(now);
        }
        self.phase = Phase::BackingOff { until };
        vec![Effect::KillTree]
    }
}

#[cfg(test)]
mod tests;
