//! A whole cluster in one process, under simulated time.
//!
//! The controller is the real one: its state, its planner, its executor and its API; agents decide by the real
//! planner of machines. What they run on is simulated, and breaks: `provider` makes machines, `store` keeps what is
//! committed, `agent` runs tasks that take their time, [`faults`] says what goes wrong and when. All chance comes from
//! a seed, and all time from tokio's paused clock, which jumps over what is quiet: so a day takes a second, and a seed
//! that fails does so again.
//!
//! [`run`](run::run) runs one seed, `check` says what must always hold.

mod agent;
#[cfg(feature = "aws")]
pub mod amazon;
mod check;
mod clock;
mod cloud;
mod controller;
mod dns;
mod effects;
pub mod faults;
mod operator;
mod provider;
pub mod run;
mod store;
#[cfg(test)]
mod tests;
mod world;

/// Tests run many seeds too: see the program.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
