//! What a call does to the machine, written down before it is done.
//!
//! A journal is a file of frames ([`frame`]): what the call is, then for each effect an intent and,
//! once it was done, how that ended. An intent holds what is needed to take the effect back, and what
//! it replaces is kept beside the journal: not copied, but by its old inode (see `tree::keep`).
//! Whoever finds a journal without an end knows that its call was cut off.
//!
//! It is synced at barriers only: before the first effect, before what nobody can take back, before a
//! release is flipped, and at the end. The agent's own death loses nothing that was written, since
//! the kernel has it. After a loss of power, effects behind the last barrier may have left no trace;
//! a reader is told where that was.

mod expected;
mod frame;
mod ledger;
mod medium;
mod plan;
mod record;
#[cfg(test)]
mod tests;

use cerebro_model::Effect;
pub(crate) use expected::Expected;
pub(crate) use frame::{Chain, frame};
pub use frame::{End, Frames, read};
pub(crate) use ledger::{AT_END, Ledger, OpenMedium, Writer, files, now};
pub use medium::{FileMedium, Medium};
pub(crate) use plan::Planning;
pub use record::{Begin, Moment, Record, Signature, Stamp};

use std::path::{Path, PathBuf};

/// The file of a journal, in its call's directory.
pub(crate) const FILE: &str = "journal";

/// The directory of what effects replaced, in its call's directory.
pub(crate) const KEPT: &str = "kept";

/// The journal of a call whose directory this is.
pub(crate) fn file(directory: &Path) -> PathBuf {
    directory.join(FILE)
}

/// What one call did, as its journal tells.
#[derive(Debug, Clone)]
pub struct Journal {
    /// What was read, oldest first.
    pub records: Vec<Record>,
    /// How the file ends.
    pub end: End,
}

impl Journal {
    /// Reads the journal of a call from its directory; none if nothing was written: then there was
    /// no effect.
    pub fn open(directory: &Path) -> std::io::Result<Option<Self>> {
        match std::fs::read(file(directory)) {
            Ok(bytes) => Ok(Some(Self::parse(&bytes))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads what is in a journal's file: all that is whole.
    pub fn parse(bytes: &[u8]) -> Self {
        let Frames { frames, mut end } = read(bytes);
        let mut records = Vec::new();
        for (at, frame) in frames {
            match serde_json::from_slice(frame) {
                Ok(record) => records.push(record),
                Err(error) => {
                    end = End::Torn { at, why: format!("a record that cannot be read: {error}") };
                    break;
                }
            }
        }
        Self { records, end }
    }

    /// The effects, each with how it ended, in their order.
    pub fn effects(&self) -> Vec<Entry<'_>> {
        let mut entries: Vec<Entry<'_>> = Vec::new();
        for record in &self.records {
            match record {
                Record::Intent { n, call, effect, moment, at } => {
                    let (call, at) = (*call, *at);
                    entries.push(Entry {
                        n: *n,
                        call,
                        effect,
                        moment,
                        at,
                        done: None,
                        undone: None,
                    });
                }
                Record::Done { n, .. } => {
                    if let Some(entry) = entries.iter_mut().find(|entry| entry.n == *n) {
                        entry.done = Some(record);
                    }
                }
                Record::Undone { n, .. } => {
                    if let Some(entry) = entries.iter_mut().find(|entry| entry.n == *n) {
                        entry.undone = Some(record);
                    }
                }
                _ => {}
            }
        }
        entries
    }

    /// What the call was.
    pub fn begin(&self) -> Option<&Begin> {
        self.records.iter().find_map(|record| match record {
            Record::Begin(begin) => Some(begin),
            _ => None,
        })
    }

    /// Whether the call came to an end, or its effects were taken back.
    pub fn is_closed(&self) -> bool {
        self.records
            .iter()
            .any(|record| matches!(record, Record::End { .. } | Record::RolledBack { .. }))
    }

    /// What was under way when the machine was switched off, if it runs in the boot `now`: then what was
    /// written behind the last barrier may be missing, from the journal and from the files.
    pub fn switched_off(&self, now: &str) -> Option<&'static str> {
        let mut doing = None;
        for record in &self.records {
            match record {
                Record::Begin(begin) => doing = Some((begin.boot.as_str(), "the call was made")),
                Record::Undoing { boot, .. } => doing = Some((boot, "it was taken back")),
                Record::End { .. } | Record::RolledBack { .. } => doing = None,
                _ => {}
            }
        }
        doing.filter(|(boot, _)| !boot.is_empty() && *boot != now).map(|(_, what)| what)
    }

    /// Whether its effects were taken back to the end.
    pub fn is_rolled_back(&self) -> bool {
        self.records.iter().any(|record| matches!(record, Record::RolledBack { .. }))
    }
}

/// An effect of a journal, and what became of it.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Its number in the journal.
    pub n: u32,
    /// The number of the call that it was part of.
    pub call: u32,
    /// What it is.
    pub effect: &'a Effect,
    /// What is needed to take it back, beside that.
    pub moment: &'a Moment,
    /// When it was begun: microseconds since 1970.
    pub at: i64,
    /// How it ended, a [`Record::Done`]; none if nobody lived to tell.
    pub done: Option<&'a Record>,
    /// How it was taken back, a [`Record::Undone`]; none if it was not.
    pub undone: Option<&'a Record>,
}
