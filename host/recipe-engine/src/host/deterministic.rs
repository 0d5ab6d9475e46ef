//! Random numbers and clocks of a call that is recorded, or played from its recording.

use super::Scope;
use crate::tape::Tape;
use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtxBuilder};

/// What they come from.
pub(super) struct Deterministic {
    scope: Arc<Scope>,
    seed: [u8; 32],
}

impl Deterministic {
    /// Those of a call, if anybody wants to have the same again.
    pub(super) fn of(scope: &Arc<Scope>) -> Option<Self> {
        scope.seed.map(|seed| Self { scope: scope.clone(), seed })
    }

    /// Has a component get its random numbers and times from here.
    pub(super) fn give(self, builder: &mut WasiCtxBuilder) {
        let stream = |stream| {
            let mut random = ChaCha20Rng::from_seed(self.seed);
            random.set_stream(stream);
            random
        };
        let mut first = [0; 16];
        first.copy_from_slice(&self.seed[..16]);
        builder
            .secure_random(stream(0))
            .insecure_random(stream(1))
            .insecure_random_seed(u128::from_le_bytes(first))
            .wall_clock(Clock { scope: self.scope.clone(), began: Instant::now() })
            .monotonic_clock(Clock { scope: self.scope, began: Instant::now() });
    }
}

struct Clock {
    scope: Arc<Scope>,
    began: Instant,
}

impl Clock {
    fn read(&self, is_wall: bool, now: impl FnOnce() -> u64) -> u64 {
        match &self.scope.tape {
            Tape::Off => now(),
            Tape::Recording(recorder) => {
                let now = now();
                recorder.clock(is_wall, now);
                now
            }
            Tape::Playing(player) => player.clock(is_wall),
        }
    }
}

impl HostWallClock for Clock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.read(true, || {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        }))
    }
}

impl HostMonotonicClock for Clock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        self.read(false, || u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

impl Scope {
    /// Whether the component may do something beyond what is recorded and planned: it may, where the
    /// call is made, and the recording says that it did.
    pub(super) fn may_go_out(&self, what: &str) -> bool {
        let why = format!("the component itself {what}, which nothing else can answer");
        match &self.tape {
            Tape::Playing(player) => {
                player.lost(self.ledger.call(), why);
                return false;
            }
            Tape::Recording(recorder) => recorder.lost(why.clone()),
            Tape::Off => {}
        }
        if let Some(plan) = self.ledger.plan() {
            plan.cut(why);
            return false;
        }
        true
    }
}
