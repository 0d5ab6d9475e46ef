//! The provider by the real SDK: against EC2 as it behaves, through a proxy that breaks calls, and against moto.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod check;
mod crashes;
mod faults;
mod life;
mod moto;
mod refusals;
mod room;
mod world;
