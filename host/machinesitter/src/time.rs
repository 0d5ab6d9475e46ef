//! Clocks, and what spreads waits.

use cerebro_model::Timestamp;
use nix::time::{ClockId, clock_gettime};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, SystemTime};

/// The wall clock: for people and the controller, never for a decision.
pub fn now() -> Timestamp {
    SystemTime::now().into()
}

/// A moment that a task sitter gave, in microseconds since 1970.
pub fn of_micros(micros: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(micros / 1000).unwrap_or(i64::MAX))
}

/// Since the machine booted: goes on while it sleeps, and is never set.
pub fn since_boot() -> Duration {
    // The clock is always there: Linux 2.6.39.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default()
}

/// From 0 to 1. Spreading waits needs no better randomness than that of hash tables.
pub fn jitter() -> f64 {
    (RandomState::new().build_hasher().finish() % 1000) as f64 / 1000.0
}

/// How long to wait after so many failures in a row: from 100 ms up to 5 s, the upper half of it
/// spread by `jitter`.
pub fn back_off(failures: u32, jitter: f64) -> Duration {
    let longest = Duration::from_millis(100 << failures.min(6)).min(Duration::from_secs(5));
    longest.mul_f64(0.5 + jitter / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound() {
        assert_eq!(back_off(0, 0.0), Duration::from_millis(50));
        assert_eq!(back_off(3, 1.0), Duration::from_millis(800));
        assert_eq!(back_off(u32::MAX, 1.0), Duration::from_secs(5));
    }
}
