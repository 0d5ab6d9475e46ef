//! How fast calls are made: a token bucket, like those by which AWS throttles, that learns of theirs.

use std::time::Duration;

/// The slowest that throttling makes us, as a share of the full speed.
const SLOWEST: f64 = 1.0 / 16.0;
/// What each call that went well gives back of the speed.
const RECOVERY: f64 = 1.0 / 32.0;

/// How many calls at once, and how many a second from then on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// At once.
    pub burst: u32,
    /// A second.
    pub per_second: f64,
}

/// A token bucket. It reads no clock: times are spans since one moment that its owner chose.
#[derive(Debug, Clone)]
pub struct Bucket {
    speed: Speed,
    /// Less than none where calls wait for theirs already.
    tokens: f64,
    at: Duration,
    /// The share of the speed that is used.
    share: f64,
}

impl Bucket {
    /// A full one.
    pub fn new(speed: Speed, now: Duration) -> Self {
        Self { speed, tokens: f64::from(speed.burst), at: now, share: 1.0 }
    }

    /// Takes the next token: how long to wait for it. Nothing is taken if that were longer than `patience`.
    pub fn take(&mut self, now: Duration, patience: Duration) -> Option<Duration> {
        self.fill(now);
        let lacking = (1.0 - self.tokens).max(0.0);
        let wait = Duration::try_from_secs_f64(lacking / self.rate()).unwrap_or(Duration::MAX);
        if wait > patience {
            return None;
        }
        self.tokens -= 1.0;
        Some(wait)
    }

    /// A call was throttled: somebody else uses up what we thought to be ours.
    pub fn throttled(&mut self, now: Duration) {
        self.fill(now);
        self.tokens = self.tokens.min(0.0);
        self.share = (self.share / 2.0).max(SLOWEST);
    }

    /// A call went through.
    pub fn went_well(&mut self) {
        self.share = (self.share + RECOVERY).min(1.0);
    }

    fn rate(&self) -> f64 {
        self.speed.per_second * self.share
    }

    fn fill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate()).min(f64::from(self.speed.burst));
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEED: Speed = Speed { burst: 3, per_second: 2.0 };
    const LONG: Duration = Duration::from_secs(60);

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_burst_is_free_and_what_follows_waits_its_turn() {
        let mut bucket = Bucket::new(SPEED, ms(0));
        let waits: Vec<_> = (0..5).map(|_| bucket.take(ms(0), LONG)).collect();
        assert_eq!(waits, [0, 0, 0, 500, 1000].map(|it| Some(ms(it))));
        assert_eq!(bucket.take(ms(1000), LONG), Some(ms(500)));
    }

    #[test]
    fn nothing_is_taken_by_whoever_does_not_wait() {
        let mut bucket = Bucket::new(Speed { burst: 1, per_second: 1.0 }, ms(0));
        assert_eq!(bucket.take(ms(0), ms(0)), Some(ms(0)));
        for _ in 0..10 {
            assert_eq!(bucket.take(ms(0), ms(999)), None);
        }
        assert_eq!(bucket.take(ms(0), ms(1000)), Some(ms(1000)));
    }

    #[test]
    fn throttling_slows_down_and_success_speeds_up_again() {
        let mut bucket = Bucket::new(SPEED, ms(0));
        bucket.throttled(ms(0));
        // The burst is gone, and a token takes a second rather than half of one.
        assert_eq!(bucket.take(ms(0), LONG), Some(ms(1000)));
        for _ in 0..100 {
            bucket.throttled(ms(0));
        }
        let slowest = bucket.take(ms(0), LONG).unwrap();
        assert!(slowest <= ms(16_000), "it never stands still: {slowest:?}");
        for _ in 0..100 {
            bucket.went_well();
        }
        let filled = ms(60_000);
        assert_eq!(bucket.take(filled, LONG), Some(ms(0)));
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_away() {
        let mut bucket = Bucket::new(Speed { burst: 1, per_second: 1.0 }, ms(10_000));
        assert_eq!(bucket.take(ms(10_000), LONG), Some(ms(0)));
        assert_eq!(bucket.take(ms(1), LONG), Some(ms(1000)));
    }
}
