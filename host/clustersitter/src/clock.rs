//! What time it is: the wall clock's word, or that of a simulation.

use cerebro_model::Timestamp;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

/// A clock.
pub trait Clock: Send + Sync {
    /// The present, as people see it: it may be set, and jump.
    fn now(&self) -> Timestamp;

    /// A time that nobody can set, from whatever beginning.
    fn monotonic(&self) -> Duration;
}

/// The machine's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }

    fn monotonic(&self) -> Duration {
        static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
        BEGIN.elapsed()
    }
}
