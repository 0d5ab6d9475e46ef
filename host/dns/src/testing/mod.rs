//! For tests, here and of who uses this crate: names in memory, and what every provider has to pass.

mod contract;
mod memory;

pub use contract::{Outside, contract};
pub use memory::{Asked, Call, Fault, MemoryDns, Moment};
