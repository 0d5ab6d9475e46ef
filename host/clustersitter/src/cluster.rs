//! The state of the cluster, and the one way to change it.

mod adopt;
mod agents;
pub mod course;
mod deciding;
mod desired;
mod explain;
mod faults;
pub mod graves;
mod hearing;
mod join;
mod kept;
mod known;
pub mod links;
mod names;
mod news;
pub mod notes;
mod pauses;
mod proposals;
pub mod rollback;
mod secrets;
mod strays;
mod view;
mod wants;

use kept::Kept;
use news::{News, concerned};

pub use adopt::AdoptError;
pub use deciding::Planned;
pub use explain::view as explained;
pub use join::{JoinError, Joining};
pub use known::AgentError;
pub use names::{Dns, about_name};
pub use pauses::PauseError;
pub use proposals::ApprovalError;
pub use secrets::SecretError;
pub use strays::StrayError;
pub use wants::{jobs_missing, wanted, wants};

use crate::clock::{Clock, WallClock};
use crate::decisions::DecisionLog;
use crate::records::{Change, LoadError, NewEvent, Records};
use cerebro_machines::{LocalProvider, MachineProvider};
use cerebro_model::{
    Assignment, Deployment, Event, EventKind, Instance, InstanceId, InstanceStatus, MachineId,
    MachineStats, PeerWord, Proposal, Subject, Timestamp, ZoneName,
};
use cerebro_planner::cluster::{Fleet, Note, Policy, Probe, ProviderWord, ZonePolicy};
use cerebro_store::{Blobs, CommitError, Fence, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{broadcast, watch};

/// Events that a slow follower may fall behind by before it has to read the rest from the store.
const EVENTS_IN_FLIGHT: usize = 1024;

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The store did not take it.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A record cannot be written as JSON.
    #[error("a record cannot be written")]
    Record(#[from] serde_json::Error),
    /// An earlier commit may or may not have happened, and the store does not say which.
    #[error("the store did not say whether an earlier change was kept, and cannot be read again")]
    Doubt(#[from] LoadError),
}

/// What was last heard of a machine.
#[derive(Debug, Clone)]
pub struct Heard {
    /// When.
    pub at: Timestamp,
    /// The agent's process id there.
    pub pid: u32,
    /// How it was doing.
    pub stats: MachineStats,
}

/// What is known beside the store; it starts empty.
#[derive(Debug, Default)]
pub struct Observed {
    heartbeats: BTreeMap<MachineId, Heard>,
    statuses: BTreeMap<InstanceId, InstanceStatus>,
    /// Machines whose silence was told.
    silent: BTreeSet<MachineId>,
    /// Agents that are not known here, and were told of.
    unknown: BTreeSet<MachineId>,
    /// Machines that the provider lists, and that are not known here.
    strays: strays::Strays,
    notes: Vec<Note>,
    proposals: Vec<Proposal>,
    /// Those of them that were told as events.
    told_notes: Vec<Note>,
    /// What was decided last, and what of it is kept.
    decided: deciding::Last,
    /// What each machine was told last, and the index that this had.
    told: BTreeMap<MachineId, (u64, Vec<Assignment>)>,
    last_index: u64,
    /// Which secrets were given for each instance, as it is placed and deployed now.
    given: BTreeMap<InstanceId, secrets::Given>,
}

/// Records and observations.
#[derive(Debug)]
pub struct State {
    /// When it is looked at: one moment for all that is decided by one look.
    pub now: Timestamp,
    /// What the store keeps.
    pub records: Records,
    /// What was heard.
    pub observed: Observed,
    /// The same for the planner.
    kept: Kept,
    news: News,
    /// Whether a commit failed, so that the records here may not be those of the store.
    is_doubtful: bool,
}

impl State {
    /// Whether a machine has no instance, not even one that moves away.
    pub fn is_free(&self, id: &MachineId) -> bool {
        self.kept.occupancy().is_free(id)
    }

    /// Whether a machine was heard since it was heard last at `before`, as the planner knows it: what came by a
    /// clock that was set since it has forgotten.
    pub fn heard_after(&self, id: &MachineId, before: Option<Timestamp>) -> bool {
        let last = self.kept.fleet().machines.get(id).and_then(|it| it.last_heartbeat);
        last.is_some_and(|last| before.is_none_or(|before| last > before))
    }
}

/// The cluster.
pub struct Cluster {
    store: Arc<dyn Store>,
    fence: Fence,
    /// Components and artifacts.
    pub blobs: Blobs,
    /// Where machines come from.
    pub provider: Arc<dyn MachineProvider>,
    /// The same, where machines are of this host: those can be killed on demand.
    pub local: Option<Arc<LocalProvider>>,
    /// What this controller was started with; [`Cluster::policy`] is what counts.
    policy: Policy,
    clock: Arc<dyn Clock>,
    /// Where decisions are kept, if they are.
    decisions: Option<DecisionLog>,
    /// What whoever joins a machine by hand is told, if anybody may.
    joining: Option<Joining>,
    /// Where names are published, if they are.
    pub dns: Option<Dns>,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    events: broadcast::Sender<Event>,
}

/// An event about `subject`; its number and its time come with the commit.
pub fn event(kind: EventKind, subject: Subject, message: impl Into<String>) -> NewEvent {
    NewEvent { at: None, kind, subject, message: message.into(), decision: None }
}

/// A call that waits for the disk. Where there are other threads, the runtime's other tasks move on
/// meanwhile.
pub fn on_disk<T>(call: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(call),
        _ => call(),
    }
}

/// About a machine.
pub fn about_machine(id: &MachineId) -> Subject {
    Subject { machine: Some(id.clone()), ..Subject::default() }
}

/// About an instance, on its machine.
pub fn about_instance(instance: &Instance) -> Subject {
    Subject {
        job: Some(instance.job.clone()),
        machine: Some(instance.machine.clone()),
        instance: Some(instance.id.clone()),
        deployment: Some(instance.deployment.clone()),
        recipe: None,
    }
}

/// About a deployment.
pub fn about_deployment(deployment: &Deployment) -> Subject {
    Subject {
        job: Some(deployment.job_name().clone()),
        deployment: Some(deployment.id.clone()),
        ..Subject::default()
    }
}

impl Cluster {
    /// Takes the lead of the store and reads what it keeps.
    pub fn open(
        store: Arc<dyn Store>,
        blobs: Blobs,
        provider: Arc<dyn MachineProvider>,
        policy: Policy,
    ) -> Result<Self, LoadError> {
        let fence = store.take_term()?;
        let records = Records::load(&*store)?;
        let kept = Kept::of(&records);
        let clock = Arc::new(WallClock);
        let state = Mutex::new(State {
            now: clock.now(),
            records,
            observed: Observed::default(),
            kept,
            news: News::default(),
            is_doubtful: false,
        });
        let (changed, events) = (watch::Sender::new(0), broadcast::Sender::new(EVENTS_IN_FLIGHT));
        Ok(Self {
            store,
            fence,
            blobs,
            provider,
            local: None,
            policy,
            clock,
            decisions: None,
            joining: None,
            dns: None,
            state,
            changed,
            events,
        })
    }

    /// The same, with machines of this host, which can be killed on demand.
    #[must_use]
    pub fn with_local(self, local: Arc<LocalProvider>) -> Self {
        Self { local: Some(local), ..self }
    }

    /// The same, by another clock than the machine's own.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// The same, where decisions are kept.
    #[must_use]
    pub fn with_decisions(self, log: DecisionLog) -> Self {
        Self { decisions: Some(log), ..self }
    }

    /// The same, to which machines can be joined by hand.
    #[must_use]
    pub fn with_joining(self, joining: Joining) -> Self {
        Self { joining: Some(joining), ..self }
    }

    /// What whoever joins a machine by hand is told.
    pub fn joining(&self) -> Option<&Joining> {
        self.joining.as_ref()
    }

    /// The same, where names are published.
    #[must_use]
    pub fn with_dns(self, dns: Dns) -> Self {
        Self { dns: Some(dns), ..self }
    }

    /// The present.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// This controller's term.
    pub fn term(&self) -> u64 {
        self.fence.term()
    }

    /// The state, for a short look.
    ///
    /// A panic while it was held cannot have left it half changed: changes are applied after their
    /// commit, and applying cannot fail.
    pub fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.now = self.clock.now();
        state
    }

    /// News of what a machine should run, from now on.
    pub fn news_of(&self, id: &MachineId) -> watch::Receiver<()> {
        self.state().news.of(id)
    }

    /// Wakes the executor, whatever has changed.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn wake(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Events as they come.
    pub fn follow(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Events above number `after`, oldest first.
    pub fn events(&self, after: u64, limit: usize) -> Result<Vec<Event>, StoreError> {
        let stored = self.store.events(after, limit)?;
        // What we wrote ourselves reads back; an event of a later version that does not is left out.
        let read = |event: cerebro_store::StoredEvent| {
            let read: Event = serde_json::from_slice(&event.value).ok()?;
            Some(Event { seq: event.seq, ..read })
        };
        Ok(stored.into_iter().filter_map(read).collect())
    }

    /// The number of the newest event.
    pub fn last_event(&self) -> Result<u64, StoreError> {
        self.store.last_event()
    }

    /// The one way to change the records: `decide` looks at the state and says what changes; that
    /// is committed, then applied, then told. `decide` may also refuse.
    pub fn change<T, E: From<ChangeError>>(
        &self,
        decide: impl FnOnce(&State) -> Result<(Change, T), E>,
    ) -> Result<T, E> {
        let (answer, told) = on_disk(|| {
            let mut state = self.state();
            self.resolve(&mut state).map_err(ChangeError::from)?;
            let (change, answer) = decide(&state)?;
            let mut told = change.told(state.now);
            let batch = change.batch(&told).map_err(ChangeError::from)?;
            if batch.is_empty() {
                return Ok((answer, Vec::new()));
            }
            let committed = self.store.commit(self.fence, batch);
            // One that failed may be on the disk all the same: nothing is assumed, all is read again.
            if let Err(error @ CommitError::Unavailable(_)) = &committed {
                state.is_doubtful = true;
                state.store_failed(error);
            }
            let committed = committed.map_err(ChangeError::from)?;
            for (event, seq) in told.iter_mut().rev().zip((0..=committed.last_event).rev()) {
                event.seq = seq;
            }
            let touched = change.touched();
            let mut concerned_by_it = concerned(&touched, &state);
            let State { records, kept, .. } = &mut *state;
            change.apply(records);
            kept.follow(touched.clone(), records);
            concerned_by_it.append(&mut concerned(&touched, &state));
            concerned_by_it.iter().for_each(|id| state.news.tell(id));
            Ok::<_, E>((answer, told))
        })?;
        for event in told {
            tracing::info!(kind = %event.kind, "{}", event.message);
            // Nobody follows: nobody to tell.
            let _ = self.events.send(event);
        }
        self.wake();
        Ok(answer)
    }

    /// Reads the records again if a commit failed since they were read.
    fn resolve(&self, state: &mut State) -> Result<(), LoadError> {
        if !state.is_doubtful {
            return Ok(());
        }
        let records = Records::load(&*self.store)?;
        state.kept.renew(&records);
        state.records = records;
        state.is_doubtful = false;
        state.records.machines.keys().for_each(|id| state.news.tell(id));
        Ok(())
    }

    /// Whether nobody has taken the lead since: asked right before each effect in the world, for one
    /// that stood still meanwhile does not know.
    pub fn leads(&self) -> Result<(), CommitError> {
        on_disk(|| self.store.holds(self.fence))
    }

    /// Records events that change nothing else.
    pub fn tell(&self, events: Vec<NewEvent>) -> Result<(), ChangeError> {
        self.change(|_| Ok((events.into_iter().fold(Change::default(), Change::event), ())))
    }

    /// What counts now: what an operator has settled since, and else what this controller was started
    /// with.
    pub fn policy(&self) -> Policy {
        policy(&self.state().records, &self.policy)
    }

    /// The planner's view of the state, for a look at what might be.
    pub fn fleet(&self) -> Fleet {
        self.state().kept.fleet().clone()
    }

    /// Keeps what a probe met with.
    pub fn probed(&self, id: &MachineId, probe: Probe) {
        self.state().kept.probed(id, probe);
        self.wake();
    }

    /// Keeps the provider's word.
    pub fn provider_said(&self, id: &MachineId, word: ProviderWord) {
        self.state().kept.provider_said(id, word);
        self.wake();
    }

    /// The provider was asked for a machine in a zone: it had one, or none, and why.
    pub fn provider_had_room(&self, zone: &ZoneName, room: Result<(), &str>) {
        {
            let state = &mut *self.state();
            state.kept.provider_had_room(zone, room, state.now);
        }
        self.wake();
    }

    /// Keeps what another machine said of one.
    pub fn peer_said(&self, id: &MachineId, word: PeerWord) {
        self.state().kept.peer_said(id, word);
        self.wake();
    }

    /// Marks a machine silent; answers whether that is news.
    pub fn is_newly_silent(&self, id: &MachineId) -> bool {
        self.state().observed.silent.insert(id.clone())
    }
}

/// What an operator has settled while the cluster ran, over what the controller was started with. A
/// zone that this is not started with has no machines.
fn policy(records: &Records, started: &Policy) -> Policy {
    let mut policy = started.clone();
    for (zone, allowed) in &mut policy.zones {
        if let Some(set) = records.zones.get(zone) {
            let idle_for = set.idle_for.duration();
            *allowed = ZonePolicy { min: set.min, max: set.max, idle: set.idle, idle_for };
        }
    }
    policy
}
