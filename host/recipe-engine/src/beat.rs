//! Calls that are due at about the same time begin together: then the machine wakes up once for all
//! of them, and what they share is in the processor's caches.

use std::sync::OnceLock;
use std::time::Duration;
use tokio::time::Instant;

/// From one such moment to the next. A thousand checks each second take a third of the CPU time that
/// they take when each wakes the machine for itself; `cargo xtask bench recipes` tells.
const BEAT: Duration = Duration::from_millis(20);

/// The first moment at or after `due` at which calls of this process begin together.
pub fn beat(due: Instant) -> Instant {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let first = *FIRST.get_or_init(Instant::now);
    first + rounded_up(due.saturating_duration_since(first))
}

fn rounded_up(time: Duration) -> Duration {
    let beats = time.as_nanos().div_ceil(BEAT.as_nanos());
    // In u32 there is room for more than a year of them; later ones are not rounded.
    u32::try_from(beats).map_or(time, |beats| BEAT * beats)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_within_a_beat_begins_at_its_end() {
        let millis = Duration::from_millis;
        let given = [0, 1, 19, 20, 21, 40].map(|time| rounded_up(millis(time)));
        assert_eq!(given, [0, 20, 20, 20, 40, 40].map(millis));
        let century = Duration::from_secs(100 * 365 * 86_400);
        assert_eq!(rounded_up(century), century);
        let due = Instant::now();
        assert!(beat(due) >= due && beat(due) <= due + BEAT);
    }
}
