//! Where it is written down what was tried to make which machine.

use crate::identity::Note;
use cerebro_machines::ProviderError;
use cerebro_model::MachineId;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Keeps notes, also over a crash.
pub trait Notes: Send + Sync {
    /// The note of a machine, if there is one.
    fn read(&self, machine: &MachineId) -> Result<Option<Note>, ProviderError>;

    /// Writes one down, in place of the one before. When it returns, that has happened for good.
    fn write(&self, machine: &MachineId, note: &Note) -> Result<(), ProviderError>;

    /// Forgets one. That there is none is no error.
    fn forget(&self, machine: &MachineId) -> Result<(), ProviderError>;
}

/// Notes in a directory, a file each.
#[derive(Debug, Clone)]
pub struct NotesDir(PathBuf);

impl NotesDir {
    /// Those of this directory, which is made if it is not there.
    pub fn open(path: &Path) -> Result<Self, ProviderError> {
        fs::create_dir_all(path).map_err(at("make", path))?;
        Ok(Self(path.to_owned()))
    }

    fn path(&self, machine: &MachineId) -> PathBuf {
        self.0.join(format!("{machine}.json"))
    }

    /// Has the directory itself remember what is in it.
    fn settle(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}

impl Notes for NotesDir {
    fn read(&self, machine: &MachineId) -> Result<Option<Note>, ProviderError> {
        let path = self.path(machine);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at("read", &path)(error)),
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| at("read", &path)(error.into()))
    }

    fn write(&self, machine: &MachineId, note: &Note) -> Result<(), ProviderError> {
        let path = self.path(machine);
        let new = path.with_extension("new");
        let write = || {
            let mut file = File::create(&new)?;
            file.write_all(&serde_json::to_vec(note)?)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            self.settle()
        };
        write().map_err(at("write", &path))
    }

    fn forget(&self, machine: &MachineId) -> Result<(), ProviderError> {
        let path = self.path(machine);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(at("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }
}

fn at(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> ProviderError {
    move |source| ProviderError::File { doing, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::{Launch, Market};
    use cerebro_machines::Intent;

    #[test]
    fn a_note_is_kept_replaced_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let notes = NotesDir::open(&dir.path().join("notes")).unwrap();
        let machine: MachineId = "m-1".parse().unwrap();
        assert_eq!(notes.read(&machine).unwrap(), None);
        let launch = Launch {
            instance_type: "m7i.large".to_owned(),
            subnet: Some("subnet-1".to_owned()),
            market: Market::Spot,
        };
        let first = Note::first(Intent::of("a"), "us-west-2", launch.clone());
        notes.write(&machine, &first).unwrap();
        let second = first.next(launch);
        notes.write(&machine, &second).unwrap();
        let again = NotesDir::open(&dir.path().join("notes")).unwrap();
        assert_eq!(again.read(&machine).unwrap(), Some(second));
        notes.forget(&machine).unwrap();
        notes.forget(&machine).unwrap();
        assert_eq!(notes.read(&machine).unwrap(), None);
    }

    #[test]
    fn a_note_that_cannot_be_read_is_no_missing_note() {
        let dir = tempfile::tempdir().unwrap();
        let notes = NotesDir::open(dir.path()).unwrap();
        fs::write(dir.path().join("m-1.json"), "{").unwrap();
        let error = notes.read(&"m-1".parse().unwrap()).unwrap_err();
        assert!(matches!(error, ProviderError::File { .. }), "{error}");
    }
}
