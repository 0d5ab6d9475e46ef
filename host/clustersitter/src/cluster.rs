//! The state of the cluster, and the one way to change it.

mod desired;
pub mod rollback;
mod secrets;
mod view;
mod wants;

pub use secrets::SecretError;
pub use wants::{jobs_missing, wanted, wants};

use crate::records::{Change, LoadError, MachineRecord, Records};
use cerebro_api::body::{Heartbeat, JoinRequest, Report};
use cerebro_machines::{LocalProvider, MachineProvider};
use cerebro_model::{
    Assignment, Deployment, Event, EventKind, Instance, InstanceId, InstanceStatus, MachineId,
    MachineState, MachineStats, Phase, Subject, Timestamp,
};
use cerebro_planner::cluster::{
    Fleet, Note, ObservedMachine, Policy, Probe, ProviderWord, SeenInstance,
};
use cerebro_store::{Blobs, CommitError, Fence, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
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
}

/// Why an agent is not listened to.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No machine of ours.
    #[error(
        "no machine {0} is known here: it was given up or never made by this cluster; its agent should stop what it runs"
    )]
    Unknown(MachineId),
    /// Not that machine's agent.
    #[error(
        "the token is not that of machine {0}: an agent of another machine, or of an earlier one of that name"
    )]
    WrongToken(MachineId),
    /// Its machine was given up.
    #[error("machine {0} was given up: its agent should stop what it runs")]
    GivenUp(MachineId),
    /// Its word could not be kept.
    #[error(transparent)]
    Change(#[from] ChangeError),
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
    probes: BTreeMap<MachineId, Probe>,
    words: BTreeMap<MachineId, ProviderWord>,
    statuses: BTreeMap<InstanceId, InstanceStatus>,
    /// Machines whose silence was told.
    silent: BTreeSet<MachineId>,
    notes: Vec<Note>,
    /// What each machine was told last, and the index that this had.
    told: BTreeMap<MachineId, (u64, Vec<Assignment>)>,
    last_index: u64,
    /// Which secrets were given for each instance, as it is placed and deployed now.
    given: BTreeMap<InstanceId, secrets::Given>,
}

/// Records and observations.
#[derive(Debug, Default)]
pub struct State {
    /// What the store keeps.
    pub records: Records,
    /// What was heard.
    pub observed: Observed,
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
    /// What the operator has settled.
    pub policy: Policy,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    events: broadcast::Sender<Event>,
}

/// The present, by the wall clock.
pub fn now() -> Timestamp {
    SystemTime::now().into()
}

/// An event about `subject`; its number comes with the commit.
pub fn event(kind: EventKind, subject: Subject, message: impl Into<String>) -> Event {
    Event { seq: 0, at: now(), kind, subject, message: message.into() }
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
        let state = Mutex::new(State { records, observed: Observed::default() });
        let (changed, events) = (watch::Sender::new(0), broadcast::Sender::new(EVENTS_IN_FLIGHT));
        Ok(Self { store, fence, blobs, provider, local: None, policy, state, changed, events })
    }

    /// The same, with machines of this host, which can be killed on demand.
    #[must_use]
    pub fn with_local(self, local: Arc<LocalProvider>) -> Self {
        Self { local: Some(local), ..self }
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
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever waits for news.
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
        // A commit waits for the disk: let the runtime's other tasks move on meanwhile.
        let (answer, told) = tokio::task::block_in_place(|| {
            let mut state = self.state();
            let (change, answer) = decide(&state)?;
            let batch = change.batch().map_err(ChangeError::from)?;
            if batch.is_empty() {
                return Ok((answer, Vec::new()));
            }
            let committed = self.store.commit(self.fence, batch).map_err(ChangeError::from)?;
            let mut told = change.events.clone();
            for (event, seq) in told.iter_mut().rev().zip((0..=committed.last_event).rev()) {
                event.seq = seq;
            }
            change.apply(&mut state.records);
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

    /// Records events that change nothing else.
    pub fn tell(&self, events: Vec<Event>) -> Result<(), ChangeError> {
        self.change(|_| Ok((events.into_iter().fold(Change::default(), Change::event), ())))
    }

    /// The planner's view of the state.
    pub fn fleet(&self) -> Fleet {
        let state = self.state();
        let State { records, observed } = &*state;
        let seen = |instance: &Instance| SeenInstance {
            instance: instance.clone(),
            status: observed
                .statuses
                .get(&instance.id)
                .filter(|s| s.placement == instance.placement)
                .cloned(),
        };
        let machine = |record: &MachineRecord| ObservedMachine {
            machine: record.machine.clone(),
            last_heartbeat: observed.heartbeats.get(&record.machine.id).map(|heard| heard.at),
            probe: observed.probes.get(&record.machine.id).cloned(),
            provider: observed.words.get(&record.machine.id).cloned(),
        };
        Fleet {
            jobs: records.jobs.clone(),
            deployments: records.deployments.clone(),
            instances: records
                .instances
                .iter()
                .map(|(id, instance)| (id.clone(), seen(instance)))
                .collect(),
            machines: records
                .machines
                .iter()
                .map(|(id, record)| (id.clone(), machine(record)))
                .collect(),
            next_placement: records.counters.placement,
        }
    }

    /// Keeps what a probe met with.
    pub fn probed(&self, id: &MachineId, probe: Probe) {
        self.state().observed.probes.insert(id.clone(), probe);
        self.wake();
    }

    /// Keeps the provider's word.
    pub fn provider_said(&self, id: &MachineId, word: ProviderWord) {
        self.state().observed.words.insert(id.clone(), word);
        self.wake();
    }

    /// Marks a machine silent; answers whether that is news.
    pub fn is_newly_silent(&self, id: &MachineId) -> bool {
        self.state().observed.silent.insert(id.clone())
    }

    /// Keeps the planner's notes; answers those that are new, and those that hold no longer.
    pub fn noted(&self, notes: Vec<Note>) -> (Vec<Note>, Vec<Note>) {
        let mut state = self.state();
        let before = std::mem::replace(&mut state.observed.notes, notes);
        let kind = |note: &Note| match note {
            // Seconds and probes in the words change all the time; the machine does not.
            Note::Suspect { machine, .. } => format!("suspect {machine}"),
            Note::BreakerOpen { zone, .. } => format!("breaker {zone}"),
            Note::Unplaceable { job, zone, .. } => format!("unplaceable {job} {zone}"),
        };
        let only_in = |these: &[Note], those: &[Note]| -> Vec<Note> {
            let known: BTreeSet<String> = those.iter().map(kind).collect();
            these.iter().filter(|note| !known.contains(&kind(note))).cloned().collect()
        };
        (only_in(&state.observed.notes, &before), only_in(&before, &state.observed.notes))
    }

    fn authenticate(
        state: &State,
        id: &MachineId,
        token: &str,
    ) -> Result<MachineRecord, AgentError> {
        let record =
            state.records.machines.get(id).ok_or_else(|| AgentError::Unknown(id.clone()))?;
        // Compared by digest, so that the time taken says nothing of the token.
        let digest = |text: &str| cerebro_model::Digest::of(text.as_bytes());
        if digest(&record.token) != digest(token) {
            return Err(AgentError::WrongToken(id.clone()));
        }
        match record.machine.state {
            MachineState::Provisioning | MachineState::Active { .. } => Ok(record.clone()),
            MachineState::Lost { .. } | MachineState::Terminating { .. } => {
                Err(AgentError::GivenUp(id.clone()))
            }
        }
    }

    /// An agent has started.
    pub fn joined(&self, id: &MachineId, request: &JoinRequest) -> Result<(), AgentError> {
        self.change(|state| {
            let mut record = Self::authenticate(state, id, &request.token)?;
            let first = matches!(record.machine.state, MachineState::Provisioning);
            if first {
                record.machine.state = MachineState::Active { since: now() };
            }
            (record.machine.address, record.machine.agent_port) =
                (Some(request.address), Some(request.port));
            let (pid, zone) = (request.pid, &record.machine.zone);
            let (kind, message) = match first {
                true => {
                    (EventKind::MachineJoined, format!("{id} joined {zone} at {}", request.address))
                }
                false => (
                    EventKind::AgentStarted,
                    format!("the agent of {id} started again (pid {pid})"),
                ),
            };
            let change = Change::default().machine(id, Some(record)).event(event(
                kind,
                about_machine(id),
                message,
            ));
            Ok::<_, AgentError>((change, ()))
        })?;
        self.hear(id, request.pid, MachineStats::default())
    }

    /// A heartbeat came.
    pub fn beat(&self, id: &MachineId, request: &Heartbeat) -> Result<(), AgentError> {
        Self::authenticate(&self.state(), id, &request.token)?;
        self.hear(id, request.pid, request.stats)
    }

    fn hear(&self, id: &MachineId, pid: u32, stats: MachineStats) -> Result<(), AgentError> {
        let was_silent = {
            let observed = &mut self.state().observed;
            observed.heartbeats.insert(id.clone(), Heard { at: now(), pid, stats });
            observed.silent.remove(id)
        };
        if was_silent {
            let message = format!("{id} is heard again");
            self.tell(vec![event(EventKind::MachineBack, about_machine(id), message)])?;
        }
        Ok(())
    }

    /// A report came: phases that changed become events.
    pub fn reported(&self, id: &MachineId, report: &Report) -> Result<(), AgentError> {
        let mut events: Vec<Event> = Vec::new();
        {
            let mut state = self.state();
            Self::authenticate(&state, id, &report.token)?;
            for seen in &report.events {
                let subject = Subject { machine: Some(id.clone()), ..seen.subject.clone() };
                let about =
                    subject.instance.as_ref().map_or_else(|| id.to_string(), ToString::to_string);
                let message = format!("{about}: {}", seen.message);
                events.push(Event { at: seen.at, ..event(seen.kind, subject, message) });
            }
            for status in &report.instances {
                let State { records, observed } = &mut *state;
                let Some(instance) = records.instances.get(&status.id) else { continue };
                if instance.machine != *id || instance.placement != status.placement {
                    continue;
                }
                let before = observed.statuses.insert(status.id.clone(), status.clone());
                if before.is_none_or(|before| before.phase != status.phase) {
                    events.push(event(
                        EventKind::InstancePhase,
                        about_instance(instance),
                        phase_in_words(id, status),
                    ));
                }
            }
        }
        if events.is_empty() {
            self.wake();
            return Ok(());
        }
        Ok(self.tell(events)?)
    }
}

fn phase_in_words(machine: &MachineId, status: &InstanceStatus) -> String {
    let (id, phase) = (&status.id, status.phase);
    let message = match status.message.as_str() {
        "" => String::new(),
        message => format!(": {message}"),
    };
    match (phase, status.pid) {
        (Phase::Healthy | Phase::Starting | Phase::Unhealthy, Some(pid)) => {
            format!("{id} is {phase} on {machine} (pid {pid}){message}")
        }
        _ => format!("{id} is {phase} on {machine}{message}"),
    }
}
