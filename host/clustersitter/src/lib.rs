//! The cluster sitter: the controller.
//!
//! - [`settings`] is the command line, the environment and the settings file; `main` wires everything and waits.
//!   [`machines`] and [`names`] open what they say, [`settings_command`] tries it out.
//! - [`cluster`] holds the state: what the store keeps, and what was heard since the start. Every
//!   change goes through one commit, with its events.
//! - [`executor`] is one task: it snapshots the state, asks the planner, and carries out what that
//!   decides, intent first. Effects in the world run beside it, so that none holds it up.
//!   [`sweep`] looks now and then for machines that are there twice.
//! - [`decisions`] is the log of what was decided, with all that it went by: found, and planned again.
//!   [`decisions_command`] does that from beside.
//! - `agent` asks agents for somebody who asked: plans, what recipes did, who wrote what.
//! - [`store_command`] looks after the store from beside: checks, backups, queries.
//! - [`http`] is the API, one file per resource; [`page`] the web page.
//!
//! What time it is comes from one [`clock`], and who looks at agents is one [`probe::Probing`], so that a
//! whole cluster can run under simulated time.
//!
//! The executor wakes on every change (`Cluster::changed`) and on a tick; agents' blocking queries
//! wake on the same.

mod agent;
pub mod amazon;
pub mod clock;
pub mod cluster;
pub mod decisions;
pub mod decisions_command;
#[cfg(debug_assertions)]
pub mod die;
pub mod executor;
pub mod http;
pub mod machines;
pub mod names;
pub mod page;
pub mod probe;
pub mod programs;
mod records;
pub mod serve;
pub mod settings;
pub mod settings_command;
pub mod store_command;
pub mod sweep;
