//! How many calls an account may make.

use std::time::Duration;

/// A token bucket, as AWS documents its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// How many tokens it holds.
    pub size: f64,
    /// How many come back a second.
    pub per_second: f64,
    taken: f64,
    at: Duration,
}

impl Bucket {
    /// A full one.
    pub fn new(size: u32, per_second: f64) -> Self {
        Self { size: f64::from(size), per_second, taken: 0.0, at: Duration::ZERO }
    }

    /// Whether there is a token for one more call.
    pub(crate) fn take(&mut self, now: Duration) -> bool {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.taken = (self.taken - passed * self.per_second).max(0.0);
        let there_is = self.taken + 1.0 <= self.size;
        if there_is {
            self.taken += 1.0;
        }
        there_is
    }
}
