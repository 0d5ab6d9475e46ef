//! The provider by the real SDK: against Route 53 as it behaves, through a proxy that breaks calls, and against moto.

mod faults;
mod life;
mod moto;
mod race;
mod refusals;
mod world;
