//! What has changed since it was written: by the stat signature first, and by the content only where
//! that says nothing.

use crate::bindings::interfaces::types::Error;
use crate::host::words;
use crate::journal::{Entry, Journal, Ledger, Record};
use crate::tree::Tree;
use cerebro_model::Allowed;
use std::path::Path;
use std::sync::Arc;

/// The files of a machine, to be compared with what journals say that they were left as.
pub struct Drift(Tree);

impl Drift {
    /// The machine whose root this is.
    pub fn new(root: &Path) -> Self {
        let (allowed, ledger) = (Allowed::new(Arc::default(), None), Arc::new(Ledger::off()));
        Self(Tree::new(root, allowed, Arc::default(), ledger))
    }

    /// How the path of an effect differs from what that left; none if it does not, or if it is no
    /// effect on a path. `journal` is the one that it is of, in `directory`; what is in a directory that
    /// was unpacked may have been changed by a later effect, which `is_ours` says of a path.
    pub fn of(
        &self,
        journal: &Journal,
        directory: &Path,
        entry: &Entry<'_>,
        is_ours: impl Fn(&str) -> bool,
    ) -> std::io::Result<Option<String>> {
        let (took, left) = match entry.done {
            Some(Record::Done { took, left, error: None, .. }) => {
                (i64::try_from(*took).unwrap_or(0), *left)
            }
            // It was not done, or nobody knows.
            _ => return Ok(None),
        };
        let id = journal.begin().map_or("", |begin| begin.id.as_str());
        self.0
            .drift(entry.effect, (directory, id, entry.n), left, entry.at + took, is_ours)
            .map_err(|error: Error| std::io::Error::other(words(&error).to_owned()))
    }
}
