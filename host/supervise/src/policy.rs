//! What the user wants to happen.

use crate::constraint::Rules;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// When a process is started again, ended, and given up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// The distance between starts that follow each other.
    #[serde(default)]
    pub back_off: BackOff,
    /// So many restarts, in so short a time, that it is given up.
    #[serde(default)]
    pub flap: Option<Flap>,
    /// How long it has to stop when asked, before its tree is killed.
    pub stop_grace: Duration,
    /// How long it has to become ready; none where it need not say so.
    #[serde(default)]
    pub ready_within: Option<Duration>,
    /// How often it has to say that it is well; none where it need not.
    #[serde(default)]
    pub watchdog: Option<Duration>,
    /// What it may use, and what follows if it uses more.
    #[serde(default)]
    pub rules: Rules,
}

impl Default for Policy {
    /// Kept alive for ever, without limits.
    fn default() -> Self {
        Self {
            ensure_alive: true,
            allow_exit: false,
            restart: true,
            max_restarts: None,
            back_off: BackOff::default(),
            flap: None,
            stop_grace: Duration::from_secs(10),
            ready_within: None,
            watchdog: None,
            rules: Rules::default(),
        }
    }
}

/// The distance between starts. A process that had settled starts again at once when it ends, and
/// so does the first that ends before it has. From the second of those in a row on, one start keeps
/// `first` from the last, and the distance doubles with each, up to `longest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackOff {
    /// The first distance.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
    /// A process that lived this long has settled: its end begins no row.
    pub settle: Duration,
}

impl Default for BackOff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(100),
            longest: Duration::from_secs(30),
            settle: Duration::from_secs(10),
        }
    }
}

impl BackOff {
    /// The distance of the `nth` restart in a row, counted from 1. `jitter`, from 0 to 1, takes up
    /// to a quarter off, so that many tasks that died together do not start together.
    pub(crate) fn distance(&self, nth: u32, jitter: f64) -> Duration {
        let Some(doublings) = nth.checked_sub(2) else { return Duration::ZERO };
        let doubled = self.first.saturating_mul(1 << doublings.min(20)).min(self.longest);
        doubled.mul_f64(1.0 - 0.25 * jitter.clamp(0.0, 1.0))
    }
}

/// More than `restarts` within `window` are too many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flap {
    /// Restarts that are not too many yet.
    pub restarts: u32,
    /// The time in which they are counted.
    pub window: Duration,
}
