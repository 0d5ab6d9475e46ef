//! Where the controller's state lives.
//!
//! [`Store`] is the trait that callers know: keys with bytes, changed all or nothing by a
//! [`Batch`] under a [`Fence`]. [`SqliteStore`] stands behind it on one machine; another engine
//! can follow without touching callers, because terms and fencing are part of the trait from the
//! start. [`Blobs`] keeps components and artifacts beside it, by digest.
//!
//! Secrets are kept apart from the rest, encrypted with a key that lies in a file beside the
//! database (see `docs/decisions/0010-secrets.md`).
//!
//! [`Reader`] looks at a store from beside, for checks, backups and queries.
//!
//! Calls block on the disk: a commit returns once it would survive a power cut.

mod batch;
mod blobs;
mod key;
mod reader;
mod sqlite;

pub use batch::{Batch, CommitError, Committed, Entry, Fence, StoreError, StoredEvent};
pub use blobs::{BlobError, BlobWriter, Blobs};
pub use key::KeyError;
pub use reader::{Cell, Reader, Summary};
pub use sqlite::SqliteStore;

use cerebro_model::Secret;
use std::path::Path;

/// Keys with bytes, and a log of events.
pub trait Store: Send + Sync {
    /// The entry under `key`.
    fn get(&self, key: &str) -> Result<Option<Entry>, StoreError>;

    /// The secret under `key`.
    fn secret(&self, key: &str) -> Result<Option<Secret>, StoreError>;

    /// Every entry whose key starts with `prefix`, by key, all as of one moment.
    fn scan(&self, prefix: &str) -> Result<Vec<Entry>, StoreError>;

    /// Carries out a batch: all of it, on disk, or nothing.
    fn commit(&self, fence: Fence, batch: Batch) -> Result<Committed, CommitError>;

    /// Whether `fence` still holds: nobody has taken the lead since.
    fn holds(&self, fence: Fence) -> Result<(), CommitError>;

    /// Takes the lead: raises the term by one. Whoever led before can commit no more.
    fn take_term(&self) -> Result<Fence, StoreError>;

    /// At most `limit` events with numbers above `after`, oldest first.
    fn events(&self, after: u64, limit: usize) -> Result<Vec<StoredEvent>, StoreError>;

    /// The number of the newest event; 0 if there is none.
    fn last_event(&self) -> Result<u64, StoreError>;

    /// Writes a whole and consistent copy to `target`, which must not exist. The key of the secrets
    /// is not in it.
    fn backup(&self, target: &Path) -> Result<(), StoreError>;
}
