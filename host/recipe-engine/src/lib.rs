//! Compiles, links, limits and runs recipes and health checks: the only crate that knows wasmtime.
//!
//! [`Engine::compile`] turns an uploaded component into a [`Component`], once per digest;
//! [`Engine::deploy`], [`Engine::undeploy`] and [`Engine::check`] run it, each time in a fresh
//! instance with memory, time and log of its own. There is one module per WIT interface in `host`;
//! `tree` holds what touches files.
//!
//! What holds:
//! - To grant is to link: an interface that the job does not grant is not there for the component,
//!   and each call is checked against the grants again.
//! - No path leads out of the call's root or past its grants, by a link or otherwise; see `tree`.
//! - A call ends when its time is up, whether it computes or waits for the host, and takes its
//!   commands along.
//! - What is compiled is loaded only from a directory that nobody else can write, and only if it is
//!   what was stored there. It is compiled by a process of its own, which may fail; see `compiler`.
//!
//! Instances come from a pool, see `pool`. Recipes and checks have turns of their own in it, so that
//! no check waits for a deployment.

mod backtrace;
mod beat;
mod bindings;
mod cache;
mod call;
mod compiler;
mod diff;
mod drift;
mod engine;
mod epoch;
mod error;
mod host;
mod http;
mod journal;
mod kept;
mod limiter;
mod logbook;
mod memory;
mod part;
mod pool;
mod replay;
mod rollback;
mod run;
mod secrets;
mod system;
mod tape;
mod tree;

/// A number that nobody can guess.
fn random() -> std::io::Result<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(std::io::Error::from)?;
    Ok(u128::from_ne_bytes(bytes))
}

pub use beat::beat;
pub use call::{Agent, AgentError, Call, Context, Journaling, Limits, TaskStatus, TaskUsage};
pub use cerebro_recipe_inspect::{Inspection, NotGranted};
pub use compiler::{Compiler, compile_as_child};
pub use drift::Drift;
pub use engine::{Component, Engine};
pub use error::{CompileError, EngineError, Failure, RunError};
pub use journal::{
    Begin, End, Entry, FileMedium, Journal, Medium, Moment, Record, Signature, Stamp,
};
pub use kept::is_kept;
pub use logbook::{LogLevel, LogLine, LogSink};
pub use part::{Filling, Part};
pub use replay::{Replay, forget_call};
pub use run::{CheckReport, CheckStatus, Metric};
pub use tape::{Departure, Inputs, Question, Recording, RecordingError};
