//! The clocks. Decisions are made by the first; the second is for people.

use nix::time::{ClockId, clock_gettime};
use std::time::{Duration, SystemTime};

/// Since the machine booted, suspension included: what a process's start is counted from, and what
/// nobody can set.
pub fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

/// Microseconds since 1970.
pub fn wall_micros() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// From 0 to 1. Spreading restarts needs no better randomness than a clock's last digits.
pub fn jitter() -> f64 {
    f64::from(since_boot().subsec_nanos() % 1000) / 1000.0
}
