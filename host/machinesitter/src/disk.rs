//! What the agent keeps over its own end: one directory per instance, the last desired state, and
//! the highest term that it has heard.

use crate::contact::Contact;
use cerebro_model::{Assignment, DeploymentId, InstanceId, MachineDesired};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A file that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} `{}`", .path.display())]
pub struct DiskError {
    doing: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// An error with all that it comes from, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

pub fn at<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> DiskError + 'a {
    move |source| DiskError { doing, path: path.to_owned(), source }
}

/// What is kept of an instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// The assignment that was worked on last: the one whose recipe ran, or runs.
    pub assignment: Assignment,
    /// The last run of its recipe.
    pub deployed: Option<Outcome>,
    /// What its task was started with; none if there is no task.
    pub task: Option<Assignment>,
    /// The boot in which its task was started.
    pub boot: String,
    /// Contact as it was before the recipe ran, while it is not known whether that cut it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unconfirmed: Option<Unconfirmed>,
}

/// A deployment whose recipe has begun, and may cut its machine off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unconfirmed {
    /// Which.
    pub deployment: DeploymentId,
    /// Contact as it was before.
    pub contact: Contact,
}

impl Record {
    pub fn id(&self) -> &InstanceId {
        &self.assignment.instance.id
    }
}

/// How a run of a recipe ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The deployment that it was for.
    pub deployment: DeploymentId,
    /// How often it failed; none if it succeeded.
    pub failures: Option<u32>,
    /// Why it failed.
    pub message: String,
}

/// The agent's data directory. It is this agent's alone while it is open.
pub struct Disk {
    root: PathBuf,
    _lock: File,
}

impl Disk {
    /// Opens the directory, and makes it if it is missing.
    pub fn open(root: &Path) -> Result<Self, DiskError> {
        let tasks = root.join("tasks");
        let made = DirBuilder::new().recursive(true).mode(0o755).create(&tasks);
        made.map_err(at("make", &tasks))?;
        // The way of a task's descriptors, so it must be one from everywhere.
        let root = fs::canonicalize(root).map_err(at("find", root))?;
        let lock_file = root.join("agent.lock");
        let lock = File::create(&lock_file).map_err(at("make", &lock_file))?;
        let in_use = |error: fs::TryLockError| match error {
            fs::TryLockError::Error(error) => error,
            fs::TryLockError::WouldBlock => io::Error::other("another agent holds it"),
        };
        lock.try_lock().map_err(in_use).map_err(at("lock", &lock_file))?;
        Ok(Self { root, _lock: lock })
    }

    /// The directory for what can be fetched or made again.
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// The directory of an instance: its record, and all of its task sitter's files.
    pub fn task_dir(&self, id: &InstanceId) -> PathBuf {
        self.root.join("tasks").join(id.as_str())
    }

    /// The directory for what is kept of tasks that are this machine's own.
    pub fn own(&self) -> PathBuf {
        self.root.join("own")
    }

    /// The directory for the definitions of those tasks.
    pub fn definitions(&self) -> PathBuf {
        self.root.join("definitions")
    }

    /// Says where the agent listens, for whoever starts it with port 0.
    pub fn tell_address(&self, address: SocketAddr) -> Result<(), DiskError> {
        write(&self.root.join("address.json"), &address)
    }

    /// The agent's data directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What was kept of every instance. One that cannot be read is left alone, and told of.
    pub fn records(&self) -> Result<Vec<Record>, DiskError> {
        let tasks = self.root.join("tasks");
        let mut records = Vec::new();
        for entry in fs::read_dir(&tasks).map_err(at("list", &tasks))? {
            let file = entry.map_err(at("list", &tasks))?.path().join("instance.json");
            match read(&file) {
                Ok(Some(record)) => records.push(record),
                Ok(None) => {}
                Err(error) => tracing::error!(error = chain(&error), "an instance is left alone"),
            }
        }
        Ok(records)
    }

    /// Keeps a record.
    pub fn save(&self, record: &Record) -> Result<(), DiskError> {
        let dir = self.task_dir(record.id());
        fs::create_dir_all(&dir).map_err(at("make", &dir))?;
        write(&dir.join("instance.json"), record)
    }

    /// Removes all that was kept of an instance.
    pub fn forget(&self, id: &InstanceId) -> Result<(), DiskError> {
        let dir = self.task_dir(id);
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("remove", &dir)(error)),
            _ => Ok(()),
        }
    }

    /// The desired state that was accepted last.
    pub fn desired(&self) -> Result<Option<MachineDesired>, DiskError> {
        read(&self.root.join("desired.json"))
    }

    /// Keeps a desired state.
    pub fn save_desired(&self, desired: &MachineDesired) -> Result<(), DiskError> {
        write(&self.root.join("desired.json"), desired)
    }

    /// The highest term that was heard.
    pub fn term(&self) -> Result<u64, DiskError> {
        Ok(read(&self.root.join("term.json"))?.unwrap_or(0))
    }

    /// Keeps a term.
    pub fn save_term(&self, term: u64) -> Result<(), DiskError> {
        write(&self.root.join("term.json"), &term)
    }
}

/// What a file says; none if it is not there.
pub fn read<T: DeserializeOwned>(file: &Path) -> Result<Option<T>, DiskError> {
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at("read", file)(error)),
    };
    serde_json::from_slice(&text).map(Some).map_err(|e| at("understand", file)(e.into()))
}

/// Whole or not at all, also when the power fails.
pub fn write<T: Serialize>(file: &Path, value: &T) -> Result<(), DiskError> {
    let text = serde_json::to_vec(value).map_err(|error| at("write", file)(error.into()))?;
    let new = file.with_extension("new");
    let written = File::create(&new).and_then(|mut made| {
        made.write_all(&text)?;
        made.sync_all()?;
        fs::rename(&new, file)?;
        sync_parent(file)
    });
    written.map_err(at("write", file))
}

/// Has what was made, renamed or removed beside `file` outlast a power cut.
fn sync_parent(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// Removes a file for good; that it is not there is no error.
pub fn remove(file: &Path) -> Result<(), DiskError> {
    match fs::remove_file(file).and_then(|()| sync_parent(file)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("remove", file)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_agent_at_a_time_and_terms_outlive_it() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path()).unwrap();
        disk.save_term(7).unwrap();
        assert!(Disk::open(dir.path()).is_err());
        drop(disk);
        let disk = Disk::open(dir.path()).unwrap();
        assert_eq!((disk.term().unwrap(), disk.desired().unwrap()), (7, None));
    }
}
