//! Tasks that are the machine's own: defined, started and stopped by whoever asks the agent.

mod act;
mod begin;
mod definition;
mod view;

pub use act::{OwnError, define, remove, replace, restart, start, stop};
pub use begin::begin;

use crate::disk::{Disk, DiskError, at};
use cerebro_api::machine::Wanted;
use cerebro_model::TaskConfiguration;
use cerebro_tasksitter::protocol::TaskState;
use definition::Definitions;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// What is kept of the wish of whoever asked last: `wanted.json` in the task's directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Wish {
    wanted: Wanted,
    /// The boot in which it was asked for.
    boot: String,
}

/// One task.
struct Entry {
    task: TaskConfiguration,
    wanted: Wanted,
    /// What stands in the way, if anything does.
    note: String,
    /// What its sitter said last.
    state: watch::Sender<Option<TaskState>>,
    /// Follows its sitter.
    follower: Option<AbortOnDropHandle<()>>,
    /// Whoever acts on it holds this: one at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// All of them, by name.
pub struct Own {
    entries: Mutex<BTreeMap<String, Entry>>,
    definitions: Definitions,
    directory: PathBuf,
}

impl Own {
    /// Opens their directories; [`begin`] reads them.
    pub fn open(disk: &Disk) -> Result<Self, DiskError> {
        let directory = disk.own();
        std::fs::create_dir_all(&directory).map_err(at("make", &directory))?;
        let definitions = Definitions::open(disk.definitions())?;
        Ok(Self { entries: Mutex::default(), definitions, directory })
    }

    /// The directory of a task, whether there is one or not.
    pub fn dir(&self, name: &str) -> PathBuf {
        self.directory.join(definition::file_name(name))
    }

    /// Whether there is such a task.
    pub fn has(&self, name: &str) -> bool {
        self.entries().contains_key(name)
    }

    /// What its sitter said last.
    pub fn state(&self, name: &str) -> Option<TaskState> {
        self.read(name, |entry| entry.state.borrow().clone()).flatten()
    }

    /// The names of all.
    pub fn names(&self) -> Vec<String> {
        self.entries().keys().cloned().collect()
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, task: TaskConfiguration, wanted: Wanted) {
        let entry = Entry {
            wanted,
            note: String::new(),
            state: watch::Sender::new(None),
            follower: None,
            turn: Arc::default(),
            task,
        };
        self.entries().insert(entry.task.name.clone(), entry);
    }

    fn read<R>(&self, name: &str, look: impl FnOnce(&Entry) -> R) -> Option<R> {
        self.entries().get(name).map(look)
    }

    fn update<R>(&self, name: &str, change: impl FnOnce(&mut Entry) -> R) -> Option<R> {
        self.entries().get_mut(name).map(change)
    }
}

/// Whether the last sitter in `dir` of this boot left something that may still run.
fn may_run(dir: &Path, boot: &str) -> bool {
    let state = std::fs::read(dir.join("state.json")).ok();
    let state = state.and_then(|text| serde_json::from_slice::<TaskState>(&text).ok());
    state.is_some_and(|state| state.boot == boot && state.pid.is_some())
}
