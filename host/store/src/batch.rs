//! What a commit is made of, and how it can end.

use crate::key::KeyError;
use cerebro_model::Secret;

/// The right to commit: the term in which the lead was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence(pub(crate) u64);

impl Fence {
    /// The term. Agents refuse lower ones than they have seen.
    pub fn term(self) -> u64 {
        self.0
    }
}

/// A key with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The bytes.
    pub value: Vec<u8>,
    /// The revision of the commit that wrote it.
    pub revision: u64,
}

/// An event, as it was put into a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its number; the first is 1, and none is left out.
    pub seq: u64,
    /// The bytes.
    pub value: Vec<u8>,
}

/// Changes that happen together or not at all, and what must hold for them to happen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    pub(crate) expectations: Vec<(String, Option<u64>)>,
    pub(crate) puts: Vec<(String, Vec<u8>)>,
    pub(crate) deletes: Vec<String>,
    pub(crate) secrets: Vec<(String, Option<Secret>)>,
    pub(crate) events: Vec<Vec<u8>>,
}

impl Batch {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only if `key` was last written at `revision`; with none, only if it is absent.
    #[must_use]
    pub fn expect(mut self, key: impl Into<String>, revision: Option<u64>) -> Self {
        self.expectations.push((key.into(), revision));
        self
    }

    /// Writes `value` under `key`.
    #[must_use]
    pub fn put(mut self, key: impl Into<String>, value: Vec<u8>) -> Self {
        self.puts.push((key.into(), value));
        self
    }

    /// Deletes `key`; that it is absent already is no error.
    #[must_use]
    pub fn delete(mut self, key: impl Into<String>) -> Self {
        self.deletes.push(key.into());
        self
    }

    /// Writes a secret under `key`, or with none deletes it. Keys of secrets are apart from those of
    /// entries, and what is written is encrypted.
    #[must_use]
    pub fn secret(mut self, key: impl Into<String>, secret: Option<Secret>) -> Self {
        self.secrets.push((key.into(), secret));
        self
    }

    /// Adds an event to the log.
    #[must_use]
    pub fn event(mut self, value: Vec<u8>) -> Self {
        self.events.push(value);
        self
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty()
            && self.deletes.is_empty()
            && self.secrets.is_empty()
            && self.events.is_empty()
    }

    /// The events that it adds, in order.
    pub fn events(&self) -> impl Iterator<Item = &[u8]> {
        self.events.iter().map(Vec::as_slice)
    }

    pub(crate) fn bytes(&self) -> usize {
        let puts: usize = self.puts.iter().map(|(key, value)| key.len() + value.len()).sum();
        let secret = |secret: &Option<Secret>| secret.as_ref().map_or(0, |s| s.reveal().len());
        let secrets: usize = self.secrets.iter().map(|(key, s)| key.len() + secret(s)).sum();
        puts + secrets + self.events.iter().map(Vec::len).sum::<usize>()
    }
}

/// A commit that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Its revision: greater than every one before.
    pub revision: u64,
    /// The number of its last event, or of the last one before it.
    pub last_event: u64,
}

/// Why a commit did not happen. Nothing of it did, but where the store could not say.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// An expectation did not hold.
    #[error("`{key}` was changed by someone else meanwhile: read it again, then try again")]
    Conflict {
        /// The key.
        key: String,
    },
    /// Someone else has taken the lead since.
    #[error(
        "another cluster sitter has taken the lead (term {current}; ours was {ours}): this one must stop"
    )]
    Fenced {
        /// The term of the fence that was shown.
        ours: u64,
        /// The term that holds.
        current: u64,
    },
    /// The batch is larger than the store takes.
    #[error("a commit of {bytes} bytes is over the limit of {limit}: split it")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The store did not answer, or failed on the way: the commit may have happened all the same. Read
    /// again, and assume nothing.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

/// The store cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error(
        "the store in {path} is in use by another cluster sitter: end that one, or choose another --data"
    )]
    InUse {
        /// The data directory.
        path: String,
    },
    /// There is none.
    #[error(
        "there is no store in {path}: name the directory that the cluster sitter has as --data"
    )]
    Absent {
        /// The directory.
        path: String,
    },
    /// It was written by a later version.
    #[error(
        "the store in {path} has schema {found}, this program knows up to {known}: run the newer version that wrote it"
    )]
    FromTheFuture {
        /// The data directory.
        path: String,
        /// The schema that was found.
        found: u32,
        /// The newest schema known.
        known: u32,
    },
    /// A file beside it cannot be used.
    #[error("the store in {path} cannot be opened")]
    File {
        /// The file or directory.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The key of the secrets cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The engine failed: disk full, no permission, a corrupted file.
    #[error("the store failed while it tried to {doing}")]
    Engine {
        /// What was tried.
        doing: &'static str,
        /// What the engine said.
        #[source]
        source: rusqlite::Error,
    },
}
