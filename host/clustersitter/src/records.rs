//! How things are kept in the store: one key each, JSON as the API shows it.

use cerebro_model::{
    Deployment, DeploymentId, Event, Instance, InstanceId, JobName, JobRecord, Machine, MachineId,
    Recipe, RecipeName, Secret, SecretName, Timestamp,
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
    /// Proves an agent to be this machine's. Part of the intent, so that creation can be repeated.
    pub token: String,
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
    pub counters: Counters,
}

const COUNTERS: &str = "counters";

fn value<T: DeserializeOwned>(entry: &Entry) -> Result<T, LoadError> {
    serde_json::from_slice(&entry.value)
        .map_err(|source| LoadError::Record { key: entry.key.clone(), source })
}

fn all<K: Ord, T: DeserializeOwned>(
    store: &dyn Store,
    prefix: &str,
    key: impl Fn(&T) -> K,
) -> Result<BTreeMap<K, T>, LoadError> {
    let entries = store.scan(prefix)?;
    entries.iter().map(|entry| value(entry).map(|item| (key(&item), item))).collect()
}

impl Records {
    /// Reads everything.
    pub fn load(store: &dyn Store) -> Result<Self, LoadError> {
        Ok(Self {
            jobs: all(store, "job/", |record: &JobRecord| record.job.dns_basename.clone())?,
            recipes: all(store, "recipe/", |recipe: &Recipe| recipe.name.clone())?,
            deployments: all(store, "deployment/", |deployment: &Deployment| {
                deployment.id.clone()
            })?,
            instances: all(store, "instance/", |instance: &Instance| instance.id.clone())?,
            machines: all(store, "machine/", |record: &MachineRecord| record.machine.id.clone())?,
            secrets: all(store, "secret/", |record: &SecretRecord| record.name.clone())?,
            counters: store.get(COUNTERS)?.as_ref().map(value).transpose()?.unwrap_or_default(),
        })
    }
}

/// One change: of the records, and of the store by the same words, with the events that tell it.
#[derive(Debug, Default)]
pub struct Change {
    changes: Vec<One>,
    pub events: Vec<Event>,
}

#[derive(Debug)]
enum One {
    Job(JobName, Option<Box<JobRecord>>),
    Recipe(Box<Recipe>),
    Deployment(DeploymentId, Option<Box<Deployment>>),
    Instance(InstanceId, Option<Box<Instance>>),
    Machine(MachineId, Option<Box<MachineRecord>>),
    Secret(SecretName, Option<Box<(SecretRecord, Secret)>>),
    Counters(Counters),
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

    pub fn counters(mut self, counters: Counters) -> Self {
        self.changes.push(One::Counters(counters));
        self
    }

    pub fn event(mut self, event: Event) -> Self {
        self.events.push(event);
        self
    }

    /// As a batch for the store.
    pub fn batch(&self) -> Result<Batch, serde_json::Error> {
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
                One::Counters(counters) => (COUNTERS.to_owned(), json(Some(counters))?),
            };
            batch = match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            };
        }
        for event in &self.events {
            batch = batch.event(serde_json::to_vec(event)?);
        }
        Ok(batch)
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
                One::Counters(counters) => records.counters = counters,
            }
        }
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
