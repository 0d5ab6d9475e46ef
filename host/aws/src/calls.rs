//! How calls are made: in turn, within a time, and counted.

use crate::{Bucket, Failure, Kind, Speed};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long is waited for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For one try of a call: a connection that hangs ends then.
    pub attempt: Duration,
    /// For a call, with all its tries and the waits between.
    pub call: Duration,
    /// How many tries.
    pub attempts: u32,
    /// The first wait between two tries, at most: a part of it, drawn by lot; it doubles each time.
    pub first_wait: Duration,
    /// The longest.
    pub longest_wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(8),
            call: Duration::from_secs(25),
            attempts: 4,
            // Tries that follow each other within milliseconds meet with the same fault.
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(5),
        }
    }
}

/// Calls that AWS throttles together.
#[derive(Debug)]
pub struct Lane {
    bucket: Mutex<Bucket>,
    opened: Instant,
}

impl Lane {
    /// One with its burst before it.
    pub fn new(speed: Speed) -> Self {
        Self { bucket: Mutex::new(Bucket::new(speed, Duration::ZERO)), opened: Instant::now() }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Bucket, Duration) -> T) -> T {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut bucket, self.opened.elapsed())
    }
}

/// How many calls there were, by their name and how they ended: `done`, `given-up` (for nobody waited any more), or
/// what [`Kind::word`] says.
pub type Counts = BTreeMap<(&'static str, &'static str), u64>;

/// Makes calls.
#[derive(Debug)]
pub struct Calls {
    patience: Patience,
    counts: Mutex<Counts>,
}

impl Calls {
    /// None was made yet.
    pub fn new(patience: Patience) -> Self {
        Self { patience, counts: Mutex::default() }
    }

    /// How long is waited.
    pub fn patience(&self) -> Patience {
        self.patience
    }

    /// Makes one, when it is its turn in its lane.
    pub async fn make<T>(
        &self,
        call: &'static str,
        lane: &Lane,
        request: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut counted = Counted { calls: self, call, outcome: "given-up" };
        let within = self.patience.call;
        let Some(turn) = lane.with(|bucket, now| bucket.take(now, within)) else {
            let kind = Kind::Throttled;
            counted.outcome = "held-back";
            let message = format!(
                "it was not its turn within {} s, at the speed that AWS allows for",
                within.as_secs()
            );
            return Err(Failure { call, kind, code: None, message, request: None });
        };
        let answer = tokio::time::timeout(within, async {
            if !turn.is_zero() {
                tokio::time::sleep(turn).await;
            }
            request.await
        });
        let answer = answer.await.unwrap_or_else(|_| {
            Err(Failure::no_answer(call, format!("no answer within {} s", within.as_secs_f32())))
        });
        counted.outcome = match &answer {
            Ok(_) => "done",
            Err(failure) => failure.kind.word(),
        };
        match &answer {
            Err(failure) if failure.kind == Kind::Throttled => lane.with(Bucket::throttled),
            Err(failure) => tracing::debug!("{failure}"),
            Ok(_) => lane.with(|bucket, _| bucket.went_well()),
        }
        answer
    }

    /// All that were made until now.
    pub fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Counts a call when it ends, also one that nobody waits for any more.
struct Counted<'a> {
    calls: &'a Calls,
    call: &'static str,
    outcome: &'static str,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let mut counts = self.calls.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((self.call, self.outcome)).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls() -> (Calls, Lane) {
        let patience = Patience { call: Duration::from_millis(50), ..Patience::default() };
        (Calls::new(patience), Lane::new(Speed { burst: 2, per_second: 0.001 }))
    }

    #[tokio::test]
    async fn each_call_is_counted_by_how_it_ended() {
        let (calls, lane) = calls();
        let done: Result<u8, Failure> = calls.make("A", &lane, async { Ok(1) }).await;
        assert_eq!(done, Ok(1));
        let hangs = calls.make("B", &lane, std::future::pending::<Result<u8, _>>()).await;
        assert_eq!(hangs.unwrap_err().kind, Kind::NoAnswer);
        let held: Result<u8, _> =
            calls.make("A", &lane, async { unreachable!("it is not its turn") }).await;
        assert_eq!(held.unwrap_err().kind, Kind::Throttled);
        let expected = [(("A", "done"), 1), (("A", "held-back"), 1), (("B", "no-answer"), 1)];
        assert_eq!(calls.counts(), BTreeMap::from(expected));
    }

    #[tokio::test]
    async fn a_call_that_nobody_waits_for_is_counted_too() {
        let (calls, lane) = calls();
        {
            let call = calls.make("A", &lane, std::future::pending::<Result<u8, _>>());
            let soon = tokio::time::timeout(Duration::from_millis(1), call).await;
            assert!(soon.is_err());
        }
        assert_eq!(calls.counts(), BTreeMap::from([(("A", "given-up"), 1)]));
    }

    #[tokio::test]
    async fn what_aws_throttles_slows_the_lane_down() {
        let calls = Calls::new(Patience { call: Duration::ZERO, ..Patience::default() });
        let lane = Lane::new(Speed { burst: 100, per_second: 0.001 });
        let throttled = || async {
            let (call, code) = ("A", Some("Throttling".to_owned()));
            let (kind, message) = (Kind::Throttled, "Rate exceeded".to_owned());
            Err::<u8, _>(Failure { call, kind, code, message, request: None })
        };
        assert!(calls.make("A", &lane, throttled()).await.is_err());
        assert_eq!(calls.counts().get(&("A", "throttled")), Some(&1));
        let next: Result<u8, _> = calls.make("A", &lane, async { Ok(1) }).await;
        assert!(next.is_err(), "the burst that was left is not used");
    }
}
