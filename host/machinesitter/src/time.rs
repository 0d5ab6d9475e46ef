//! The clock, and what spreads waits.

use cerebro_model::Timestamp;
use std::time::{Duration, SystemTime};

/// The wall clock.
pub fn now() -> Timestamp {
    SystemTime::now().into()
}

/// From 0 to 1. Spreading waits needs no better randomness than the clock's last digits.
pub fn jitter() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    f64::from(since.subsec_nanos() / 7 % 1000) / 1000.0
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
