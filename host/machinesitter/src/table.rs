//! The instances of this machine, as far as they are known to the agent.

use crate::checks::Health;
use crate::disk::Record;
use crate::{status, time};
use cerebro_model::{InstanceId, InstanceStatus, Life, Phase, Subject, Timestamp};
use cerebro_planner::machine::{Actual, Deployed};
use cerebro_tasksitter::protocol::TaskState;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

/// An action under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    Deploying,
    Starting,
    Stopping,
}

/// Why a task is not followed that an earlier boot of the machine left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Its job is not persistent.
    NotPersistent,
    /// The controller has not said yet that it is still to run.
    Unheard,
}

/// One instance.
pub struct Entry {
    pub record: Record,
    pub doing: Option<Doing>,
    /// Why its task is left alone, if it is.
    pub hold: Option<Hold>,
    /// What stands in the way, if anything does.
    pub note: String,
    /// What the task sitter said last.
    pub task: Option<TaskState>,
    pub health: Health,
    /// The last lines that the task wrote before it ended last, or before a check failed.
    pub last_lines: String,
    /// Follows the task sitter.
    pub follower: Option<AbortOnDropHandle<()>>,
    /// The health checks of the present process.
    pub checks: Option<JoinSet<()>>,
    phase: Phase,
    since: Timestamp,
}

impl Entry {
    pub fn new(record: Record) -> Self {
        Self {
            record,
            doing: None,
            hold: None,
            note: String::new(),
            task: None,
            health: Health::default(),
            last_lines: String::new(),
            follower: None,
            checks: None,
            phase: Phase::Waiting,
            since: time::now(),
        }
    }

    /// What an event about it is about.
    pub fn subject(&self) -> Subject {
        let instance = &self.record.assignment.instance;
        Subject {
            job: Some(instance.job.clone()),
            machine: Some(instance.machine.clone()),
            instance: Some(instance.id.clone()),
            deployment: Some(self.record.assignment.deployment.id.clone()),
            recipe: None,
        }
    }

    fn position(&self) -> (Phase, String) {
        status::of(
            &self.record,
            self.doing,
            self.hold,
            self.task.as_ref(),
            &self.health,
            &self.note,
        )
    }

    /// What is said of it.
    pub fn status(&self) -> InstanceStatus {
        let (phase, message) = self.position();
        let task = self.task.as_ref();
        InstanceStatus {
            id: self.record.id().clone(),
            placement: self.record.assignment.instance.placement,
            deployment: self.record.deployed.as_ref().map(|outcome| outcome.deployment.clone()),
            phase,
            pid: task.and_then(|task| task.pid).map(i32::cast_unsigned),
            restarts: task.map_or(0, |task| task.restarts),
            message,
            since: self.since,
            life: self.life(),
        }
    }

    /// What is known of the process of the present deployment; nothing while an earlier one's runs.
    fn life(&self) -> Life {
        let wanted = &self.record.assignment.deployment;
        let is_its = self.record.task.as_ref().is_some_and(|it| it.deployment.id == wanted.id);
        let Some(task) = self.task.as_ref().filter(|_| is_its) else { return Life::default() };
        Life {
            restarts: task.restarts,
            last_exit: task.last_exit.as_ref().map_or_else(String::new, ToString::to_string),
            last_lines: self.last_lines.clone(),
            passes: self.health.passes().map(|passes| passes.min(wanted.job.rollout.rise)),
            beside: self
                .record
                .task
                .as_ref()
                .filter(|_| wanted.job.linked_job.is_some())
                .map(|it| it.instance.beside.clone()),
        }
    }

    fn actual(&self) -> Actual {
        let deployed = self.record.deployed.as_ref().map(|outcome| Deployed {
            deployment: outcome.deployment.clone(),
            failures: outcome.failures,
        });
        Actual {
            placement: self.record.assignment.instance.placement,
            deployed,
            task: self.record.task.as_ref().map(|task| task.deployment.id.clone()),
            beside: self
                .record
                .task
                .as_ref()
                .map_or_else(Vec::new, |it| it.instance.beside.clone()),
            busy: self.doing.is_some(),
        }
    }
}

/// All of them.
#[derive(Default)]
pub struct Table {
    entries: Mutex<BTreeMap<InstanceId, Entry>>,
    changed: Notify,
}

impl Table {
    fn entries(&self) -> MutexGuard<'_, BTreeMap<InstanceId, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an instance; one of the same id makes room for it.
    pub fn insert(&self, entry: Entry) {
        self.entries().insert(entry.record.id().clone(), entry);
        self.changed.notify_one();
    }

    /// Removes an instance, and with it whoever follows its task.
    pub fn remove(&self, id: &InstanceId) {
        let removed = self.entries().remove(id);
        drop(removed);
        self.changed.notify_one();
    }

    /// Reads an instance; none if it is gone.
    pub fn read<R>(&self, id: &InstanceId, look: impl FnOnce(&Entry) -> R) -> Option<R> {
        self.entries().get(id).map(look)
    }

    /// Changes an instance, and has that reported; none if it is gone.
    pub fn update<R>(&self, id: &InstanceId, change: impl FnOnce(&mut Entry) -> R) -> Option<R> {
        let mut entries = self.entries();
        let entry = entries.get_mut(id)?;
        let result = change(entry);
        let phase = entry.position().0;
        if phase != entry.phase {
            (entry.phase, entry.since) = (phase, time::now());
        }
        drop(entries);
        self.changed.notify_one();
        Some(result)
    }

    /// Says that there is something to report.
    pub fn notify(&self) {
        self.changed.notify_one();
    }

    /// Waits until something changed since this was waited for last.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Something of each.
    pub fn map<R>(&self, look: impl FnMut(&Entry) -> R) -> Vec<R> {
        self.entries().values().map(look).collect()
    }

    pub fn statuses(&self) -> Vec<InstanceStatus> {
        self.entries().values().map(Entry::status).collect()
    }

    pub fn actual(&self) -> BTreeMap<InstanceId, Actual> {
        self.entries().iter().map(|(id, entry)| (id.clone(), entry.actual())).collect()
    }
}
