//! The agent: makes what the controller desires true on one machine, and keeps it true.
//!
//! [`run`] wires it up. What goes where:
//! - `link` talks to the controller: beats, asks what should be, reports what is.
//! - `reconcile` compares both with [`cerebro_planner::machine::plan`] and performs each action in
//!   a task of its own; `recipes` and `tasks` are its hands.
//! - `tasks` follows one task sitter per instance over its socket, and starts another when it
//!   dies; `checks` runs the health checks of each process.
//! - `agent` holds the table of instances, which all of them read and change, and `http` shows it.
//!
//! What holds: a task is no child of the agent, so no end of the agent ends a task. With the
//! controller gone, the last desired state stands. A controller of a lower term than one that was
//! heard is not obeyed.

mod agent;
mod blobs;
mod checks;
mod disk;
mod events;
mod http;
mod link;
mod logs;
mod observe;
mod recipes;
mod reconcile;
mod run;
mod settings;
mod spec;
mod stats;
mod status;
mod table;
mod tasks;
mod time;

pub use run::{AgentError, run};
pub use settings::Settings;
