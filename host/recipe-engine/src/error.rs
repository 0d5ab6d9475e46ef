//! What goes wrong, told apart.

use crate::logbook::{LogLine, cut, plain};
use crate::secrets::Secrets;
use cerebro_model::{ComponentKind, Digest};
use cerebro_recipe_inspect::{InspectError, NotGranted};
use std::path::PathBuf;
use std::time::Duration;

/// Bytes of what a component says of its failure.
const LONGEST: usize = 64 << 10;

/// The engine could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The directory for compiled components cannot be used.
    #[error("make the directory `{}` for compiled components", .path.display())]
    Cache {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others could put code of theirs there.
    #[error(
        "`{}` is open to other users, who could put code there that would then run as this one; \
         remove it, and it is made anew",
        .0.display()
    )]
    CacheNotPrivate(PathBuf),
    /// The platform cannot run components.
    #[error("start the WebAssembly engine: {0}")]
    Unsupported(String),
}

/// A component could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The bytes are not those that were meant.
    #[error("the component's digest is `{found}`, not `{expected}`: fetch it again")]
    WrongDigest {
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// It is nothing that Cerebro can run.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// The compiler refused it.
    #[error("compile the component `{digest}`: {message}")]
    Refused {
        /// The component.
        digest: Digest,
        /// What the compiler said.
        message: String,
    },
}

/// A call that did not end well, with the end of its log.
#[derive(Debug, thiserror::Error)]
#[error("{failure}")]
pub struct RunError {
    /// What happened.
    pub failure: Failure,
    /// The last lines that the component wrote, oldest first.
    pub log: Vec<LogLine>,
}

/// How a call can fail.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The component needs more than the job grants; it did not run.
    #[error(transparent)]
    NotGranted(#[from] NotGranted),
    /// It is for something else; it did not run.
    #[error("this component is a {is}, and a {wanted} is needed here")]
    WrongKind {
        /// What it is.
        is: ComponentKind,
        /// What it should be.
        wanted: ComponentKind,
    },
    /// It was built against other interfaces; it did not run.
    #[error(
        "the component does not fit this Cerebro, which has `cerebro:recipe@0.1.0`; build it \
         against the `wit` directory of this release: {message}"
    )]
    Incompatible {
        /// Where it differs.
        message: String,
    },
    /// All that components run in was in use, again and again; it did not run.
    #[error("the machine has run as many components as it can at a time for {after:?}: {message}")]
    Crowded {
        /// How long it was tried.
        after: Duration,
        /// What there is too little of.
        message: String,
    },
    /// It broke down.
    #[error("the component crashed: {message}")]
    Trapped {
        /// Its panic message, or the trap's.
        message: String,
        /// Where, innermost first, as far as its names were kept.
        backtrace: Vec<String>,
    },
    /// It took too long.
    #[error("the component was ended after {after:?}, which is all the time it has")]
    TimedOut {
        /// The time it had.
        after: Duration,
    },
    /// It wanted too much memory.
    #[error("the component was ended for wanting more than {} MiB of memory", .limit >> 20)]
    OutOfMemory {
        /// What it may have, in bytes.
        limit: usize,
    },
    /// It ran to its end, and what was then to be done failed. That is kept, and done at the end of
    /// the next call that succeeds.
    #[error("at the end: {message}")]
    AtEnd {
        /// What went wrong.
        message: String,
    },
    /// It ran to its end and said that it failed.
    #[error("{message}")]
    Returned {
        /// What it said.
        message: String,
    },
}

impl Failure {
    /// The same as it may be told.
    pub(crate) fn told(mut self, secrets: &Secrets) -> Self {
        if let Self::Trapped { message, .. }
        | Self::AtEnd { message }
        | Self::Returned { message } = &mut self
        {
            *message = told(message, secrets);
        }
        self
    }
}

/// What a component says, as it may be told: without any secret in its words, not endless, and
/// without what a terminal would obey.
pub(crate) fn told(said: &str, secrets: &Secrets) -> String {
    let blotted = secrets.blot(said);
    plain(&cut(blotted.as_deref().unwrap_or(said), LONGEST), |c| c == '\n').into_owned()
}
