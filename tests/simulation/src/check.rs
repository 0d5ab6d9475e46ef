//! What must always hold, looked at from outside.

mod names;

use crate::controller::{BREAKER_PERCENT, Controller, Ground, SUSPECT_AFTER, capacity};
use crate::operator::ALONE;
use crate::world::{Time, World};
use cerebro_model::{InstanceId, JobName, Machine, MachineId, MachineState, Verdict, ZoneName};
use cerebro_planner::cluster::{Brake, Note, plan};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long an instance may run in two places, while it moves from one to the other.
const MOVES_WITHIN: Duration = Duration::from_secs(60);
/// Looks for each one whose plan is made again.
const AGAIN: u64 = 64;

/// Keeps what was seen, to see what changes.
#[derive(Default)]
pub struct Check {
    lost: BTreeSet<MachineId>,
    /// Machines that people wanted given up.
    pub approved: BTreeSet<MachineId>,
    placement: u64,
    looks: u64,
    /// Since when an instance runs in more than one place.
    doubled: BTreeMap<InstanceId, Time>,
    /// Since when names say something wrong.
    wrong_names: BTreeMap<String, Time>,
}

impl Check {
    /// Right behind a look.
    pub fn after_look(&mut self, ground: &Ground, controller: &Controller) {
        self.looks += 1;
        let now = ground.clock.elapsed();
        let mut wrong = self.losses(ground, controller, now);
        wrong.extend(self.overcommitted(controller));
        if self.looks.is_multiple_of(AGAIN) {
            let (moment, policy) = (controller.cluster.now(), controller.cluster.policy());
            let kept = controller.cluster.plan().map(|planned| planned.plan);
            let fleet = controller.cluster.fleet();
            if kept.is_ok_and(|kept| kept != plan(&fleet, &policy, moment)) {
                wrong.push("the same look again decides otherwise".to_owned());
            }
        }
        let mut world = ground.world.lock();
        wrong.into_iter().for_each(|what| world.violated(now, what));
    }

    /// No machine is given up that is there, none while too much of its zone is silent, and none without
    /// a tombstone that says who saw it die.
    fn losses(&mut self, ground: &Ground, controller: &Controller, now: Time) -> Vec<String> {
        let state = controller.cluster.state();
        let machines = || state.records.machines.values().map(|record| &record.machine);
        let is_lost = |machine: &&Machine| {
            matches!(
                machine.state,
                MachineState::Lost { .. } | MachineState::Terminating { certificate: Some(_), .. }
            )
        };
        let mut new = BTreeMap::new();
        for machine in machines().filter(is_lost) {
            if self.lost.insert(machine.id.clone()) {
                new.insert(machine.id.clone(), machine.zone.clone());
            }
        }
        if new.is_empty() {
            return Vec::new();
        }
        let (world, mut wrong) = (ground.world.lock(), Vec::new());
        let mut zones = BTreeMap::<&ZoneName, (u32, u32)>::new();
        for machine in machines() {
            if new.contains_key(&machine.id) || machine.state.is_watched() {
                let host = world.hosts.get(&machine.id);
                let heard = host.map(|host| host.agent().heard).unwrap_or_default();
                let (silent, all) = zones.entry(&machine.zone).or_default();
                *silent += u32::from(now.saturating_sub(heard) >= SUSPECT_AFTER);
                *all += 1;
            }
        }
        for (id, zone) in &new {
            let grave = state.records.tombstones.get(id);
            if !grave.is_some_and(|it| it.certificate.is_some() && it.gone_at.is_none()) {
                wrong.push(format!("{id} is given up, and remembered as {grave:?}"));
            }
            let certificate = grave.and_then(|it| it.certificate.as_ref());
            let hangs = certificate.is_some_and(|it| it.verdict == Verdict::Hangs);
            match world.hosts.get(id).filter(|host| host.exists()) {
                Some(_) if !hangs => wrong.push(format!("{id} is given up, and is there")),
                Some(host) if host.must_be_known_to_live(now) => {
                    wrong.push(format!("{id} is given up, and others reach it"));
                }
                _ => {}
            }
            if hangs && certificate.is_some_and(|it| it.peers.is_empty() || it.attempts.is_empty())
            {
                wrong.push(format!("{id} is given up by the controller's word alone"));
            }
            if hangs && world.controller_must_doubt(now) {
                wrong.push(format!("{id} is given up by a controller that is cut off"));
            }
            let (silent, all) = zones.get(zone).copied().unwrap_or_default();
            if !self.approved.contains(id) && silent > 1 && silent * 100 > all * BREAKER_PERCENT {
                wrong
                    .push(format!("{id} is given up while {silent} of {all} in {zone} are silent"));
            }
        }
        wrong
    }

    /// No machine has promised more than it has.
    fn overcommitted(&mut self, controller: &Controller) -> Vec<String> {
        let state = controller.cluster.state();
        let (records, whole) = (&state.records, capacity());
        if std::mem::replace(&mut self.placement, records.counters.placement)
            == records.counters.placement
        {
            return Vec::new();
        }
        let mut taken = BTreeMap::<&MachineId, (u64, u64)>::new();
        for instance in records.instances.values() {
            let Some(deployment) = records.deployments.get(&instance.deployment) else { continue };
            let (cpu, mem) = deployment.job.reserves(&instance.zone);
            // Where it leaves it keeps its room, be that another one's.
            let left = instance.leaving.as_ref().and_then(|left| {
                let runs = records.deployments.get(&left.deployment)?;
                Some((&left.machine, runs.job.reserves(&instance.zone)))
            });
            for (machine, (cpu, mem)) in [(&instance.machine, (cpu, mem))].into_iter().chain(left) {
                let sum = taken.entry(machine).or_default();
                *sum = (sum.0 + u64::from(cpu.millis()), sum.1 + mem.get());
            }
        }
        let over = taken.into_iter().filter(|(_, (cpu, mem))| {
            *cpu > u64::from(whole.cpu.millis()) || *mem > whole.mem.get()
        });
        over.map(|(id, taken)| format!("{id} has promised {taken:?} of {whole:?}")).collect()
    }

    /// Where there must never be two, none is started while another runs anywhere, reached or not.
    pub fn started(&self, world: &mut World, now: Time) {
        let is_alone = |id: &InstanceId| id.as_str().contains(ALONE);
        let mut started = Vec::new();
        for (on, host) in &mut world.hosts {
            let ids = host.agent().started().into_iter().filter(is_alone);
            started.extend(ids.map(|id| (on.clone(), id)));
        }
        for (on, id) in started {
            let others = world.hosts.iter().filter(|(other, host)| **other != on && host.exists());
            let mut others = others.filter(|(_, host)| host.agent().running().any(|it| *it == id));
            if let Some((other, _)) = others.next() {
                let what = format!("{id} is started on {on}, and runs on {other}");
                world.violated(now, what);
            }
        }
    }

    /// No instance runs in two places for longer than it takes to move it, where both can be told, or its
    /// new version is deployed beside the old one.
    pub fn doubles(&mut self, ground: &Ground, controller: Option<&Controller>, now: Time) {
        let mut both = BTreeSet::new();
        if let Some(controller) = controller {
            let state = controller.cluster.state();
            let leave = state.records.instances.values().filter(|it| it.leaving.is_some());
            both.extend(leave.map(|it| it.id.clone()));
        }
        let mut world = ground.world.lock();
        let mut places = BTreeMap::<InstanceId, u32>::new();
        for host in world.hosts.values().filter(|host| host.answers(now)) {
            host.agent().running().for_each(|id| *places.entry(id.clone()).or_default() += 1);
        }
        places.retain(|_, places| *places > 1);
        places.retain(|id, _| !both.contains(id));
        self.doubled.retain(|id, _| places.contains_key(id));
        for id in places.into_keys() {
            let since = *self.doubled.entry(id.clone()).or_insert(now);
            if now.saturating_sub(since) > MOVES_WITHIN {
                world.violated(now, format!("{id} runs twice since {:.0} s", since.as_secs_f64()));
                self.doubled.insert(id, now);
            }
        }
    }

    /// In the end, with nothing broken for long: all is as it should be, and nothing is left over.
    pub fn at_rest(&self, ground: &Ground, controller: &Controller) {
        let (now, notes) = (ground.clock.elapsed(), controller.cluster.notes());
        let state = controller.cluster.state();
        let records = &state.records;
        let world = ground.world.lock();
        let mut wrong = Vec::new();
        for deployment in records.deployments.values().filter(|it| it.state.is_running()) {
            wrong.push(format!("{} of {} never ends", deployment.id, deployment.job_name()));
        }
        // Zones of which so much is gone that a person has to decide, or that have had their share.
        let is_held = |zone: &ZoneName| {
            notes.iter().any(|note| match note {
                Note::BreakerOpen { zone: held, .. } => held == zone,
                Note::Held { brake: Brake::Losses(held), .. } => {
                    held.as_ref().is_none_or(|held| held == zone)
                }
                Note::Held { brake: Brake::Births(held) | Brake::ZoneBudget(held), .. } => {
                    held == zone
                }
                _ => false,
            })
        };
        let is_told = |job: &JobName| {
            notes.iter().any(|note| match note {
                Note::Unplaceable { job: told, .. }
                | Note::Held { brake: Brake::JobBudget(told), .. } => told == job,
                _ => false,
            })
        };
        let mut wanted = BTreeMap::<&MachineId, BTreeSet<&InstanceId>>::new();
        for instance in records.instances.values().filter(|it| !is_held(&it.zone)) {
            let goes_well = records
                .deployments
                .get(&instance.deployment)
                .is_some_and(|it| it.state.has_succeeded());
            if goes_well {
                wanted.entry(&instance.machine).or_default().insert(&instance.id);
            }
        }
        for (id, wanted) in &wanted {
            match world.hosts.get(*id) {
                Some(host) => wrong.extend(
                    host.agent()
                        .lacks(wanted)
                        .iter()
                        .map(|lacked| format!("{lacked} does not run on {id}")),
                ),
                None => wrong.push(format!("{id} has instances, and is nowhere")),
            }
        }
        for record in records.jobs.values() {
            let name = &record.job.dns_basename;
            let of_job = records.deployments.values().filter(|it| it.job_name() == name);
            let target =
                of_job.filter(|it| it.state.has_succeeded()).max_by_key(|it| it.id.ordinal());
            let Some(target) = target else { continue };
            for (zone, layout) in &target.job.deployment_layout {
                let there =
                    records.instances.values().filter(|it| it.job == *name && it.zone == *zone);
                let (there, wanted) = (there.count() as u32, layout.instances());
                // Where one zone is held, others may stand in for it.
                let stands_in = target.job.placement.failover.is_some()
                    && there > wanted
                    && target.job.deployment_layout.keys().any(is_held);
                if there != wanted && !is_told(name) && !is_held(zone) && !stands_in {
                    wrong.push(format!("{name} has {there} instances in {zone}, not {wanted}"));
                }
            }
        }
        wrong.extend(Self::names_at_rest(ground, &state, &world, |it| {
            is_held(&it.zone) || is_told(&it.job)
        }));
        for grave in records.tombstones.values().filter(|it| it.gone_at.is_none()) {
            if !records.machines.contains_key(&grave.machine) {
                wrong.push(format!("{} is gone, and its tombstone does not say so", grave.machine));
            }
        }
        for (id, host) in &world.hosts {
            if host.exists() && !records.machines.contains_key(id) {
                wrong.push(format!("{id} is there, and nobody knows of it"));
            }
        }
        drop(world);
        wrong.extend(ground.cloud.wrong());
        let mut world = ground.world.lock();
        wrong.into_iter().for_each(|what| world.violated(now, what));
    }
}
