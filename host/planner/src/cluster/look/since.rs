//! What has changed since the look that was kept last, record by record.

use super::{Heard, Look, silent};
use crate::cluster::{Approvals, Fleet, Full, Named, ObservedMachine, Own, Policy, SeenInstance};
use cerebro_model::{
    Deployment, DeploymentId, InstanceId, JobName, JobRecord, MachineId, Pause, PauseScope,
    Timestamp, Tombstone, ZoneName,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Records of a sort that have changed; none for one that is gone.
type Changed<K, T> = BTreeMap<K, Option<T>>;

/// What has changed since the look that was kept before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Since {
    now: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy: Option<Policy>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    jobs: Changed<JobName, JobRecord>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    deployments: Changed<DeploymentId, Deployment>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    instances: Changed<InstanceId, SeenInstance>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    machines: Changed<MachineId, ObservedMachine>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    silent: Changed<MachineId, Heard>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tombstones: Changed<MachineId, Tombstone>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    names: Changed<String, Named>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rest: Option<Rest>,
}

/// What is small, and kept whole where any of it has changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Rest {
    next_placement: u64,
    pauses: Vec<Pause>,
    observe_only: Option<bool>,
    own: Own,
    approvals: Approvals,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    full: BTreeMap<ZoneName, Full>,
}

/// A look as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// All of it.
    Whole(Box<Look>),
    /// What has changed since the one before it.
    Since(Box<Since>),
}

/// Finds out what has changed since the look that was kept last. It is told which records may have; what
/// else a look goes by it compares.
#[derive(Debug, Default)]
pub struct Recorder {
    /// None before the first.
    last: Option<Last>,
    jobs: BTreeSet<JobName>,
    deployments: BTreeSet<DeploymentId>,
    instances: BTreeSet<InstanceId>,
    machines: BTreeSet<MachineId>,
    names: BTreeSet<String>,
}

#[derive(Debug)]
struct Last {
    policy: Policy,
    silent: BTreeMap<MachineId, Heard>,
    /// Which machines were without work is found with each look, and not told.
    idle: BTreeMap<MachineId, Timestamp>,
    tombstones: BTreeMap<MachineId, Tombstone>,
    rest: Rest,
}

impl Recorder {
    /// A job may have changed.
    pub fn job(&mut self, name: &JobName) {
        // Before the first there is nothing to build on.
        if self.last.is_some() {
            self.jobs.insert(name.clone());
        }
    }

    /// A deployment may have changed.
    pub fn deployment(&mut self, id: &DeploymentId) {
        // Before the first there is nothing to build on.
        if self.last.is_some() {
            self.deployments.insert(id.clone());
        }
    }

    /// An instance, or what is known of it, may have changed.
    pub fn instance(&mut self, id: &InstanceId) {
        // Before the first there is nothing to build on.
        if self.last.is_some() {
            self.instances.insert(id.clone());
        }
    }

    /// A machine, or what is known of it beside its heartbeats, may have changed.
    pub fn machine(&mut self, id: &MachineId) {
        // Before the first there is nothing to build on.
        if self.last.is_some() {
            self.machines.insert(id.clone());
        }
    }

    /// What is published under a name, or answered, may have changed.
    pub fn name(&mut self, name: &str) {
        // Before the first there is nothing to build on.
        if self.last.is_some() {
            self.names.insert(name.to_owned());
        }
    }

    /// Anything may have changed, or what was kept last was not: the next one is whole.
    pub fn begin_anew(&mut self) {
        *self = Self::default();
    }

    /// The look at `fleet`, as it is to be kept now; all of it if `whole`.
    pub fn entry(&mut self, fleet: &Fleet, policy: &Policy, now: Timestamp, whole: bool) -> Entry {
        let (told, last) = (std::mem::take(self), Last::of(fleet, policy, now));
        let entry = match told.last.as_ref().filter(|_| !whole) {
            None => Entry::Whole(Box::new(Look::of(fleet, policy, now))),
            Some(before) => Entry::Since(Box::new(told.since(before, &last, fleet, now))),
        };
        self.last = Some(last);
        entry
    }

    fn since(&self, before: &Last, last: &Last, fleet: &Fleet, now: Timestamp) -> Since {
        let mut machines = self.machines.clone();
        machines.extend(differing(&before.idle, &last.idle));
        let machine = |id: &MachineId| {
            fleet.machines.get(id).map(|it| ObservedMachine { last_heartbeat: None, ..it.clone() })
        };
        let changed_from = |differs: bool| differs.then(|| last.rest.clone());
        Since {
            now,
            policy: (before.policy != last.policy).then(|| last.policy.clone()),
            jobs: records(&self.jobs, |id| fleet.jobs.get(id).cloned()),
            deployments: records(&self.deployments, |id| fleet.deployments.get(id).cloned()),
            instances: records(&self.instances, |id| fleet.instances.get(id).cloned()),
            machines: records(&machines, machine),
            silent: records(&differing(&before.silent, &last.silent), |id| {
                last.silent.get(id).copied()
            }),
            tombstones: records(&differing(&before.tombstones, &last.tombstones), |id| {
                last.tombstones.get(id).cloned()
            }),
            names: records(&self.names, |name| fleet.names.get(name).cloned()),
            rest: changed_from(before.rest != last.rest),
        }
    }
}

fn records<K: Ord + Clone, T>(
    keys: &BTreeSet<K>,
    record: impl Fn(&K) -> Option<T>,
) -> Changed<K, T> {
    keys.iter().map(|key| (key.clone(), record(key))).collect()
}

/// The keys under which there is something else in one than in the other.
fn differing<K: Ord + Clone, T: PartialEq>(
    one: &BTreeMap<K, T>,
    other: &BTreeMap<K, T>,
) -> BTreeSet<K> {
    let differs = |key: &&K| one.get(*key) != other.get(*key);
    one.keys().chain(other.keys()).filter(differs).cloned().collect()
}

impl Last {
    fn of(fleet: &Fleet, policy: &Policy, now: Timestamp) -> Self {
        let idle = fleet.machines.iter();
        let idle = idle.filter_map(|(id, it)| Some((id.clone(), it.idle_since?)));
        Self {
            policy: policy.clone(),
            silent: silent(fleet, policy, now),
            idle: idle.collect(),
            tombstones: fleet.brakes.tombstones.clone(),
            rest: Rest {
                next_placement: fleet.next_placement,
                pauses: fleet.brakes.pauses.values().cloned().collect(),
                observe_only: fleet.brakes.observe_only,
                own: fleet.own.as_it_counts(),
                approvals: fleet.approvals.clone(),
                full: fleet.full.clone(),
            },
        }
    }
}

impl Look {
    /// The next one, where this has changed since.
    pub fn follow(&mut self, since: Since) {
        let Since { now, policy, jobs, deployments, instances, machines, .. } = since;
        let Since { silent, tombstones, names, rest, .. } = since;
        self.now = now;
        if let Some(policy) = policy {
            self.policy = policy;
        }
        let fleet = &mut self.fleet;
        apply(&mut fleet.jobs, jobs);
        apply(&mut fleet.deployments, deployments);
        apply(&mut fleet.instances, instances);
        apply(&mut fleet.machines, machines);
        apply(&mut fleet.names, names);
        apply(&mut self.silent, silent);
        apply(&mut fleet.brakes.tombstones, tombstones);
        if let Some(Rest { next_placement, pauses, observe_only, own, approvals, full }) = rest {
            fleet.full = full;
            let by_scope = |pause: Pause| -> (PauseScope, Pause) { (pause.scope.clone(), pause) };
            fleet.next_placement = next_placement;
            fleet.brakes.pauses = pauses.into_iter().map(by_scope).collect();
            fleet.brakes.observe_only = observe_only;
            (fleet.own, fleet.approvals) = (own, approvals);
        }
    }
}

fn apply<K: Ord, T>(records: &mut BTreeMap<K, T>, changed: Changed<K, T>) {
    for (key, record) in changed {
        match record {
            Some(record) => drop(records.insert(key, record)),
            None => drop(records.remove(&key)),
        }
    }
}
