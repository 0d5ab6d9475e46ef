//! The init of a local machine: what the binary `localmachine` does.
//!
//! It runs as two processes. The *starter* holds the machine's lock, writes down who the init is,
//! and lays the network cable from outside. The *init* waits for that, goes into namespaces of its
//! own, starts the agent, and only then is let go; if the starter dies before, so does the init,
//! and nothing was made. Afterwards the starter is gone, and the machine lives until its init ends,
//! with every process in it.
//!
//! One thread, no runtime: it forks, and must be small.

mod agent;
mod files;
mod keeper;
mod line;
mod probe;
mod start;

use std::error::Error;
use std::path::Path;

pub use probe::probe;
pub use start::start;

/// What the starter says to the provider when the machine runs.
pub(crate) const READY: &str = "ready";

/// What the starter says to the provider when another holds the machine's lock.
pub(crate) const HELD: &str = "held";

/// Why a machine did not start.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}")]
pub struct InitError {
    doing: String,
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

impl InitError {
    /// The error with all its causes, on one line.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// An error with all its causes, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text.replace('\n', " ")
}

/// Wraps what went wrong with what was being done.
fn doing<E: Into<Box<dyn Error + Send + Sync>>>(
    doing: impl Into<String>,
) -> impl FnOnce(E) -> InitError {
    |source| InitError { doing: doing.into(), source: source.into() }
}

fn doing_with<E: Into<Box<dyn Error + Send + Sync>>>(
    verb: &str,
    path: &Path,
) -> impl FnOnce(E) -> InitError {
    doing(format!("{verb} `{}`", path.display()))
}
