//! One process under watch, as a pure state machine.
//!
//! [`Watch::step`] takes an event and answers with effects; whoever performs them (the task
//! sitter) tells what came of it by further events. `now` is a monotonic time, so that a wall
//! clock that jumps changes nothing.

mod constraint;
mod policy;
mod watch;

pub use constraint::{Action, Constraint, Finding, Rule, Rules};
pub use policy::{BackOff, Flap, Policy};
pub use watch::{Past, Watch};

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// By itself.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// By the kernel, for want of memory.
    OutOfMemory,
    /// Unseen: nobody who could have known was there.
    Unknown,
    /// It could not be started at all.
    NotStarted(String),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(signal) => write!(f, "was ended by signal {signal}"),
            Self::OutOfMemory => f.write_str("was killed by the kernel at its memory limit"),
            Self::Unknown => f.write_str("ended while nobody watched"),
            Self::NotStarted(why) => write!(f, "could not be started: {why}"),
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Watching begins; nothing runs.
    Begin,
    /// A process of an earlier watcher was found running.
    Adopted {
        /// When it was started.
        since: Duration,
        /// Whether it had said that it is ready.
        ready: bool,
    },
    /// The process that was started, or found, has ended.
    Ended(Exit),
    /// Time has passed.
    Tick,
    /// The process says that it is ready.
    Ready,
    /// The process says that it is well.
    Alive,
    /// This share of the limit is used, 1 being all of it.
    Measured(Constraint, f64),
    /// It should start, if it does not run.
    Start,
    /// It should stop.
    Stop,
    /// It should stop and start again.
    Restart,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Start the process.
    Start,
    /// Ask the process to stop.
    AskToStop,
    /// End a process that no longer says that it is well, so that it leaves a trace of why.
    Abort,
    /// Kill whatever is left of the tree.
    KillTree,
    /// Tell of this.
    Tell(Finding),
}

/// Where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Nothing has happened yet.
    Idle,
    /// It runs.
    Running {
        /// Since when.
        since: Duration,
        /// Whether it is ready.
        ready: bool,
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
    Failed(Reason),
}

/// What follows a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Nothing.
    Rest,
    /// It starts again, because that was asked for.
    Start,
    /// It broke a limit, or its word: `restart` decides.
    Violation(Reason),
    /// It broke a limit, and stays down.
    GiveUp(Reason),
}

/// Why it was ended, or given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It ended, and is not to be started again.
    Ended,
    /// It was started again as often as it may.
    MaxRestarts,
    /// It was started again too often in too short a time.
    Flapping,
    /// It broke a limit.
    Violation(Constraint),
    /// It was not ready in time.
    NotReady,
    /// It did not say in time that it is well.
    Watchdog,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("it ended, and is not to be started again"),
            Self::MaxRestarts => f.write_str("it was started again as often as it may"),
            Self::Flapping => {
                f.write_str("it was started again too often in too short a time (flapping)")
            }
            Self::Violation(constraint) => write!(f, "it broke its limit of `{constraint}`"),
            Self::NotReady => f.write_str("it was not ready in time"),
            Self::Watchdog => f.write_str("its watchdog heard nothing of it in time"),
        }
    }
}

#[cfg(test)]
mod tests;
