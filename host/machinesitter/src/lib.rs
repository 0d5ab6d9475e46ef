//! The agent: makes what the controller desires true on one machine, and keeps it true.
//!
//! [`run`] wires it up. What goes where:
//! - `link` talks to the controller, if there is one: beats, asks what should be, reports what is.
//! - `reconcile` compares both with [`cerebro_planner::machine::plan`] and performs each action in
//!   a task of its own; `recipes` and `tasks` are its hands; `checks` asks each process how it is.
//! - `contact` looks, before and behind each recipe, whether that cut the machine off.
//! - `own` keeps the tasks that are the machine's own, and needs no controller.
//! - `follow` follows one task sitter per task over its socket, by way of `sitters`, and has another
//!   launched when it dies; a `witness` sees how a task ends meanwhile.
//! - `run_component` runs one component for `cerebro recipe run`, with no agent at all;
//!   `compile_component` compiles one, as a child of an agent.
//! - `machine` looks after the machine itself; `http` shows all of it, and takes what is asked.
//!
//! What holds: a task is no child of the agent, so no end of the agent ends a task. With the
//! controller gone, the last desired state stands. A controller of a lower term than one that was
//! heard is not obeyed.

mod agent;
mod argv;
mod blobs;
mod cache;
mod calls;
mod checks;
mod compile_component;
mod contact;
mod disk;
mod events;
mod follow;
mod for_component;
mod held;
mod http;
mod link;
mod logs;
mod machine;
mod observe;
mod own;
mod recipes;
mod reconcile;
mod replay_component;
mod run;
mod run_component;
mod settings;
mod sitters;
mod spec;
mod status;
mod table;
mod task_view;
mod tasks;
mod time;
mod witness;

pub use compile_component::main as compile_component;
pub use replay_component::main as replay_component;
pub use run::{AgentError, run};
pub use run_component::main as run_component;
pub use settings::{Arguments, JoinToken, Settings, SettingsError};
