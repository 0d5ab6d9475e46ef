//! The machine's own tools: package manager, service manager, and what changes users. They are the
//! host's doing, not the component's, so that no grant of commands is asked for.

use super::Scope;
use super::command::{Outcome, plain};
use crate::bindings::interfaces::types::{Change, Error};
use crate::logbook::{LogLine, Logbook};
use crate::system::Argv;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{Mutex, MutexGuard};

/// One such change at a time on a machine, as the tools themselves would have it.
static TURN: Mutex<()> = Mutex::const_new(());

impl Scope {
    /// Waits until nobody else of this process changes the machine by its tools.
    pub(super) async fn turn(&self) -> MutexGuard<'static, ()> {
        TURN.lock().await
    }

    /// The machine's root. Where that is a directory the tools would change another machine: the one
    /// that it is on.
    pub(super) fn own_machine(&self, what: &str) -> Result<PathBuf, Error> {
        let root = self.call.root.clone();
        match root.parent() {
            None => Ok(root),
            Some(_) => Err(Error::Unsupported(format!(
                "this machine is the directory `{}` of another one, whose {what} are not its own",
                root.display()
            ))),
        }
    }

    /// Asks a tool something: what it says is not for the log.
    pub(super) async fn question(&self, argv: Argv) -> Result<Outcome, Error> {
        let nobody = Arc::new(|_: LogLine| ());
        let quiet = Arc::new(Logbook::new(nobody, 0, 0, self.secrets.clone()));
        self.run_in_plain_words(argv, &quiet).await
    }

    async fn run_in_plain_words(&self, argv: Argv, log: &Arc<Logbook>) -> Result<Outcome, Error> {
        let mut spec = plain(argv);
        spec.env = [("LC_ALL", "C"), ("DEBIAN_FRONTEND", "noninteractive")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
        self.run_tool(&spec, log).await
    }

    /// Runs a tool that is to succeed.
    pub(super) async fn tell(&self, argv: Argv) -> Result<(), Error> {
        self.run_in_plain_words(argv, &self.log).await?.ensure_success().map(drop)
    }
}

/// What changed between two looks.
pub(super) fn changed<T: PartialEq>(before: Option<&T>, after: Option<&T>) -> Change {
    match (before, after) {
        (before, after) if before == after => Change::Unchanged,
        (None, Some(_)) => Change::Created,
        (Some(_), None) => Change::Removed,
        _ => Change::Updated,
    }
}
