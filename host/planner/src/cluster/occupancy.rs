//! Who is where: what is kept between two looks, so that a look need not go through every instance.

use super::load::{Load, Takes};
use super::{Fleet, Names};
use cerebro_model::{Deployment, DeploymentId, Instance, InstanceId, JobName, MachineId, ZoneName};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Who is where, and what that takes of each machine. It follows the instances of a [`Fleet`], one
/// change at a time, and is at any time what [`Occupancy::of`] would make of that fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Occupancy {
    machines: BTreeMap<MachineId, Occupied>,
    tenants: HashMap<InstanceId, Tenant>,
    jobs: HashMap<JobName, BTreeMap<ZoneName, Group>>,
    names: Names,
}

/// One job's instances in one zone: their machines, by their numbers.
pub(super) type Group = BTreeMap<u32, MachineId>;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Occupied {
    pub load: Load,
    pub tenants: BTreeSet<InstanceId>,
    /// Those that move elsewhere, and still have their room here.
    pub leaving: BTreeSet<InstanceId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Tenant {
    machine: MachineId,
    job: JobName,
    zone: ZoneName,
    number: u32,
    takes: Takes,
    /// What it has where it comes from, while it moves.
    left: Option<(MachineId, Takes)>,
}

impl Occupancy {
    /// Of everything that a snapshot holds.
    pub fn of(fleet: &Fleet) -> Self {
        let mut occupancy = Self::default();
        for seen in fleet.instances.values() {
            occupancy.put(&seen.instance, |id| fleet.deployments.get(id));
        }
        occupancy.names = Names::of(fleet);
        occupancy
    }

    /// An instance is new, or is somewhere else or runs something else than before.
    pub fn put<'d>(
        &mut self,
        instance: &Instance,
        find: impl Fn(&DeploymentId) -> Option<&'d Deployment>,
    ) {
        self.remove(&instance.id);
        let Instance { id, job, zone, number, machine, ports, leaving, .. } = instance;
        let takes = |runs, ports| match find(runs) {
            Some(deployment) => Takes::of(deployment, zone, ports),
            None => Takes::unknown(job, ports),
        };
        let left = leaving
            .as_ref()
            .map(|left| (left.machine.clone(), takes(&left.deployment, &left.ports)));
        if let Some((machine, takes)) = &left {
            let occupied = self.machines.entry(machine.clone()).or_default();
            occupied.load.take(id, takes);
            occupied.leaving.insert(id.clone());
        }
        let takes = takes(&instance.deployment, ports);
        let occupied = self.machines.entry(machine.clone()).or_default();
        occupied.load.take(id, &takes);
        occupied.tenants.insert(id.clone());
        let zones = self.jobs.entry(job.clone()).or_default();
        zones.entry(zone.clone()).or_default().insert(*number, machine.clone());
        let (machine, job, zone) = (machine.clone(), job.clone(), zone.clone());
        let tenant = Tenant { machine, job, zone, number: *number, takes, left };
        self.tenants.insert(id.clone(), tenant);
    }

    /// An instance is gone.
    pub fn remove(&mut self, id: &InstanceId) {
        let Some(Tenant { machine, job, zone, number, takes, left }) = self.tenants.remove(id)
        else {
            return;
        };
        for (machine, takes) in left.into_iter().chain([(machine, takes)]) {
            let Some(occupied) = self.machines.get_mut(&machine) else { continue };
            occupied.load.give_back(id, &takes);
            occupied.tenants.remove(id);
            occupied.leaving.remove(id);
            if occupied.tenants.is_empty() && occupied.leaving.is_empty() {
                self.machines.remove(&machine);
            }
        }
        let Some(zones) = self.jobs.get_mut(&job) else { return };
        if let Some(group) = zones.get_mut(&zone) {
            group.remove(&number);
            if group.is_empty() {
                zones.remove(&zone);
            }
        }
        if zones.is_empty() {
            self.jobs.remove(&job);
        }
    }

    /// Something was heard of an instance, or it is new, changed or gone.
    pub fn heard_of(&mut self, fleet: &Fleet, id: &InstanceId) {
        self.names.instance(fleet, id);
    }

    /// A machine's state or address has changed.
    pub fn heard_of_machine(&mut self, fleet: &Fleet, machine: &MachineId) {
        let ids: Vec<InstanceId> =
            self.tenants(machine).chain(self.leaving(machine)).cloned().collect();
        ids.iter().for_each(|id| self.names.instance(fleet, id));
    }

    /// A deployment has come further, or ended.
    pub fn heard_of_deployment(&mut self, fleet: &Fleet, job: &JobName) {
        let zones = self.jobs.get(job).into_iter().flatten();
        let ids: Vec<InstanceId> = zones
            .flat_map(|(zone, group)| group.keys().map(|n| InstanceId::new(*n, zone, job)))
            .collect();
        ids.iter().for_each(|id| self.names.instance(fleet, id));
    }

    /// What is published under a name has changed.
    pub fn published(&mut self, fleet: &Fleet, name: &str) {
        self.names.name(fleet, name);
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// The instances on a machine, in the order of their ids.
    pub fn tenants(&self, machine: &MachineId) -> impl Iterator<Item = &InstanceId> {
        self.machines.get(machine).into_iter().flat_map(|occupied| &occupied.tenants)
    }

    /// The instances that move away from a machine, in the order of their ids.
    pub fn leaving(&self, machine: &MachineId) -> impl Iterator<Item = &InstanceId> {
        self.machines.get(machine).into_iter().flat_map(|occupied| &occupied.leaving)
    }

    /// Whether a machine has no instance, not even one that moves away.
    pub fn is_free(&self, machine: &MachineId) -> bool {
        !self.machines.contains_key(machine)
    }

    /// The machines of a job's instances, each as often as there are of them there.
    pub fn machines_of(&self, job: &JobName) -> impl Iterator<Item = &MachineId> {
        self.jobs.get(job).into_iter().flat_map(BTreeMap::values).flat_map(BTreeMap::values)
    }

    /// Every machine that has instances, in the order of their ids.
    pub(super) fn machines(&self) -> impl Iterator<Item = (&MachineId, &Occupied)> {
        self.machines.iter()
    }

    /// What an instance takes, with its machine.
    pub(super) fn takes(&self, id: &InstanceId) -> Option<(&MachineId, &Takes)> {
        self.tenants.get(id).map(|tenant| (&tenant.machine, &tenant.takes))
    }

    /// One job's instances, by zone.
    pub(super) fn groups(&self, job: &JobName) -> Option<&BTreeMap<ZoneName, Group>> {
        self.jobs.get(job)
    }

    /// One job's instances in one zone.
    pub(super) fn group(&self, job: &JobName, zone: &ZoneName) -> Option<&Group> {
        self.jobs.get(job)?.get(zone)
    }

    /// Every job that has instances, with these by zone; in no order.
    pub(super) fn jobs(&self) -> impl Iterator<Item = (&JobName, &BTreeMap<ZoneName, Group>)> {
        self.jobs.iter()
    }

    /// Where an instance belongs: job, zone and number.
    pub(super) fn belongs(&self, id: &InstanceId) -> Option<(&JobName, &ZoneName, u32)> {
        self.tenants.get(id).map(|tenant| (&tenant.job, &tenant.zone, tenant.number))
    }
}
