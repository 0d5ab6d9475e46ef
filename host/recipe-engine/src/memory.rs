//! What is kept for an instance from call to call: what its components remember, and what is still
//! to be done. One file for each thing, replaced at once.

use crate::bindings::interfaces::types::{Change, Error};
use cerebro_model::Later as Action;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes of a key.
const LONGEST_KEY: usize = 256;
/// Bytes of a value.
const LARGEST_VALUE: usize = 64 << 10;
/// Bytes of all values.
const LARGEST: u64 = 1 << 20;
/// Values that are remembered: each is a file, however little is in it.
const MOST_VALUES: usize = 1024;
/// Bytes of all actions that may wait.
const LARGEST_ACTIONS: usize = 256 << 10;
/// Actions that may wait.
const MOST_ACTIONS: usize = 256;

/// The directory.
#[derive(Debug, Clone)]
pub(crate) struct Memory(PathBuf);

impl Memory {
    pub(crate) fn new(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.0
    }

    fn values(&self) -> PathBuf {
        self.0.join("kv")
    }

    /// A file's name is its key in hexadecimal digits, cut in two where a name would be too long.
    fn file(&self, key: &str) -> Result<PathBuf, Error> {
        if key.is_empty() || key.len() > LONGEST_KEY {
            let why = format!("a key is 1 to {LONGEST_KEY} bytes long");
            return Err(Error::Invalid(why));
        }
        let hex: String = key.bytes().map(|byte| format!("{byte:02x}")).collect();
        let (first, rest) = hex.split_at(hex.len().min(200));
        let (second, third) = rest.split_at(rest.len().min(200));
        let name = [first, second, third].into_iter().filter(|part| !part.is_empty());
        Ok(self.values().join(name.collect::<Vec<_>>().join("/-")).with_extension("v"))
    }

    pub(crate) fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        read(&self.file(key)?)
    }

    pub(crate) fn keys(&self) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        list(&self.values(), "", &mut found).map_err(|error| failed("list", &self.0, &error))?;
        let mut keys: Vec<String> = found.iter().filter_map(|(hex, _)| from_hex(hex)).collect();
        keys.sort();
        Ok(keys)
    }

    pub(crate) fn set(&self, key: &str, value: &[u8]) -> Result<Change, Error> {
        let file = self.file(key)?;
        let before = read(&file)?;
        if before.as_deref() == Some(value) {
            return Ok(Change::Unchanged);
        }
        let mut all = Vec::new();
        list(&self.values(), "", &mut all).map_err(|error| failed("list", &self.0, &error))?;
        let size: u64 = all.iter().map(|(_, size)| size).sum();
        let others = size.saturating_sub(before.as_ref().map_or(0, |value| value.len() as u64));
        if value.len() > LARGEST_VALUE || others + value.len() as u64 > LARGEST {
            return Err(Error::TooLarge(format!(
                "a value is at most {LARGEST_VALUE} bytes, and all of them {LARGEST}"
            )));
        }
        if before.is_none() && all.len() >= MOST_VALUES {
            let why = format!("more than {MOST_VALUES} values are to be remembered");
            return Err(Error::TooLarge(why));
        }
        replace(&file, value).map_err(|error| failed("write", &file, &error))?;
        Ok(if before.is_some() { Change::Updated } else { Change::Created })
    }

    pub(crate) fn delete(&self, key: &str) -> Result<Change, Error> {
        let file = self.file(key)?;
        match fs::remove_file(&file) {
            Ok(()) => Ok(Change::Removed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Change::Unchanged),
            Err(error) => Err(failed("remove", &file, &error)),
        }
    }

    fn actions(&self) -> PathBuf {
        self.0.join("at-end.json")
    }

    /// What is still to be done.
    pub(crate) fn pending(&self) -> Result<Vec<Action>, Error> {
        let file = self.actions();
        let Some(text) = read(&file)? else { return Ok(Vec::new()) };
        serde_json::from_slice(&text).map_err(|error| failed("read", &file, &error.into()))
    }

    /// Has `action` be done at the end, unless that is known already.
    pub(crate) fn at_end(&self, action: Action) -> Result<(), Error> {
        let mut pending = self.pending()?;
        if pending.contains(&action) {
            return Ok(());
        }
        if pending.len() >= MOST_ACTIONS {
            let why = format!("more than {MOST_ACTIONS} things are to be done at the end");
            return Err(Error::TooLarge(why));
        }
        pending.push(action);
        if serde_json::to_vec(&pending).map_or(0, |text| text.len()) > LARGEST_ACTIONS {
            let why = format!("more than {LARGEST_ACTIONS} bytes say what to do at the end");
            return Err(Error::TooLarge(why));
        }
        self.keep_pending(&pending)
    }

    /// Has `action` not be done at the end.
    pub(crate) fn not_at_end(&self, action: &Action) -> Result<(), Error> {
        let mut pending = self.pending()?;
        pending.retain(|known| known != action);
        self.keep_pending(&pending)
    }

    /// Keeps what is still to be done.
    pub(crate) fn keep_pending(&self, pending: &[Action]) -> Result<(), Error> {
        let file = self.actions();
        let kept = match pending {
            [] => match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
            pending => serde_json::to_vec(pending)
                .map_err(io::Error::from)
                .and_then(|text| replace(&file, &text)),
        };
        kept.map_err(|error| failed("write", &file, &error))
    }
}

fn read(file: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(file) {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", file, &error)),
    }
}

fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    let new = file.with_extension("new");
    let made = File::create(&new).and_then(|mut made| made.write_all(content));
    let placed = made.and_then(|()| fs::rename(&new, file));
    if placed.is_err() {
        // On a full disk it is in the way of what is to be written next.
        let _ = fs::remove_file(&new);
    }
    placed
}

/// The names below `directory`, put together again, with their sizes.
fn list(directory: &Path, above: &str, found: &mut Vec<(String, u64)>) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let (entry, path) = entry.map(|entry| (entry.file_name(), entry.path()))?;
        let Some(name) = entry.to_str() else { continue };
        let name = name.trim_start_matches('-');
        if path.is_dir() {
            list(&path, &format!("{above}{name}"), found)?;
        } else if let Some(name) = name.strip_suffix(".v") {
            found.push((format!("{above}{name}"), fs::metadata(&path)?.len()));
        }
    }
    Ok(())
}

fn from_hex(hex: &str) -> Option<String> {
    let byte = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..hex.len()).step_by(2).map(byte).collect();
    String::from_utf8(bytes?).ok()
}

fn failed(doing: &str, path: &Path, error: &io::Error) -> Error {
    Error::Failed(format!("{doing} `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_by_any_key_and_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let memory = Memory::new(dir.path());
        let long = "é".repeat(LONGEST_KEY / 2);
        let keys = ["a", "../a", "a/b", ".", &long];
        for key in keys {
            assert!(memory.get(key).unwrap().is_none());
            assert!(matches!(memory.set(key, key.as_bytes()), Ok(Change::Created)), "{key}");
            assert!(matches!(memory.set(key, key.as_bytes()), Ok(Change::Unchanged)));
            assert!(matches!(memory.set(key, b"x"), Ok(Change::Updated)));
            assert_eq!(memory.get(key).unwrap().unwrap(), b"x");
        }
        let mut sorted: Vec<String> = keys.map(str::to_owned).into();
        sorted.sort();
        assert_eq!(memory.keys().unwrap(), sorted);
        for key in keys {
            assert!(matches!(memory.delete(key), Ok(Change::Removed)));
            assert!(matches!(memory.delete(key), Ok(Change::Unchanged)));
        }
        assert!(memory.set("", b"").is_err() && memory.set(&"x".repeat(257), b"").is_err());
        assert!(memory.set("a", &vec![0; LARGEST_VALUE + 1]).is_err());
        let full = (0..17).map(|n| memory.set(&n.to_string(), &vec![0; LARGEST_VALUE]));
        assert_eq!(full.filter(Result::is_err).count(), 1);
        let many = (0..MOST_VALUES).map(|n| memory.set(&format!("key {n}"), b""));
        assert_eq!(many.filter(Result::is_err).count(), 16);
    }

    #[test]
    fn what_is_to_be_done_is_kept_once_and_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let memory = Memory::new(dir.path());
        let [a, b] = ["a", "b"].map(|name| Action::RestartTask(name.to_owned()));
        for action in [&a, &b, &a] {
            memory.at_end(action.clone()).unwrap();
        }
        assert_eq!(memory.pending().unwrap(), [a, b.clone()]);
        memory.keep_pending(std::slice::from_ref(&b)).unwrap();
        assert_eq!(memory.pending().unwrap(), [b]);
        memory.keep_pending(&[]).unwrap();
        assert!(memory.pending().unwrap().is_empty());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
