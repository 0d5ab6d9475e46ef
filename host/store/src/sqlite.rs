//! SQLite behind the trait: WAL, synchronous=FULL, so that what was acknowledged survives.

use crate::key::{Key, KeyError};
use crate::reader::{SECRETS_KEY, back_up};
use crate::{Batch, CommitError, Committed, Entry, Fence, Store, StoreError, StoredEvent};
use cerebro_model::Secret;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Each step leads from one schema to the next; `user_version` counts the steps taken.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE entry (key TEXT PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE event (seq INTEGER PRIMARY KEY AUTOINCREMENT, value BLOB NOT NULL);
    CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO counter VALUES ('revision', 0), ('term', 0);
", "
    CREATE TABLE secret (key TEXT PRIMARY KEY, sealed BLOB NOT NULL) WITHOUT ROWID;
"];

/// The newest schema.
pub(crate) const KNOWN: u32 = MIGRATIONS.len() as u32;

/// The file with everything but the key of the secrets.
pub(crate) const STATE: &str = "state.db";

/// The largest batch, in bytes: what etcd takes in one request, so that it could follow.
const LARGEST: usize = 1 << 20;

/// Events that are kept; older ones go.
const EVENTS_KEPT: u64 = 10_000;

/// A store in one directory, for one process at a time.
pub struct SqliteStore {
    connection: Mutex<Connection>,
    /// Of the secrets; none until one is needed.
    key: OnceLock<Key>,
    key_file: PathBuf,
    /// Held for as long as the store is open.
    _lock: File,
}

impl SqliteStore {
    /// Opens the store in `directory`, made if it is not there.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let path = || directory.display().to_string();
        let file = |source| StoreError::File { path: path(), source };
        fs::create_dir_all(directory).map_err(file)?;
        let lock = File::create(directory.join("lock")).map_err(file)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { path: path() }),
            Err(TryLockError::Error(source)) => return Err(file(source)),
        }
        let mut connection = Connection::open(directory.join(STATE)).map_err(engine("open"))?;
        connection
            .pragma_update(None, "journal_mode", "WAL")
            .map_err(engine("choose its journal"))?;
        connection
            .pragma_update(None, "synchronous", "FULL")
            .map_err(engine("choose its journal"))?;
        // Else a query is compiled again whenever what it is asked for changes: each look for news would.
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
            .map_err(engine("have its plans stay"))?;
        migrate(&mut connection, path)?;
        let (connection, key_file) = (Mutex::new(connection), directory.join(SECRETS_KEY));
        Ok(Self { connection, key: OnceLock::new(), key_file, _lock: lock })
    }

    /// A panic elsewhere cannot leave the connection in the middle of anything: transactions roll
    /// back when dropped.
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of the secrets, if it opens what it should; made if there are no secrets yet.
    fn key(&self, connection: &Connection) -> Result<&Key, StoreError> {
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        let mut sealed = connection
            .prepare_cached("SELECT key, sealed FROM secret ORDER BY key")
            .map_err(engine("read secrets"))?;
        let mut rows = sealed.query([]).map_err(engine("read secrets"))?;
        let (mut any, mut found) = (false, None);
        while let Some(row) = rows.next().map_err(engine("read secrets"))? {
            let row =
                row.get::<_, String>(0).and_then(|name| Ok((name, row.get::<_, Vec<u8>>(1)?)));
            let (name, sealed) = row.map_err(engine("read secrets"))?;
            let key = match found.take() {
                Some(key) => key,
                None => Key::read(&self.key_file)?,
            };
            any = true;
            // One that is damaged must not keep the others shut.
            if key.open(&name, sealed).is_some() {
                return Ok(self.key.get_or_init(|| key));
            }
            found = Some(key);
        }
        if any {
            return Err(KeyError::Wrong { path: self.key_file.clone() }.into());
        }
        let key = Key::read_or_make(&self.key_file)?;
        Ok(self.key.get_or_init(|| key))
    }

    /// Raises term and revision by `by`, and so beyond all that there may have been since this state
    /// was backed up: to whoever has seen those, what follows is new.
    pub fn raise(&self, by: u64) -> Result<(), StoreError> {
        self.connection()
            .execute(
                "UPDATE counter SET value = value + ? WHERE name IN ('term', 'revision')",
                [by],
            )
            .map(drop)
            .map_err(engine("begin anew"))
    }

    fn seal<'a>(
        &self,
        connection: &Connection,
        batch: &'a Batch,
    ) -> Result<Sealed<'a>, StoreError> {
        let seal = |(key, secret): &'a (String, Option<Secret>)| {
            let sealed = match secret {
                Some(secret) => Some(self.key(connection)?.seal(key, secret)?),
                None => None,
            };
            Ok((key.as_str(), sealed))
        };
        batch.secrets.iter().map(seal).collect()
    }
}

pub(crate) fn engine(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> StoreError {
    move |source| StoreError::Engine { doing, source }
}

fn migrate(connection: &mut Connection, path: impl Fn() -> String) -> Result<(), StoreError> {
    let known = KNOWN;
    let found: u32 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(engine("read its schema"))?;
    if found > known {
        return Err(StoreError::FromTheFuture { path: path(), found, known });
    }
    for (step, sql) in MIGRATIONS.iter().enumerate().skip(found as usize) {
        migrate_once(connection, sql, step as u32 + 1)
            .map_err(engine("bring its schema up to date"))?;
    }
    Ok(())
}

fn migrate_once(connection: &mut Connection, sql: &str, version: u32) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(sql)?;
    transaction.pragma_update(None, "user_version", version)?;
    transaction.commit()
}

fn counter(connection: &Connection, name: &str) -> rusqlite::Result<u64> {
    connection.query_row("SELECT value FROM counter WHERE name = ?", [name], |row| row.get(0))
}

fn entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry { key: row.get(0)?, value: row.get(1)?, revision: row.get(2)? })
}

fn newest_event(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("SELECT coalesce(max(seq), 0) FROM event", [], |row| row.get(0))
}

/// The first expectation that does not hold.
fn broken_expectation(
    transaction: &Transaction<'_>,
    batch: &Batch,
) -> rusqlite::Result<Option<String>> {
    let mut revision = transaction.prepare_cached("SELECT revision FROM entry WHERE key = ?")?;
    for (key, expected) in &batch.expectations {
        let found: Option<u64> = revision.query_row([key], |row| row.get(0)).optional()?;
        if found != *expected {
            return Ok(Some(key.clone()));
        }
    }
    Ok(None)
}

/// The batch's secrets as they are kept.
type Sealed<'a> = Vec<(&'a str, Option<Vec<u8>>)>;

fn write(
    transaction: &Transaction<'_>,
    batch: &Batch,
    secrets: &Sealed<'_>,
) -> rusqlite::Result<Committed> {
    let revision = counter(transaction, "revision")? + 1;
    transaction.execute("UPDATE counter SET value = ? WHERE name = 'revision'", [revision])?;
    let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO entry VALUES (?, ?, ?)")?;
    for (key, value) in &batch.puts {
        put.execute(params![key, value, revision])?;
    }
    let mut delete = transaction.prepare_cached("DELETE FROM entry WHERE key = ?")?;
    for key in &batch.deletes {
        delete.execute([key])?;
    }
    for (key, sealed) in secrets {
        match sealed {
            Some(sealed) => transaction
                .execute("INSERT OR REPLACE INTO secret VALUES (?, ?)", params![key, sealed])?,
            None => transaction.execute("DELETE FROM secret WHERE key = ?", [key])?,
        };
    }
    let mut append = transaction.prepare_cached("INSERT INTO event (value) VALUES (?)")?;
    for event in &batch.events {
        append.execute([event])?;
    }
    let last_event = newest_event(transaction)?;
    transaction
        .execute("DELETE FROM event WHERE seq <= ?", [last_event.saturating_sub(EVENTS_KEPT)])?;
    Ok(Committed { revision, last_event })
}

impl Store for SqliteStore {
    fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.connection()
            .query_row("SELECT key, value, revision FROM entry WHERE key = ?", [key], entry)
            .optional()
            .map_err(engine("read"))
    }

    fn secret(&self, key: &str) -> Result<Option<Secret>, StoreError> {
        let connection = self.connection();
        let sealed: Option<Vec<u8>> = connection
            .query_row("SELECT sealed FROM secret WHERE key = ?", [key], |row| row.get(0))
            .optional()
            .map_err(engine("read a secret"))?;
        let Some(sealed) = sealed else { return Ok(None) };
        let opened = self.key(&connection)?.open(key, sealed);
        opened.map(Some).ok_or_else(|| KeyError::Damaged { key: key.to_owned() }.into())
    }

    fn scan(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let connection = self.connection();
        let rows = || -> rusqlite::Result<Vec<Entry>> {
            // A key is text: no key that starts with the prefix sorts behind prefix + U+10FFFF.
            let mut query = connection.prepare_cached(
                "SELECT key, value, revision FROM entry WHERE key >= ?1 AND key < ?2 ORDER BY key",
            )?;
            query.query_map([prefix, &format!("{prefix}\u{10FFFF}")], entry)?.collect()
        };
        rows().map_err(engine("read"))
    }

    fn commit(&self, fence: Fence, batch: Batch) -> Result<Committed, CommitError> {
        let bytes = batch.bytes();
        if bytes > LARGEST {
            return Err(CommitError::TooLarge { bytes, limit: LARGEST });
        }
        let mut connection = self.connection();
        let failed = |source| CommitError::Unavailable(engine("commit")(source));
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let current = counter(&transaction, "term").map_err(failed)?;
        if current != fence.0 {
            return Err(CommitError::Fenced { ours: fence.0, current });
        }
        if let Some(key) = broken_expectation(&transaction, &batch).map_err(failed)? {
            return Err(CommitError::Conflict { key });
        }
        let secrets = self.seal(&transaction, &batch)?;
        let committed = write(&transaction, &batch, &secrets).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        Ok(committed)
    }

    fn holds(&self, fence: Fence) -> Result<(), CommitError> {
        let failed = |source| CommitError::Unavailable(engine("read the term")(source));
        let current = counter(&self.connection(), "term").map_err(failed)?;
        match current == fence.0 {
            true => Ok(()),
            false => Err(CommitError::Fenced { ours: fence.0, current }),
        }
    }

    fn take_term(&self) -> Result<Fence, StoreError> {
        self.connection()
            .query_row(
                "UPDATE counter SET value = value + 1 WHERE name = 'term' RETURNING value",
                [],
                |row| row.get(0),
            )
            .map(Fence)
            .map_err(engine("take the lead"))
    }

    fn events(&self, after: u64, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        let connection = self.connection();
        let rows = || -> rusqlite::Result<Vec<StoredEvent>> {
            let mut query = connection.prepare_cached(
                "SELECT seq, value FROM event WHERE seq > ? ORDER BY seq LIMIT ?",
            )?;
            let event =
                |row: &rusqlite::Row<'_>| Ok(StoredEvent { seq: row.get(0)?, value: row.get(1)? });
            query.query_map(params![after, limit as u64], event)?.collect()
        };
        rows().map_err(engine("read events"))
    }

    fn last_event(&self) -> Result<u64, StoreError> {
        newest_event(&self.connection()).map_err(engine("read events"))
    }

    fn backup(&self, target: &Path) -> Result<(), StoreError> {
        back_up(&self.connection(), target)
    }
}
