//! The provider by the real SDK: against Route 53 as it behaves, through a proxy that breaks calls, and against moto.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod faults;
mod life;
mod moto;
mod race;
mod refusals;
mod world;
