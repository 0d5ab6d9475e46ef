//! What time it is, for a service that is not real.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time since the epoch.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// The machine's own.
pub fn real_clock() -> Clock {
    Arc::new(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// A clock that stands still until it is told otherwise.
#[derive(Debug, Clone)]
pub struct Simulated(Arc<AtomicU64>);

impl Simulated {
    /// It shows this many seconds since the epoch.
    pub fn at(seconds: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seconds.saturating_mul(1000))))
    }

    /// Lets time pass, in whole milliseconds.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.0.fetch_add(by, Ordering::SeqCst);
    }

    /// To give to a service.
    pub fn clock(&self) -> Clock {
        let shown = Arc::clone(&self.0);
        Arc::new(move || Duration::from_millis(shown.load(Ordering::SeqCst)))
    }
}
