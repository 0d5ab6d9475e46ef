//! Where machines come from.
//!
//! [`MachineProvider`] is the one door: the controller creates, describes, lists and destroys
//! machines through it, always by an id that it recorded before. [`LocalProvider`] makes machines
//! on this host: each is a tree of processes below an init of its own (the binary `localmachine`,
//! module [`init`]), which keeps the machine's agent running and outlives the controller.
//!
//! All that a cluster leaves on the host is written down below its data directory before it is
//! made, so that [`purge`] can end it from there alone.

pub mod init;
mod intent;
mod isolation;
mod local;
mod provider;

pub use intent::Intent;
pub use isolation::{Isolation, Piece, beyond_host, host_capacity};
pub use local::{AGENT_PORT, LocalConfig, LocalProvider, Network, purge};
pub use provider::{Calls, CreateMachine, MachineProvider, Made, Presence, ProviderError};
