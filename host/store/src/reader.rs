//! A store looked at from beside: nothing of it is changed, and a cluster sitter may have it open.

use crate::key::{Key, KeyError};
use crate::sqlite::{KNOWN, STATE, engine};
use crate::{Entry, StoreError};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long it waits for a writer that has the file to itself for a moment.
const BUSY: Duration = Duration::from_secs(5);

/// A store that is only read.
pub struct Reader {
    connection: Connection,
    directory: PathBuf,
}

/// What is in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The schema that it has.
    pub schema: u32,
    /// The term of whoever led last.
    pub term: u64,
    /// The revision of the last commit.
    pub revision: u64,
    /// Records.
    pub entries: u64,
    /// Events that are kept.
    pub events: u64,
    /// Secrets.
    pub secrets: u64,
}

/// A value of a query's answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// None.
    Null,
    /// A whole number.
    Integer(i64),
    /// Another number.
    Real(f64),
    /// Text, also where it was kept as bytes.
    Text(String),
    /// Bytes that are no text.
    Bytes(Vec<u8>),
}

impl Reader {
    /// Opens the store in `directory`, which is there.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let file = directory.join(STATE);
        if !file.is_file() {
            return Err(StoreError::Absent { path: directory.display().to_string() });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(file, flags).map_err(engine("open"))?;
        connection.busy_timeout(BUSY).map_err(engine("open"))?;
        Ok(Self { connection, directory: directory.to_owned() })
    }

    /// What is in it; an error if a later version wrote it.
    pub fn summary(&self) -> Result<Summary, StoreError> {
        let number = |sql: &str| {
            self.connection.query_row(sql, [], |row| row.get(0)).map_err(engine("count"))
        };
        let schema: u32 = self
            .connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(engine("read its schema"))?;
        if schema > KNOWN {
            let path = self.directory.display().to_string();
            return Err(StoreError::FromTheFuture { path, found: schema, known: KNOWN });
        }
        Ok(Summary {
            schema,
            term: number("SELECT value FROM counter WHERE name = 'term'")?,
            revision: number("SELECT value FROM counter WHERE name = 'revision'")?,
            entries: number("SELECT count(*) FROM entry")?,
            events: number("SELECT count(*) FROM event")?,
            // The first schema had none.
            secrets: if schema < 2 { 0 } else { number("SELECT count(*) FROM secret")? },
        })
    }

    /// What is wrong with it, in sentences: damaged pages, counters that are behind.
    pub fn check(&self) -> Result<Vec<String>, StoreError> {
        let mut wrong = Vec::new();
        let pages = || -> rusqlite::Result<Vec<String>> {
            self.connection
                .prepare("PRAGMA integrity_check")?
                .query_map([], |row| row.get(0))?
                .collect()
        };
        match pages() {
            Ok(said) => wrong.extend(said.into_iter().filter(|line| line != "ok")),
            // Of a file that is damaged enough SQLite does not even say how.
            Err(error) => wrong.push(format!("its pages cannot be read: {error}")),
        }
        if !wrong.is_empty() {
            return Ok(wrong);
        }
        let summary = self.summary()?;
        let newest: u64 = self
            .connection
            .query_row("SELECT coalesce(max(revision), 0) FROM entry", [], |row| row.get(0))
            .map_err(engine("count"))?;
        if newest > summary.revision {
            wrong.push(format!(
                "a record is of revision {newest}, and the last commit of {}",
                summary.revision
            ));
        }
        Ok(wrong)
    }

    /// Why secrets cannot be read with the key beside the store, in sentences.
    pub fn check_secrets(&self) -> Result<Vec<String>, StoreError> {
        if self.summary()?.secrets == 0 {
            return Ok(Vec::new());
        }
        match Key::read(&self.directory.join(SECRETS_KEY)) {
            Ok(key) => self.shut(&key),
            Err(error) => Ok(vec![error.to_string()]),
        }
    }

    /// Secrets that `key` does not open.
    fn shut(&self, key: &Key) -> Result<Vec<String>, StoreError> {
        let read = || -> rusqlite::Result<Vec<(String, Vec<u8>)>> {
            self.connection
                .prepare("SELECT key, sealed FROM secret ORDER BY key")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        };
        let sealed = read().map_err(engine("read secrets"))?;
        let shut = sealed.into_iter().filter_map(|(name, sealed)| {
            let is_open = key.open(&name, sealed).is_some();
            (!is_open).then(|| KeyError::Damaged { key: name }.to_string())
        });
        Ok(shut.collect())
    }

    /// Every record, by key, as of one moment.
    pub fn entries(&self) -> Result<Vec<Entry>, StoreError> {
        let read = || -> rusqlite::Result<Vec<Entry>> {
            let mut query =
                self.connection.prepare("SELECT key, value, revision FROM entry ORDER BY key")?;
            let entry = |row: &rusqlite::Row<'_>| {
                Ok(Entry { key: row.get(0)?, value: row.get(1)?, revision: row.get(2)? })
            };
            query.query_map([], entry)?.collect()
        };
        read().map_err(engine("read"))
    }

    /// Writes a whole and consistent copy to `target`, which must not exist. The key of the secrets
    /// is not in it.
    pub fn backup(&self, target: &Path) -> Result<(), StoreError> {
        back_up(&self.connection, target)
    }

    /// Gives each row of a query's answer to `row`, with the names of the columns. What would change
    /// something is refused.
    pub fn query(
        &self,
        sql: &str,
        mut row: impl FnMut(&[String], Vec<Cell>),
    ) -> Result<(), StoreError> {
        let mut run = || -> rusqlite::Result<()> {
            let mut query = self.connection.prepare(sql)?;
            let columns: Vec<String> = query.column_names().map(str::to_owned).collect();
            let mut rows = query.query([])?;
            while let Some(found) = rows.next()? {
                let cells: rusqlite::Result<Vec<Cell>> =
                    (0..columns.len()).map(|at| found.get_ref(at).map(cell)).collect();
                row(&columns, cells?);
            }
            Ok(())
        };
        run().map_err(engine("answer the query"))
    }
}

/// The file with the key of the secrets, beside the store.
pub(crate) const SECRETS_KEY: &str = "secrets.key";

pub(crate) fn back_up(connection: &Connection, target: &Path) -> Result<(), StoreError> {
    let target = target.display().to_string();
    connection.execute("VACUUM INTO ?", [target]).map(drop).map_err(engine("back itself up"))
}

fn cell(value: ValueRef<'_>) -> Cell {
    let text = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => Cell::Text(text.to_owned()),
        Err(_) => Cell::Bytes(bytes.to_owned()),
    };
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Real(number) => Cell::Real(number),
        // Records are kept as bytes, and are JSON.
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => text(bytes),
    }
}
