//! Gives every job the instances that it should have, and every zone the machines.

use super::place::{self, Bin, Need};
use super::{Fleet, Note, Plan, Policy, SeenInstance, Step, repair};
use cerebro_model::{
    Deployment, Instance, InstanceId, JobName, Machine, MachineState, Timestamp, ZoneName,
};
use std::collections::{BTreeMap, BTreeSet};

/// Why some instances of a job have no place yet.
pub(super) type Unplaced = BTreeMap<JobName, String>;

pub(super) fn plan(fleet: &Fleet, policy: &Policy, now: Timestamp, plan: &mut Plan) -> Unplaced {
    let mut filling = Filling {
        fleet,
        policy,
        now,
        bins: bins(fleet, policy, now),
        placement: fleet.next_placement,
    };
    filling.remove_surplus(plan);
    let mut unplaced = Unplaced::new();
    for name in fleet.jobs.keys() {
        if let Some(target) = fleet.target(name) {
            filling.fill_job(target, plan, &mut unplaced);
        }
    }
    filling.keep_minimum(plan);
    unplaced
}

struct Filling<'a> {
    fleet: &'a Fleet,
    policy: &'a Policy,
    now: Timestamp,
    /// By zone: machines that are there or coming, with what is taken of them.
    bins: BTreeMap<ZoneName, Vec<Bin>>,
    placement: u64,
}

/// Whether an instance's machine still counts: a lost one's instances are placed anew.
pub(super) fn has_place(fleet: &Fleet, seen: &SeenInstance) -> bool {
    fleet
        .machines
        .get(&seen.instance.machine)
        .is_some_and(|observed| observed.machine.state.is_active())
}

fn is_coming(machine: &Machine) -> bool {
    matches!(machine.state, MachineState::Provisioning)
}

fn bins(fleet: &Fleet, policy: &Policy, now: Timestamp) -> BTreeMap<ZoneName, Vec<Bin>> {
    let mut bins: BTreeMap<ZoneName, Vec<Bin>> = BTreeMap::new();
    for (id, observed) in &fleet.machines {
        let machine = &observed.machine;
        let usable = machine.state.is_active() && !repair::is_silent(observed, policy, now);
        if !usable && !is_coming(machine) {
            continue;
        }
        let mut bin = Bin::empty(machine.state.is_active().then(|| id.clone()), machine.capacity);
        for seen in fleet.instances.values().filter(|seen| seen.instance.machine == *id) {
            if let Some(deployment) = fleet.deployments.get(&seen.instance.deployment) {
                bin.take(&Need::of(&deployment.job, &seen.instance.zone), &seen.instance.ports);
            }
        }
        bins.entry(machine.zone.clone()).or_default().push(bin);
    }
    bins
}

impl Filling<'_> {
    /// Instances of deleted jobs, of zones that a job left, and above the number in a zone.
    fn remove_surplus(&self, plan: &mut Plan) {
        for (id, seen) in &self.fleet.instances {
            let Instance { job, zone, number, .. } = &seen.instance;
            let reason = match self.fleet.jobs.get(job) {
                None => format!("{job} was deleted"),
                Some(_) => match self.fleet.target(job) {
                    // Nothing says how many there should be: what is there stays.
                    None => continue,
                    Some(target) => match target.job.deployment_layout.get(zone) {
                        None => format!("{job} runs in {zone} no longer"),
                        Some(layout) if *number >= layout.instances() => {
                            format!("{job} has {} instances in {zone} now", layout.instances())
                        }
                        Some(_) => continue,
                    },
                },
            };
            plan.decide(Step::Remove(id.clone()), reason);
        }
    }

    fn fill_job(&mut self, target: &Deployment, plan: &mut Plan, unplaced: &mut Unplaced) {
        let job = target.job_name();
        for (zone, layout) in &target.job.deployment_layout {
            let need = Need::of(&target.job, zone);
            for number in 0..layout.instances() {
                let id = InstanceId::new(number, zone, job);
                let present = self.fleet.instances.get(&id);
                if present.is_some_and(|seen| has_place(self.fleet, seen)) {
                    continue;
                }
                let reason = match present {
                    Some(seen) => format!("{id} was on {}, which is lost", seen.instance.machine),
                    None => format!("{job} should have {} instances in {zone}", layout.instances()),
                };
                match self.place(target, zone, &need, id, number) {
                    Ok(Some(instance)) => plan.decide(Step::Place(instance), reason),
                    Ok(None) => {}
                    Err(NoRoom::Provision) => plan.decide(
                        Step::Provision { zone: zone.clone() },
                        format!("{job} has no room in {zone} for an instance"),
                    ),
                    Err(NoRoom::Full(why)) => {
                        // The rest of this zone's instances need the same.
                        plan.notes.push(Note::Unplaceable {
                            job: job.clone(),
                            zone: zone.clone(),
                            why: why.clone(),
                        });
                        unplaced.insert(job.clone(), why);
                        break;
                    }
                }
            }
        }
    }

    /// The instance with its place; none if it waits for a machine that is coming.
    fn place(
        &mut self,
        target: &Deployment,
        zone: &ZoneName,
        need: &Need<'_>,
        id: InstanceId,
        number: u32,
    ) -> Result<Option<Instance>, NoRoom> {
        let Some(allowed) = self.policy.zones.get(zone) else {
            let known: Vec<_> = self.policy.zones.keys().map(ZoneName::as_str).collect();
            let why = format!("this cluster has no zone {zone}; it has: {}", known.join(", "));
            return Err(NoRoom::Full(why));
        };
        let bins = self.bins.entry(zone.clone()).or_default();
        // Machines that are there go before those that are coming.
        let (here, _) = split(bins);
        let Some(bin) = place::best(here, need) else {
            let (here, coming) = split(bins);
            if let Some(bin) = place::best(coming, need) {
                bin.take(need, &target.job.ports);
                return Ok(None);
            }
            let mut fresh = Bin::empty(None, self.policy.machine_capacity);
            let exist = here.len() + coming.len();
            if fresh.fits(need) && exist < allowed.max as usize {
                fresh.take(need, &target.job.ports);
                bins.push(fresh);
                return Err(NoRoom::Provision);
            }
            return Err(NoRoom::Full(place::why_not(
                bins,
                need,
                zone,
                self.policy.machine_capacity,
            )));
        };
        let Some(machine) = bin.machine.clone() else { return Ok(None) };
        let ports = bin.choose_ports(&target.job);
        bin.take(need, &ports);
        let placement = self.placement;
        self.placement += 1;
        let (job, zone) = (target.job_name().clone(), zone.clone());
        let deployment = target.id.clone();
        Ok(Some(Instance {
            id,
            job,
            zone,
            number,
            machine,
            placement,
            ports,
            deployment,
            since: self.now,
        }))
    }

    /// Machines that a zone should have even without work.
    fn keep_minimum(&self, plan: &mut Plan) {
        for (zone, allowed) in &self.policy.zones {
            // A silent machine has no bin, but it is there until it is given up.
            let alive = |machine: &Machine| machine.state.is_active() || is_coming(machine);
            let here = self
                .fleet
                .machines
                .values()
                .map(|o| &o.machine)
                .filter(|m| m.zone == *zone && alive(m))
                .count();
            let asked = plan
                .decisions
                .iter()
                .filter(|d| d.step == Step::Provision { zone: zone.clone() })
                .count();
            for _ in here + asked..allowed.min as usize {
                let reason = format!("{zone} should have {} machines", allowed.min);
                plan.decide(Step::Provision { zone: zone.clone() }, reason);
            }
        }
    }
}

enum NoRoom {
    /// A new machine would help, and may be had.
    Provision,
    /// Nothing helps.
    Full(String),
}

/// Machines that are there, and those that are coming.
fn split(bins: &mut [Bin]) -> (&mut [Bin], &mut [Bin]) {
    bins.sort_by_key(|bin| bin.machine.is_none());
    let here = bins.partition_point(|bin| bin.machine.is_some());
    bins.split_at_mut(here)
}

/// Every instance that a deployment should reach.
pub(super) fn wanted(target: &Deployment) -> BTreeSet<InstanceId> {
    let zones = target.job.deployment_layout.iter();
    zones
        .flat_map(|(zone, layout)| {
            (0..layout.instances())
                .map(move |number| InstanceId::new(number, zone, target.job_name()))
        })
        .collect()
}
