//! Choices that can be repeated: SplitMix64 (Steele, Lea and Flood, 2014).

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

pub struct Random(u64);

/// A seed that differs from run to run.
pub fn seed() -> u64 {
    RandomState::new().hash_one(0) >> 16
}

impl Random {
    pub fn new(seed: u64) -> Self {
        // Neighbouring seeds would make sequences that follow each other.
        Self(seed.wrapping_mul(0xD134_2543_DE82_EF95))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Spins for up to so many microseconds: sleeping is not that exact.
    pub fn pause(&mut self, micros: u64) {
        let end = Instant::now() + Duration::from_micros(self.below(micros));
        while Instant::now() < end {
            std::hint::spin_loop();
        }
    }
}
