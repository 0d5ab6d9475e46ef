//! The provider by the real SDK: against EC2 as it behaves, through a proxy that breaks calls, and against moto.

mod check;
mod crashes;
mod faults;
mod life;
mod moto;
mod refusals;
mod room;
mod world;
