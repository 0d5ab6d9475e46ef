//! How things are kept in the store: one key each, JSON as the API shows it.

mod token;

pub use token::AgentToken;

use cerebro_machines::Intent;
use cerebro_model::{
    Attempt, DecisionId, Deployment, DeploymentId, Digest, Event, EventKind, Instance, InstanceId,
    JobName, JobRecord, Machine, MachineId, Pause, PauseScope, Publication, Recipe, RecipeName,
    Secret, SecretName, Subject, Timestamp, Tombstone, ZoneName, ZoneSettings,
};
use cerebro_store::{Batch, Entry, Store, StoreError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A record cannot be read back: the store was written by something else.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The store failed.
    #[error("the store cannot be read")]
    Store(#[from] StoreError),
    /// A record is not what its key says.
    #[error(
        "`{key}` in the store is not a record of this version: restore a backup, or run the version that wrote it"
    )]
    Record {
        /// Its key.
        key: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

/// A machine, with what only the controller and its agent may know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MachineRecord {
    pub machine: Machine,
    /// Proves an agent to be this machine's.
    pub token: AgentToken,
    /// By which its provider knows it, where that does not follow from the token: its agent has one of its own since, or
    /// another controller had it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<Intent>,
    /// The term in which it was decided to make it, or to expect it; 0, if that is not known.
    #[serde(default)]
    pub term: u64,
    /// When it was heard again after a silence of its own; the last few times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comebacks: Vec<Timestamp>,
    /// What was tried with it, the intent before the effect; the last few times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
}

impl MachineRecord {
    /// The intent by which its provider was asked to make it; none, if that cannot be known.
    pub fn made_by(&self) -> Option<Intent> {
        self.made_by.clone().or_else(|| self.token.known().map(Intent::of))
    }
}

/// A machine that was destroyed and forgotten: should its agent show up after all, it is to stop what
/// it runs. An agent that is merely not known here goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    pub machine: MachineId,
    pub at: Timestamp,
    /// Of its token: a machine of another store may have had the same id.
    pub token: Digest,
    /// By which its provider knew it, if one did: what is there by it all the same is to be ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
}

/// A secret, without what it is: that the store keeps apart, and nobody holds it here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRecord {
    pub name: SecretName,
    /// In bytes.
    pub size: u64,
    pub created_at: Timestamp,
    pub changed_at: Timestamp,
}

/// Whether repairs are only proposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairMode {
    pub observe_only: bool,
    /// Who said so.
    pub author: String,
    pub since: Timestamp,
}

/// The next numbers of everything that is numbered; none is used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    pub machine: u64,
    pub deployment: u64,
    pub placement: u64,
}

impl Default for Counters {
    fn default() -> Self {
        Self { machine: 1, deployment: 1, placement: 1 }
    }
}

/// Everything that the store keeps.
#[derive(Debug, Clone, Default)]
pub struct Records {
    pub jobs: BTreeMap<JobName, JobRecord>,
    pub recipes: BTreeMap<RecipeName, Recipe>,
    pub deployments: BTreeMap<DeploymentId, Deployment>,
    pub instances: BTreeMap<InstanceId, Instance>,
    pub machines: BTreeMap<MachineId, MachineRecord>,
    pub secrets: BTreeMap<SecretName, SecretRecord>,
    pub zones: BTreeMap<ZoneName, ZoneSettings>,
    pub gone: BTreeMap<MachineId, Gone>,
    /// The last pause of each scope, whether it is over or not.
    pub pauses: BTreeMap<PauseScope, Pause>,
    /// Machines that were given up, for as long as that says something.
    pub tombstones: BTreeMap<MachineId, Tombstone>,
    /// What is to be published, by name.
    pub names: BTreeMap<String, Publication>,
    /// None if nobody has said otherwise than the command line.
    pub repair_mode: Option<RepairMode>,
    pub counters: Counters,
}

const COUNTERS: &str = "counters";
const REPAIR_MODE: &str = "repair-mode";

fn value<T: DeserializeOwned>(entry: &Entry) -> Result<T, LoadError> {
    serde_json::from_slice(&entry.value)
        .map_err(|source| LoadError::Record { key: entry.key.clone(), source })
}

fn all<K: Ord, T: DeserializeOwned>(
    entries: &[Entry],
    prefix: &str,
    key: impl Fn(&T) -> K,
) -> Result<BTreeMap<K, T>, LoadError> {
    let entries = entries.iter().filter(|entry| entry.key.starts_with(prefix));
    entries.map(|entry| value(entry).map(|item| (key(&item), item))).collect()
}

impl Records {
    /// Reads everything, as of one moment.
    pub fn load(store: &dyn Store) -> Result<Self, LoadError> {
        Self::of(&store.scan("")?)
    }

    /// The same, from what was read.
    pub fn of(entries: &[Entry]) -> Result<Self, LoadError> {
        let counters = entries.iter().find(|entry| entry.key == COUNTERS);
        let repair_mode = entries.iter().find(|entry| entry.key == REPAIR_MODE);
        Ok(Self {
            jobs: all(entries, "job/", |record: &JobRecord| record.job.dns_basename.clone())?,
            recipes: all(entries, "recipe/", |recipe: &Recipe| recipe.name.clone())?,
            deployments: all(entries, "deployment/", |deployment: &Deployment| {
                deployment.id.clone()
            })?,
            instances: all(entries, "instance/", |instance: &Instance| instance.id.clone())?,
            machines: all(entries, "machine/", |record: &MachineRecord| record.machine.id.clone())?,
            zones: all(entries, "zone/", |settings: &ZoneSettings| settings.zone.clone())?,
            gone: all(entries, "gone/", |gone: &Gone| gone.machine.clone())?,
            secrets: all(entries, "secret/", |record: &SecretRecord| record.name.clone())?,
            pauses: all(entries, "pause/", |pause: &Pause| pause.scope.clone())?,
            tombstones: all(entries, "tombstone/", |it: &Tombstone| it.machine.clone())?,
            names: all(entries, "name/", Publication::name)?,
            repair_mode: repair_mode.map(value).transpose()?,
            counters: counters.map(value).transpose()?.unwrap_or_default(),
        })
    }

    /// All of it that the planner looks at.
    pub fn all(&self) -> Vec<Touched> {
        let jobs = self.jobs.keys().cloned().map(Touched::Job);
        let deployments = self.deployments.keys().cloned().map(Touched::Deployment);
        let machines = self.machines.keys().cloned().map(Touched::Machine);
        let instances = self.instances.keys().cloned().map(Touched::Instance);
        let records = jobs.chain(deployments).chain(machines).chain(instances);
        let names = self.names.keys().cloned().map(Touched::Name);
        records.chain(names).chain([Touched::Brakes]).collect()
    }
}

/// A record that has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched {
    Job(JobName),
    Deployment(DeploymentId),
    Instance(InstanceId),
    Machine(MachineId),
    /// What is published under a name.
    Name(String),
    /// What the brakes go by.
    Brakes,
}

/// One change: of the records, and of the store by the same words, with the events that tell it.
#[derive(Debug, Default)]
pub struct Change {
    changes: Vec<One>,
    pub events: Vec<NewEvent>,
}

/// An event that a change tells; it gets its number with the commit.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// When it happened, if that was not just now.
    pub at: Option<Timestamp>,
    pub kind: EventKind,
    pub subject: Subject,
    pub message: String,
    /// What it comes from, if it was decided.
    pub decision: Option<DecisionId>,
}

impl NewEvent {
    fn told(&self, now: Timestamp) -> Event {
        let (kind, subject, message) = (self.kind, self.subject.clone(), self.message.clone());
        let decision = self.decision.clone();
        Event { seq: 0, at: self.at.unwrap_or(now), kind, subject, message, decision }
    }
}

#[derive(Debug)]
enum One {
    Job(JobName, Option<Box<JobRecord>>),
    Recipe(Box<Recipe>),
    Deployment(DeploymentId, Option<Box<Deployment>>),
    Instance(InstanceId, Option<Box<Instance>>),
    Machine(MachineId, Option<Box<MachineRecord>>),
    Secret(SecretName, Option<Box<(SecretRecord, Secret)>>),
    Pause(Box<Pause>),
    NoPause(PauseScope),
    Tombstone(MachineId, Option<Box<Tombstone>>),
    RepairMode(Box<RepairMode>),
    Counters(Counters),
    Zone(Box<ZoneSettings>),
    Name(String, Option<Box<Publication>>),
    Gone(MachineId, Option<Box<Gone>>),
}

impl Change {
    pub fn job(mut self, name: &JobName, record: Option<JobRecord>) -> Self {
        self.changes.push(One::Job(name.clone(), record.map(Box::new)));
        self
    }

    pub fn recipe(mut self, recipe: Recipe) -> Self {
        self.changes.push(One::Recipe(Box::new(recipe)));
        self
    }

    pub fn deployment(mut self, id: &DeploymentId, deployment: Option<Deployment>) -> Self {
        self.changes.push(One::Deployment(id.clone(), deployment.map(Box::new)));
        self
    }

    pub fn instance(mut self, id: &InstanceId, instance: Option<Instance>) -> Self {
        self.changes.push(One::Instance(id.clone(), instance.map(Box::new)));
        self
    }

    pub fn machine(mut self, id: &MachineId, record: Option<MachineRecord>) -> Self {
        self.changes.push(One::Machine(id.clone(), record.map(Box::new)));
        self
    }

    pub fn secret(mut self, name: &SecretName, secret: Option<(SecretRecord, Secret)>) -> Self {
        self.changes.push(One::Secret(name.clone(), secret.map(Box::new)));
        self
    }

    pub fn pause(mut self, pause: Pause) -> Self {
        self.changes.push(One::Pause(Box::new(pause)));
        self
    }

    /// Forgets the pauses of what is no longer there.
    pub fn no_pause(mut self, scope: PauseScope) -> Self {
        self.changes.push(One::NoPause(scope));
        self
    }

    pub fn tombstone(mut self, id: &MachineId, tombstone: Option<Tombstone>) -> Self {
        self.changes.push(One::Tombstone(id.clone(), tombstone.map(Box::new)));
        self
    }

    pub fn repair_mode(mut self, mode: RepairMode) -> Self {
        self.changes.push(One::RepairMode(Box::new(mode)));
        self
    }

    pub fn zone(mut self, settings: ZoneSettings) -> Self {
        self.changes.push(One::Zone(Box::new(settings)));
        self
    }

    pub fn gone(mut self, id: &MachineId, gone: Option<Gone>) -> Self {
        self.changes.push(One::Gone(id.clone(), gone.map(Box::new)));
        self
    }

    pub fn name(mut self, name: &str, publication: Option<Publication>) -> Self {
        self.changes.push(One::Name(name.to_owned(), publication.map(Box::new)));
        self
    }

    pub fn counters(mut self, counters: Counters) -> Self {
        self.changes.push(One::Counters(counters));
        self
    }

    pub fn event(mut self, event: NewEvent) -> Self {
        self.events.push(event);
        self
    }

    /// Has all that it tells come from a decision.
    pub fn decided(mut self, decision: Option<&DecisionId>) -> Self {
        for event in &mut self.events {
            event.decision = decision.cloned();
        }
        self
    }

    /// What it tells, as of now.
    pub fn told(&self, now: Timestamp) -> Vec<Event> {
        self.events.iter().map(|event| event.told(now)).collect()
    }

    /// As a batch for the store, with what it tells.
    pub fn batch(&self, told: &[Event]) -> Result<Batch, serde_json::Error> {
        let mut batch = Batch::new();
        for change in &self.changes {
            if let One::Secret(name, kept) = change {
                let secret = kept.as_ref().map(|kept| kept.1.clone());
                batch = batch.secret(name.as_str(), secret);
            }
            let (key, value) = match change {
                One::Job(name, record) => (format!("job/{name}"), json(record.as_ref())?),
                One::Recipe(recipe) => (format!("recipe/{}", recipe.name), json(Some(recipe))?),
                One::Deployment(id, deployment) => {
                    (format!("deployment/{id}"), json(deployment.as_ref())?)
                }
                One::Instance(id, instance) => (format!("instance/{id}"), json(instance.as_ref())?),
                One::Machine(id, record) => (format!("machine/{id}"), json(record.as_ref())?),
                One::Secret(name, kept) => {
                    (format!("secret/{name}"), json(kept.as_ref().map(|kept| &kept.0))?)
                }
                One::Pause(pause) => (pause_key(&pause.scope), json(Some(pause))?),
                One::NoPause(scope) => (pause_key(scope), None),
                One::RepairMode(mode) => (REPAIR_MODE.to_owned(), json(Some(mode))?),
                One::Tombstone(id, it) => (format!("tombstone/{id}"), json(it.as_ref())?),
                One::Zone(settings) => (format!("zone/{}", settings.zone), json(Some(settings))?),
                One::Name(name, it) => (format!("name/{name}"), json(it.as_ref())?),
                One::Gone(id, gone) => (format!("gone/{id}"), json(gone.as_ref())?),
                One::Counters(counters) => (COUNTERS.to_owned(), json(Some(counters))?),
            };
            batch = match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            };
        }
        for event in told {
            batch = batch.event(serde_json::to_vec(event)?);
        }
        Ok(batch)
    }

    /// What it touches that the planner looks at.
    pub fn touched(&self) -> Vec<Touched> {
        let touched = self.changes.iter().filter_map(|change| match change {
            One::Job(name, _) => Some(Touched::Job(name.clone())),
            One::Deployment(id, _) => Some(Touched::Deployment(id.clone())),
            One::Instance(id, _) => Some(Touched::Instance(id.clone())),
            One::Machine(id, _) => Some(Touched::Machine(id.clone())),
            One::Name(name, _) => Some(Touched::Name(name.clone())),
            One::Pause(_) | One::NoPause(_) | One::Tombstone(..) | One::RepairMode(_) => {
                Some(Touched::Brakes)
            }
            One::Recipe(_) | One::Secret(..) | One::Counters(_) | One::Zone(_) | One::Gone(..) => {
                None
            }
        });
        touched.collect()
    }

    /// Carries the change out in memory.
    pub fn apply(self, records: &mut Records) {
        for change in self.changes {
            match change {
                One::Job(name, record) => set(&mut records.jobs, name, record),
                One::Recipe(recipe) => set(&mut records.recipes, recipe.name.clone(), Some(recipe)),
                One::Deployment(id, deployment) => set(&mut records.deployments, id, deployment),
                One::Instance(id, instance) => set(&mut records.instances, id, instance),
                One::Machine(id, record) => set(&mut records.machines, id, record),
                One::Secret(name, kept) => {
                    set(&mut records.secrets, name, kept.map(|kept| Box::new(kept.0)));
                }
                One::Pause(pause) => set(&mut records.pauses, pause.scope.clone(), Some(pause)),
                One::RepairMode(mode) => records.repair_mode = Some(*mode),
                One::NoPause(scope) => drop(records.pauses.remove(&scope)),
                One::Tombstone(id, tombstone) => set(&mut records.tombstones, id, tombstone),
                One::Zone(settings) => {
                    set(&mut records.zones, settings.zone.clone(), Some(settings));
                }
                One::Name(name, publication) => set(&mut records.names, name, publication),
                One::Gone(id, gone) => set(&mut records.gone, id, gone),
                One::Counters(counters) => records.counters = counters,
            }
        }
    }
}

fn pause_key(scope: &PauseScope) -> String {
    match scope {
        PauseScope::Cluster => "pause/cluster".to_owned(),
        PauseScope::Zone(zone) => format!("pause/zone/{zone}"),
        PauseScope::Job(job) => format!("pause/job/{job}"),
    }
}

fn json<T: Serialize>(value: Option<&T>) -> Result<Option<Vec<u8>>, serde_json::Error> {
    value.map(serde_json::to_vec).transpose()
}

fn set<K: Ord, T>(map: &mut BTreeMap<K, T>, key: K, value: Option<Box<T>>) {
    match value {
        Some(value) => drop(map.insert(key, *value)),
        None => drop(map.remove(&key)),
    }
}
