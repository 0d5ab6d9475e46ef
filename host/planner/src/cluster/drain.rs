//! Takes instances off machines that are drained: each goes to a machine with room before it ends
//! where it is, unless its job says that there must never be two; at most one batch of a job at a time.

use super::fill::{self, Filled};
use super::need::Need;
use super::yard::{Search, Standing};
use super::{Fleet, Note, Occupancy, Plan, Policy, SeenInstance, Step, WhyNot, blue_green, brakes};
use cerebro_model::{
    AfterDrain, Deployment, Drain, Instance, InstanceId, JobName, MachineId, MoveError, Moves,
    Timestamp, ZoneName,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Something on a machine that has nowhere to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// Which instance; those that are linked to it go with it.
    pub instance: InstanceId,
    /// Why, in words.
    pub why: String,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has nowhere to go: {}", self.instance, self.why)
    }
}

/// What would keep a machine from being drained, if that began now: whatever fits on no other machine
/// of its zone, nor on one that may be made.
pub fn stuck(
    mut fleet: Fleet,
    policy: &Policy,
    machine: &MachineId,
    now: Timestamp,
) -> Result<Vec<Stuck>, MoveError> {
    let Some(observed) = fleet.machines.get_mut(machine) else { return Ok(Vec::new()) };
    let drain = Drain::new(now, String::new(), AfterDrain::Stay);
    observed.machine = observed.machine.draining(drain)?;
    let occupancy = Occupancy::of(&fleet);
    let mut found = Vec::new();
    let filled = &mut fill::plan(&fleet, &occupancy, policy, now, &mut Plan::default());
    let mut draining = Draining { fleet: &fleet, occupancy: &occupancy, policy, filled };
    for unit in draining.units(machine) {
        let why = match unit {
            Err((instance, why)) => Some((instance, why)),
            Ok(unit) => match draining.destination(&unit) {
                Ok(_) => None,
                Err(why) => Some((unit.id(), why.to_string())),
            },
        };
        found.extend(why.map(|(instance, why)| Stuck { instance, why }));
    }
    Ok(found)
}

pub(super) fn plan<'a>(
    fleet: &'a Fleet,
    occupancy: &'a Occupancy,
    policy: &Policy,
    now: Timestamp,
    filled: &mut Filled<'a>,
    plan: &mut Plan,
) {
    let_go(fleet, occupancy, filled, plan);
    let mut away = Away::default();
    let mut draining = Draining { fleet, occupancy, policy, filled };
    for (id, observed) in &fleet.machines {
        if observed.machine.state.drain().is_none() {
            continue;
        }
        let mut waits = Vec::new();
        for unit in draining.units(id) {
            let moved = match unit {
                Ok(unit) => draining.unit(&unit, now, &mut away, plan),
                Err((instance, why)) => Err(format!("{instance} has nowhere to go: {why}")),
            };
            waits.extend(moved.err());
        }
        if let Some(first) = waits.first() {
            let more = match waits.len() - 1 {
                0 => String::new(),
                more => format!("; and {more} more"),
            };
            let why = format!("{id} cannot be drained yet: {first}{more}");
            plan.notes.push(Note::Waits { machine: id.clone(), why });
        }
    }
}

/// Ends moves: where all that goes together is healthy, or has ended where it comes from. One that must be
/// alone waits also for a machine that was given up, for as long as something may run there.
fn let_go(fleet: &Fleet, occupancy: &Occupancy, filled: &Filled<'_>, plan: &mut Plan) {
    for (machine, occupied) in occupancy.machines() {
        let observed = fleet.machines.get(machine);
        let is_there = observed.is_some_and(|it| it.machine.state.runs());
        let may_run = fill::may_run(fleet, machine);
        let mut waits = Vec::new();
        for id in &occupied.leaving {
            // One that is placed anew just now is not healthy there yet.
            let is_placed = filled.placed.contains(id);
            let Some(seen) = fleet.instances.get(id).filter(|_| !is_placed) else { continue };
            let Some(left) = &seen.instance.leaving else { continue };
            let to = &seen.instance.machine;
            let has_ended = observed.is_some_and(|it| it.ended.contains(&left.placement));
            let reason = if left.moves == Moves::StopFirst {
                match (has_ended, may_run) {
                    (true, _) => format!("{id} has ended on {machine}, and starts on {to}"),
                    (false, false) => {
                        format!("{id} starts on {to}: nothing runs on {machine} any more")
                    }
                    (false, true) => {
                        waits.extend((!is_there).then_some(id));
                        continue;
                    }
                }
            } else if !is_there {
                format!("{id} has moved to {to}: {machine}, which it left, is gone")
            } else {
                let (zone, number) = (&seen.instance.zone, seen.instance.number);
                let family = filled.families.family(&seen.instance.job);
                let beside = family.iter().map(|it| InstanceId::new(number, zone, it.job_name()));
                let moves = |seen: &&SeenInstance| seen.instance.leaving.is_some();
                let mut together = beside.filter_map(|id| fleet.instances.get(&id)).filter(moves);
                let is_kept = blue_green::keeps(fleet, filled, seen);
                if is_kept || !seen.is_healthy() || !together.all(SeenInstance::is_healthy) {
                    continue;
                }
                format!("{id} has moved: it is healthy on {to}, and ends on {machine}")
            };
            plan.decide(Step::LetGo(id.clone()), reason);
        }
        if !waits.is_empty() {
            let names: Vec<_> = waits.iter().map(|id| id.as_str()).collect();
            let why = format!(
                "{} must never run twice, and may run on {machine}, which was given up and does not answer: it starts \
                 elsewhere once {machine} is destroyed, or says that it has ended there",
                names.join(", ")
            );
            plan.notes.push(Note::Waits { machine: machine.clone(), why });
        }
    }
}

/// What goes together: one instance, with those that are linked to it.
struct Unit<'a> {
    /// The one that is linked to none.
    first: &'a Deployment,
    /// Those that are there.
    members: Vec<(&'a Deployment, &'a SeenInstance)>,
    /// All of its family, also those that are not there yet.
    family: Vec<&'a Deployment>,
    zone: &'a ZoneName,
    number: u32,
}

impl Unit<'_> {
    fn id(&self) -> InstanceId {
        InstanceId::new(self.number, self.zone, self.first.job_name())
    }

    /// Whether they may be there twice for a moment.
    fn moves(&self) -> Moves {
        let stops =
            |(it, _): &(&Deployment, &SeenInstance)| it.job.placement.moves == Moves::StopFirst;
        if self.members.iter().any(stops) { Moves::StopFirst } else { Moves::StartFirst }
    }
}

/// How many instances of each job do not serve, or move.
#[derive(Default)]
struct Away(BTreeMap<JobName, usize>);

impl Away {
    fn of(&mut self, filled: &Filled<'_>, fleet: &Fleet, job: &JobName) -> &mut usize {
        self.0.entry(job.clone()).or_insert_with(|| {
            let is_away = |id: &InstanceId| {
                let seen = fleet.instances.get(id);
                filled.placed.contains(id)
                    || seen.is_none_or(|it| !it.is_healthy() || it.instance.leaving.is_some())
            };
            filled.families.wanted(job).iter().filter(|id| is_away(id)).count()
        })
    }
}

struct Draining<'f, 'p, 'a> {
    fleet: &'a Fleet,
    occupancy: &'a Occupancy,
    policy: &'p Policy,
    filled: &'f mut Filled<'a>,
}

impl<'a> Draining<'_, '_, 'a> {
    /// All that is placed on a machine and is to stay somewhere, in the order of the ids; or what
    /// nobody says of where it could go.
    fn units(&self, machine: &MachineId) -> Vec<Result<Unit<'a>, (InstanceId, String)>> {
        let (mut units, mut seen_units) = (Vec::new(), BTreeSet::new());
        for id in self.occupancy.tenants(machine) {
            let Some((job, zone, number)) = self.occupancy.belongs(id) else { continue };
            let Some(first) = self.filled.families.first(job) else {
                // It leaves with its job.
                if self.fleet.jobs.contains_key(job) {
                    let why = format!(
                        "no deployment of {job} has succeeded that would say what to start elsewhere: \
                         deploy {job}, or delete it"
                    );
                    units.push(Err((id.clone(), why)));
                }
                continue;
            };
            let wanted = self.filled.families.count(first, zone);
            if number >= wanted || !seen_units.insert((first.job_name(), zone, number)) {
                continue;
            }
            let family = self.filled.families.family(job);
            let member = |it: &&'a Deployment| {
                let seen = self.fleet.instances.get(&InstanceId::new(number, zone, it.job_name()));
                Some((*it, seen.filter(|seen| seen.instance.machine == *machine)?))
            };
            let members: Vec<_> = family.iter().filter_map(member).collect();
            // Who is linked follows its master by itself.
            if members.first().is_some_and(|(it, _)| it.id == first.id) {
                let family = family.to_vec();
                units.push(Ok(Unit { first, members, family, zone, number }));
            }
        }
        units
    }

    /// Moves a unit if its turn has come; why it waits for something that may not come by itself.
    fn unit(
        &mut self,
        unit: &Unit<'a>,
        now: Timestamp,
        away: &mut Away,
        plan: &mut Plan,
    ) -> Result<(), String> {
        let is_busy = |seen: &SeenInstance| {
            let id = &seen.instance.id;
            // One that was not heard of may well serve; one that moves already comes to an end first.
            seen.status.is_none()
                || seen.instance.leaving.is_some()
                || self.filled.placed.contains(id)
                || self.filled.waiting.contains_key(id)
        };
        if unit.members.iter().any(|(_, seen)| is_busy(seen)) {
            return Ok(());
        }
        if let Some(running) = unit.family.iter().find(|it| it.state.is_running()) {
            let (id, job) = (&running.id, running.job_name());
            return Err(format!("{} goes once {id} of {job} has ended", unit.id()));
        }
        // All of it goes, or nothing does.
        let paused = |job: &&JobName| brakes::is_paused(self.fleet, job, now);
        if let Some(job) = unit.family.iter().map(|it| it.job_name()).find(paused) {
            return Err(format!("{} goes once {job} is paused no longer", unit.id()));
        }
        let serves = unit.members.iter().any(|(_, seen)| seen.is_healthy());
        let has_turn = unit.members.iter().all(|(member, _)| {
            let batch = member.job.rollout.batch.max(1) as usize;
            *away.of(self.filled, self.fleet, member.job_name()) < batch
        });
        // What does not serve costs nothing, and serves the sooner.
        if serves && !has_turn {
            return Ok(());
        }
        let index = match self.destination(unit) {
            Ok(Destination::There(index)) => index,
            Ok(Destination::Coming) => return Ok(()),
            Ok(Destination::ToBeMade) => {
                let reason =
                    format!("{} has no room elsewhere, and its machine is drained", unit.id());
                plan.decide(Step::Provision { zone: unit.zone.clone() }, reason);
                return Ok(());
            }
            Err(why) => return Err(format!("{} has nowhere to go: {why}", unit.id())),
        };
        for (member, seen) in &unit.members {
            let need = Need::of(member, unit.zone);
            let id = seen.instance.id.clone();
            let ports = self.filled.yard.take(index, &need, member, &id, None);
            let Some(to) = self.filled.yard.machine(index).cloned() else { continue };
            let (zone, from) = (unit.zone, seen.instance.machine.clone());
            let placed = self.filled.instance(member, id, unit.number, zone, to, ports, now);
            // Where it does not serve, there is nothing to be kept until it does elsewhere.
            let moves = unit.moves();
            let keeps = seen.is_healthy() || moves == Moves::StopFirst;
            let leaving = keeps.then(|| seen.instance.left(moves));
            if seen.is_healthy() {
                *away.of(self.filled, self.fleet, member.job_name()) += 1;
            }
            self.filled.placed.insert(placed.id.clone());
            plan.decide(Step::Place(Instance { leaving, ..placed }), format!("{from} is drained"));
        }
        Ok(())
    }

    /// A machine with room for a unit. What is coming, or is to be made, is spoken for.
    fn destination(&mut self, unit: &Unit<'a>) -> Result<Destination, WhyNot> {
        let (zone, yard) = (unit.zone, &mut self.filled.yard);
        let Some(need) = Need::of_family(&unit.family, zone) else {
            return Ok(Destination::Coming);
        };
        let need = need.map_err(WhyNot::Clash)?;
        let new = Search::default;
        if let Some(index) = yard.best(zone, Standing::Here, &need, &mut new()) {
            return Ok(Destination::There(index));
        }
        let at_most = self.policy.zones.get(zone).map_or(0, |zone| zone.max);
        let capacity = self.policy.machine_capacity;
        let mut found = yard.best(zone, Standing::Coming, &need, &mut new());
        let is_coming = found.is_some();
        if found.is_none() && yard.alive(zone) < at_most && yard.wish(zone, capacity, &need) {
            found = yard.best(zone, Standing::Coming, &need, &mut new());
        }
        let Some(index) = found else {
            return Err(WhyNot::NoRoom(Box::new(yard.why_not(zone, &need, capacity, at_most))));
        };
        for member in &unit.family {
            let id = InstanceId::new(unit.number, zone, member.job_name());
            yard.take(index, &Need::of(member, zone), member, &id, None);
        }
        Ok(if is_coming { Destination::Coming } else { Destination::ToBeMade })
    }
}

enum Destination {
    /// A machine in the yard.
    There(u32),
    /// One that has not joined yet.
    Coming,
    /// One that is not asked for yet.
    ToBeMade,
}
