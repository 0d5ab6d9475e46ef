//! Simulated time: tokio's paused clock, which jumps to the next moment at which something is to happen.

use cerebro_clustersitter::clock::Clock;
use cerebro_model::Timestamp;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

/// When every simulation begins: 2026-01-01, in milliseconds since 1970.
const BEGIN: i64 = 1_767_225_600_000;

/// The controller's wall clock, which may be wrong.
pub struct SimulatedClock {
    begin: Instant,
    /// How far it is ahead of the world's, in milliseconds.
    ahead: AtomicI64,
}

impl SimulatedClock {
    /// A right one, that begins now.
    pub fn new() -> Self {
        Self { begin: Instant::now(), ahead: AtomicI64::new(0) }
    }

    /// How long the world has been there.
    pub fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    /// The moment at which the world will have been there for so long.
    pub fn at(&self, elapsed: Duration) -> Instant {
        self.begin + elapsed
    }

    /// What one shows that is never wrong.
    pub fn right(&self) -> Timestamp {
        let elapsed = i64::try_from(self.elapsed().as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(BEGIN.saturating_add(elapsed))
    }

    /// Sets it ahead, or back.
    pub fn set_ahead(&self, millis: i64) {
        self.ahead.store(millis, Relaxed);
    }
}

impl Clock for SimulatedClock {
    fn monotonic(&self) -> Duration {
        self.elapsed()
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.right().millis().saturating_add(self.ahead.load(Relaxed)))
    }
}
