//! What all parts of the agent share.

use crate::blobs::Blobs;
use crate::disk::{Disk, chain};
use crate::events::Events;
use crate::settings::Settings;
use crate::table::Table;
use cerebro_api::Client;
use cerebro_linux::cgroup::{Cgroup, Cgroups};
use cerebro_model::{EventKind, InstanceId, MachineDesired, Subject};
use cerebro_recipe_engine::Engine;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// The agent.
pub struct Agent {
    pub settings: Settings,
    pub disk: Disk,
    pub client: Client,
    pub engine: Engine,
    pub blobs: Arc<Blobs>,
    pub events: Events,
    pub table: Table,
    pub boot: String,
    pub cgroups: Option<Cgroups>,
    /// Said whenever the planner should look again.
    pub wake: Notify,
    pub orders: Mutex<Orders>,
}

/// Whom to obey, and what was said.
#[derive(Default)]
pub struct Orders {
    /// The highest term that was heard.
    pub term: u64,
    /// What should run; none if nobody ever said.
    pub desired: Option<MachineDesired>,
}

impl Agent {
    /// A controller of this term speaks; answers whether to listen to it.
    pub fn hear_term(&self, term: u64) -> bool {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if term < orders.term {
            let highest = orders.term;
            tracing::warn!(term, highest, "a controller of a lower term is not obeyed");
            return false;
        }
        if term > orders.term {
            // Kept first: after a crash it must still be refused.
            if let Err(error) = self.disk.save_term(term) {
                tracing::error!(error = chain(&error), "a new controller's term cannot be kept");
                return false;
            }
            orders.term = term;
            drop(orders);
            // It knows nothing of this machine yet.
            self.table.notify();
        }
        true
    }

    /// The highest term that was heard.
    pub fn term(&self) -> u64 {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).term
    }

    /// Takes a desired state, if its sender may give one.
    pub fn accept(&self, desired: MachineDesired) -> bool {
        if desired.machine != self.settings.machine || !self.hear_term(desired.term) {
            return false;
        }
        if let Err(error) = self.disk.save_desired(&desired) {
            tracing::error!(error = chain(&error), "the desired state cannot be kept");
        }
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).desired = Some(desired);
        self.wake.notify_one();
        true
    }

    /// What should run; none if nobody ever said.
    pub fn desired(&self) -> Option<MachineDesired> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).desired.clone()
    }

    /// Tells the controller of something.
    pub fn tell(&self, kind: EventKind, subject: Subject, message: String) {
        tracing::info!(%kind, instance = subject.instance.as_ref().map(|id| id.as_str()), message);
        self.events.push(kind, subject, message);
        self.table.notify();
    }

    /// Tells the controller of something about an instance.
    pub fn tell_of(&self, id: &InstanceId, kind: EventKind, message: String) {
        let subject = self.table.read(id, |entry| entry.subject());
        self.tell(kind, subject.unwrap_or_default(), message);
    }

    /// The path of a task's control group, if this machine has one.
    pub fn cgroup_path(&self, id: &InstanceId) -> Option<String> {
        let machine = self.settings.cgroup.as_ref()?;
        self.cgroups.as_ref()?;
        Some(format!("{machine}/task-{id}"))
    }

    /// A task's control group, if this machine has one.
    pub fn cgroup(&self, id: &InstanceId) -> Option<Cgroup> {
        Some(self.cgroups.as_ref()?.group(&self.cgroup_path(id)?))
    }
}
