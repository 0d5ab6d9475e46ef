//! What all parts of the agent share.

use crate::blobs::Blobs;
use crate::disk::{Disk, chain};
use crate::events::Events;
use crate::http::Looks;
use crate::link::Link;
use crate::machine::Machine;
use crate::own::Own;
use crate::settings::Settings;
use crate::sitters::Sitters;
use crate::table::{Hold, Table};
use crate::tasks;
use cerebro_linux::cgroup::{Cgroup, Cgroups};
use cerebro_model::{EventKind, InstanceId, JobName, MachineDesired, Subject};
use cerebro_recipe_engine::Engine;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// The agent.
pub struct Agent {
    pub settings: Settings,
    pub disk: Disk,
    /// The controller; none for an agent that stands alone.
    pub link: Option<Link>,
    /// Runs recipes and checks; none where there can be none.
    pub engine: Option<Engine>,
    pub blobs: Arc<Blobs>,
    pub events: Events,
    /// The instances that the controller placed here.
    pub table: Table,
    /// The tasks that are this machine's own.
    pub own: Own,
    pub sitters: Arc<Sitters>,
    pub machine: Machine,
    pub boot: String,
    /// The hierarchies, and the group below which each task has its own.
    pub cgroups: Option<(Cgroups, String)>,
    /// Said whenever the planner should look again.
    pub wake: Notify,
    pub orders: Mutex<Orders>,
    /// Held by whoever takes a deployment back that may have cut the machine off: of several, the one
    /// that did is found one after the other.
    pub suspects: tokio::sync::Mutex<()>,
    /// Whose recipes run.
    pub turns: Turns,
    /// Looks at other machines' agents.
    pub looks: Looks,
}

/// One turn for each job: recipes of its instances share its files.
#[derive(Default)]
pub struct Turns(Mutex<BTreeMap<JobName, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// The job's turn, to be waited for.
    pub fn of(&self, job: &JobName) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody has or waits for are as good as none.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        turns.entry(job.clone()).or_default().clone()
    }
}

/// Whom to obey, and what was said.
#[derive(Default)]
pub struct Orders {
    /// The highest term that was heard.
    pub term: u64,
    /// What should run; none if nobody ever said.
    pub desired: Option<MachineDesired>,
    /// Whether that was said to this agent, and not to one before it.
    pub heard: bool,
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
    pub fn accept(agent: &Arc<Self>, desired: MachineDesired) -> bool {
        if desired.machine != agent.settings.machine || !agent.hear_term(desired.term) {
            return false;
        }
        if let Err(error) = agent.disk.save_desired(&desired) {
            tracing::error!(error = chain(&error), "the desired state cannot be kept");
        }
        agent.release(&desired);
        let mut orders = agent.orders.lock().unwrap_or_else(PoisonError::into_inner);
        (orders.desired, orders.heard) = (Some(desired), true);
        drop(orders);
        agent.wake.notify_one();
        true
    }

    /// Has the tasks go on that waited for the controller's word, and are still to run.
    fn release(self: &Arc<Self>, desired: &MachineDesired) {
        for assignment in &desired.assignments {
            let id = &assignment.instance.id;
            let held = self.table.read(id, |entry| entry.hold == Some(Hold::Unheard));
            if held == Some(true) {
                tasks::resume(self, id);
            }
        }
    }

    /// What should run, if anybody ever said, and whether it was said to this agent.
    pub fn desired(&self) -> (Option<MachineDesired>, bool) {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        (orders.desired.clone(), orders.heard)
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

    /// Tells of something about the machine.
    pub fn tell_of_machine(&self, kind: EventKind, message: String) {
        let machine = Some(self.settings.machine.clone());
        self.tell(kind, Subject { machine, ..Subject::default() }, message);
    }

    /// The path of a task's control group, if tasks have one here.
    pub fn cgroup_path(&self, task: &str) -> Option<String> {
        let (_, parent) = self.cgroups.as_ref()?;
        Some(format!("{parent}/{task}"))
    }

    /// A task's control group, if tasks have one here.
    pub fn cgroup(&self, task: &str) -> Option<Cgroup> {
        let (cgroups, _) = self.cgroups.as_ref()?;
        Some(cgroups.group(&self.cgroup_path(task)?))
    }
}
