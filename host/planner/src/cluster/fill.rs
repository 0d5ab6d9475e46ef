//! Gives every job the instances that it should have, and every zone the machines.

use super::failover::StandIns;
use super::family::{Families, Family};
use super::need::Need;
use super::occupancy::{Group, Occupancy};
use super::yard::{Search, Standing, Yard};
use super::{Fleet, Note, Plan, Policy, SeenInstance, Step, WhyNot, repair};
use cerebro_model::{
    Deployment, Instance, InstanceId, JobName, Leaving, MachineId, Moves, Ports, Priority,
    Timestamp, ZoneName,
};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// What a look has found out and given away, for those that look after it.
pub(super) struct Filled<'a> {
    fleet: &'a Fleet,
    /// What is left of the machines.
    pub yard: Yard<'a>,
    /// Who shares machines with whom.
    pub families: Families<'a>,
    /// The number that the next placement gets.
    pub placement: u64,
    /// Why some instances of a job have no place yet.
    pub unplaced: BTreeMap<JobName, WhyNot>,
    /// Instances that were given a place, or another one, just now.
    pub placed: HashSet<InstanceId>,
    /// Instances that move when their batch's turn comes, and where to: their room there is taken.
    pub waiting: BTreeMap<InstanceId, Instance>,
    told: BTreeSet<(JobName, ZoneName)>,
}

pub(super) fn plan<'a>(
    fleet: &'a Fleet,
    occupancy: &'a Occupancy,
    policy: &'a Policy,
    now: Timestamp,
    plan: &mut Plan,
) -> Filled<'a> {
    let families = Families::of(fleet);
    let yard = Yard::new(fleet, occupancy, policy, now);
    let displaced = displaced(&yard, occupancy);
    let stand_ins = StandIns::of(&families.all, fleet, occupancy, &yard, &displaced, policy, now);
    let families = families.with(stand_ins);
    let mut filling = Filling {
        fleet,
        occupancy,
        policy,
        now,
        displaced,
        filled: Filled {
            fleet,
            yard,
            families: Families::default(),
            placement: fleet.next_placement,
            unplaced: BTreeMap::new(),
            placed: HashSet::new(),
            waiting: BTreeMap::new(),
            told: BTreeSet::new(),
        },
    };
    filling.remove_surplus(&families, plan);
    for (job, why) in &families.masterless {
        plan.notes.push(Note::Masterless { job: (*job).clone(), why: why.clone() });
        filling.filled.unplaced.insert((*job).clone(), why.clone());
    }
    // What is there already has its linked jobs beside it before anything new takes the room.
    for family in &families.all {
        filling.follow(&families, family, plan);
    }
    let lowest = families.all.last().and_then(|family| family.members.first());
    let lowest = lowest.map_or(Priority::default(), |it| it.job.placement.priority);
    for family in &families.all {
        filling.fill(&families, family, lowest, plan);
    }
    filling.keep_minimum(plan);
    Filled { families, ..filling.filled }
}

struct Filling<'a> {
    fleet: &'a Fleet,
    occupancy: &'a Occupancy,
    policy: &'a Policy,
    now: Timestamp,
    /// Instances whose machine does not count any more: their numbers, by job and zone.
    displaced: Displaced<'a>,
    filled: Filled<'a>,
}

/// Whether a machine still counts: a lost one's instances are placed anew.
fn counts(fleet: &Fleet, machine: &MachineId) -> bool {
    fleet.machines.get(machine).is_some_and(|observed| observed.machine.state.runs())
}

/// Whether what was placed on a machine may run there: not if it was destroyed, or if its provider has
/// called it gone.
pub(super) fn may_run(fleet: &Fleet, machine: &MachineId) -> bool {
    fleet.machines.get(machine).is_some_and(|observed| observed.machine.state.may_run_tasks())
}

/// Whether there must never be two of a job's instances.
fn must_be_alone(deployment: &Deployment) -> bool {
    deployment.job.placement.moves == Moves::StopFirst
}

/// Whether an instance's machine still counts.
pub(super) fn has_place(fleet: &Fleet, seen: &SeenInstance) -> bool {
    counts(fleet, &seen.instance.machine)
}

/// Instances whose machine does not count any more: their numbers, by job and zone.
pub(super) type Displaced<'a> = BTreeMap<(&'a JobName, &'a ZoneName), BTreeSet<u32>>;

fn displaced<'a>(yard: &Yard<'a>, occupancy: &'a Occupancy) -> Displaced<'a> {
    let mut displaced = Displaced::new();
    for (job, zone, number) in yard.displaced.iter().filter_map(|id| occupancy.belongs(id)) {
        displaced.entry((job, zone)).or_default().insert(number);
    }
    displaced
}

impl<'a> Filling<'a> {
    /// Instances of deleted jobs, of zones that a job left, and above the number in a zone.
    fn remove_surplus(&self, families: &Families<'_>, plan: &mut Plan) {
        let mut surplus = Vec::new();
        for (job, zones) in self.occupancy.jobs() {
            let is_there = self.fleet.jobs.contains_key(job);
            let first = families.first(job).filter(|_| is_there);
            // Nothing says how many there should be, or a person or a canary is waited for: what is there
            // stays.
            if is_there && first.is_none_or(Deployment::is_held) {
                continue;
            }
            for (zone, group) in zones {
                let wanted = first.map_or(0, |first| families.count(first, zone));
                let numbers = group.range(wanted..).map(|(number, _)| *number);
                surplus.extend(numbers.map(|number| (job, zone, number, wanted)));
            }
        }
        surplus.sort_unstable();
        for (job, zone, number, wanted) in surplus {
            let reason = match (self.fleet.jobs.contains_key(job), wanted) {
                (false, _) => format!("{job} was deleted"),
                (true, 0) => format!("{job} runs in {zone} no longer"),
                (true, _) => format!("{job} has {wanted} instances in {zone} now"),
            };
            let id = InstanceId::new(number, zone, job);
            match self.may_run_unheard(&id) {
                None => plan.decide(Step::Remove(id), reason),
                Some(machine) => {
                    let why = format!(
                        "{id} is to end ({reason}), must never run twice, and may run on {machine}, which is not heard: \
                         it is remembered until {machine} is heard, or gone"
                    );
                    plan.notes.push(Note::Waits { machine: machine.clone(), why });
                }
            }
        }
    }

    /// The machine that is not heard and on which an instance may run that must be alone: forgotten, and wanted
    /// again, it would be started elsewhere.
    fn may_run_unheard(&self, id: &InstanceId) -> Option<&'a MachineId> {
        let instance = &self.fleet.instances.get(id)?.instance;
        let runs = self.fleet.deployments.get(&instance.deployment)?;
        let observed = self.fleet.machines.get(&instance.machine)?;
        let is_unheard =
            !observed.machine.state.runs() || repair::is_silent(observed, self.policy, self.now);
        let may_run = must_be_alone(runs) && may_run(self.fleet, &instance.machine);
        (may_run && is_unheard).then_some(&instance.machine)
    }

    /// The machine of an instance, if it still counts.
    fn place_of(&self, job: &JobName, zone: &ZoneName, number: u32) -> Option<&'a MachineId> {
        let group = self.occupancy.group(job, zone)?;
        let displaced = self.displaced.get(&(job, zone));
        let is_displaced = displaced.is_some_and(|numbers| numbers.contains(&number));
        group.get(&number).filter(|_| !is_displaced)
    }

    /// The machine that an instance leaves, if that is there.
    fn leaves(&self, job: &JobName, zone: &ZoneName, number: u32) -> Option<u32> {
        let seen = self.fleet.instances.get(&InstanceId::new(number, zone, job))?;
        self.filled.yard.index(&seen.instance.leaving.as_ref()?.machine)
    }

    /// Puts linked jobs beside those of their family that have a place.
    fn follow(&mut self, families: &Families<'a>, family: &Family<'a>, plan: &mut Plan) {
        let Some((first, linked)) = family.split().filter(|(_, linked)| !linked.is_empty()) else {
            return;
        };
        for zone in first.job.deployment_layout.keys() {
            let Some(hosts) = self.occupancy.group(first.job_name(), zone) else { continue };
            for member in linked {
                let beside = self.occupancy.group(member.job_name(), zone);
                for (number, host) in hosts.range(..families.count(first, zone)) {
                    if beside.and_then(|group| group.get(number)) == Some(host) {
                        continue;
                    }
                    if let Some(host) = self.place_of(first.job_name(), zone, *number)
                        && let Some(member) = self.as_it_may_run(member, zone, *number)
                    {
                        let need = Need { priority: Priority::MAX, ..Need::of(member, zone) };
                        self.follow_one(first, member, &need, zone, *number, host, plan);
                    }
                }
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "what is followed by whom, and where")]
    fn follow_one(
        &mut self,
        first: &Deployment,
        member: &'a Deployment,
        need: &Need<'a>,
        zone: &'a ZoneName,
        number: u32,
        host: &MachineId,
        plan: &mut Plan,
    ) {
        let (job, id) = (member.job_name(), InstanceId::new(number, zone, member.job_name()));
        let Some(index) = self.filled.yard.index(host) else { return };
        let master = InstanceId::new(number, zone, first.job_name());
        // Of a chain, who has no master there stays away with it, for the same reason.
        if let Some(why) = self.misses_its_master(first, member, zone, number, host) {
            self.filled.has_no_place(job, zone, why, plan);
            return;
        }
        let yard = &self.filled.yard;
        if yard.stands(index) != Some(Standing::Here) || !yard.fits(index, need) {
            let why = yard.why_not_beside(index, need, host, master);
            self.filled.has_no_place(job, zone, why, plan);
            return;
        }
        let elsewhere = self.place_of(job, zone, number);
        let waits = elsewhere.is_some() && self.waits_for_its_turn(member, &id);
        let reason = match elsewhere {
            Some(machine) => format!("{id} leaves {machine}: it is linked to {master}"),
            None => format!("{id} is linked to {master}"),
        };
        let placed = self.put(index, need, member, zone, number, id);
        self.decide(placed, waits, reason, plan);
    }

    /// Why the one that a member is linked to is not to be where it should be itself.
    fn misses_its_master(
        &self,
        first: &Deployment,
        member: &Deployment,
        zone: &ZoneName,
        number: u32,
        host: &MachineId,
    ) -> Option<WhyNot> {
        let master = member.job.linked_job.as_ref().filter(|it| *it != first.job_name())?;
        let id = InstanceId::new(number, zone, master);
        let is_there = self.place_of(master, zone, number) == Some(host)
            || self.filled.placed.contains(&id)
            || self.filled.waiting.contains_key(&id);
        if is_there { None } else { self.filled.unplaced.get(master).cloned() }
    }

    /// Whether an instance moves with its batch only, when its turn comes.
    fn waits_for_its_turn(&self, target: &Deployment, id: &InstanceId) -> bool {
        let runs = self.fleet.instances.get(id).map(|seen| &seen.instance.deployment);
        target.state.is_running() && runs.is_some_and(|deployment| *deployment != target.id)
    }

    /// Gives a family the instances that it lacks.
    fn fill(
        &mut self,
        families: &Families<'a>,
        family: &Family<'a>,
        lowest: Priority,
        plan: &mut Plan,
    ) {
        let Some((first, _)) = family.split() else { return };
        let groups = self.occupancy.groups(first.job_name());
        for zone in first.job.deployment_layout.keys() {
            let group = groups.and_then(|groups| groups.get(zone));
            let displaced = self.displaced.get(&(first.job_name(), zone));
            let missing = missing(group, displaced, families.count(first, zone));
            if missing.is_empty() {
                continue;
            }
            for (members, missing) in self.as_they_may_run(family, zone, missing) {
                self.fill_with(families, family, &members, zone, &missing, lowest, plan);
            }
        }
    }

    /// Gives a family the instances of these numbers in a zone, each running what `members` says.
    #[allow(clippy::too_many_arguments, reason = "what is filled, where, and by whom")]
    fn fill_with(
        &mut self,
        families: &Families<'a>,
        family: &Family<'a>,
        members: &[&'a Deployment],
        zone: &'a ZoneName,
        missing: &[u32],
        lowest: Priority,
        plan: &mut Plan,
    ) {
        let Some((first, _)) = family.split() else { return };
        let need = match Need::of_family(members, zone) {
            Some(Ok(need)) => need,
            Some(Err(clash)) => {
                return self.family_has_no_place(family, zone, WhyNot::Clash(clash), plan);
            }
            None => return,
        };
        if !self.policy.zones.contains_key(zone) {
            let known = self.policy.zones.keys().cloned().collect();
            let why = WhyNot::NoZone { zone: zone.clone(), known };
            return self.family_has_no_place(family, zone, why, plan);
        }
        let rest = self.fill_machines(families, first, &need, zone, missing, plan);
        if let Some(why) = self.fill_later(first, &need, zone, rest, plan) {
            if need.priority > lowest {
                self.filled.yard.keep(zone, &need, rest.len());
            }
            self.family_has_no_place(family, zone, why, plan);
        }
    }

    /// What a missing instance may run. Where a deployment is held, what is lost comes back as it ran,
    /// and nothing that was not there comes.
    fn as_it_may_run(
        &self,
        target: &'a Deployment,
        zone: &ZoneName,
        number: u32,
    ) -> Option<&'a Deployment> {
        if !target.is_held() {
            return Some(target);
        }
        let id = InstanceId::new(number, zone, target.job_name());
        let seen = self.fleet.instances.get(&id)?;
        self.fleet.deployments.get(&seen.instance.deployment)
    }

    /// The same of the missing instances of a family; numbers that may run the same are together.
    fn as_they_may_run(
        &self,
        family: &Family<'a>,
        zone: &ZoneName,
        missing: Vec<u32>,
    ) -> Vec<(Vec<&'a Deployment>, Vec<u32>)> {
        if !family.members.iter().any(|member| member.is_held()) {
            return vec![(family.members.clone(), missing)];
        }
        let mut groups: Vec<(Vec<&Deployment>, Vec<u32>)> = Vec::new();
        for number in missing {
            let Some((first, linked)) = family.split() else { continue };
            let Some(first) = self.as_it_may_run(first, zone, number) else { continue };
            let linked =
                linked.iter().filter_map(|member| self.as_it_may_run(member, zone, number));
            let members: Vec<_> = std::iter::once(first).chain(linked).collect();
            let ids = |of: &[&Deployment]| of.iter().map(|it| it.id.clone()).collect::<Vec<_>>();
            match groups.iter_mut().find(|(known, _)| ids(known) == ids(&members)) {
                Some((_, numbers)) => numbers.push(number),
                None => groups.push((members, vec![number])),
            }
        }
        groups
    }

    /// Places what has room on machines that are there; what is left of `missing`.
    fn fill_machines<'n>(
        &mut self,
        families: &Families<'a>,
        first: &Deployment,
        need: &Need<'a>,
        zone: &'a ZoneName,
        missing: &'n [u32],
        plan: &mut Plan,
    ) -> &'n [u32] {
        let mut search = Search::default();
        for (done, number) in missing.iter().enumerate() {
            // One that leaves a machine does not come back to it: it is still there.
            let left = self.leaves(first.job_name(), zone, *number);
            if let Some(left) = left {
                search = Search::except(left);
            }
            let Some(index) = self.filled.yard.best(zone, Standing::Here, need, &mut search) else {
                return missing.get(done..).unwrap_or_default();
            };
            if left.is_some() {
                search = Search::default();
            }
            let machine = self.filled.yard.machine(index);
            for member in &need.members {
                let (job, id) =
                    (member.job_name(), InstanceId::new(*number, zone, member.job_name()));
                let elsewhere = self.place_of(job, zone, *number);
                if elsewhere.is_some() && elsewhere == machine {
                    continue;
                }
                let reason = match (elsewhere, self.fleet.instances.get(&id)) {
                    (Some(left), _) => {
                        format!("{id} leaves {left}: it is linked to {}", first.job_name())
                    }
                    (None, Some(seen)) => {
                        format!("{id} was on {}, which is lost", seen.instance.machine)
                    }
                    (None, None) => families.why_wanted(job, first, zone, *number),
                };
                let waits = elsewhere.is_some() && self.waits_for_its_turn(member, &id);
                let placed = self.put(index, need, member, zone, *number, id);
                self.decide(placed, waits, reason, plan);
            }
        }
        &[]
    }

    /// Lets the rest wait for machines that are coming, or asks for more; why that is no way out.
    fn fill_later(
        &mut self,
        first: &Deployment,
        need: &Need<'a>,
        zone: &'a ZoneName,
        rest: &[u32],
        plan: &mut Plan,
    ) -> Option<WhyNot> {
        let at_most = self.policy.zones.get(zone)?.max;
        let capacity = self.policy.machine_capacity;
        let mut search = Search::default();
        for number in rest {
            let yard = &mut self.filled.yard;
            let mut found = yard.best(zone, Standing::Coming, need, &mut search);
            if found.is_none() && yard.alive(zone) < at_most && yard.wish(zone, capacity, need) {
                let job = first.job_name();
                let reason = format!("{job} has no room in {zone} for an instance");
                plan.decide(Step::Provision { zone: zone.clone() }, reason);
                search = Search::default();
                found = yard.best(zone, Standing::Coming, need, &mut search);
            }
            let Some(index) = found else {
                // The rest of this zone's instances need the same.
                return Some(WhyNot::NoRoom(Box::new(yard.why_not(zone, need, capacity, at_most))));
            };
            for member in &need.members {
                let id = InstanceId::new(*number, zone, member.job_name());
                yard.take(index, need, member, &id, None);
            }
        }
        None
    }

    /// Takes the room of one instance; where it goes and what it gets there.
    fn put(
        &mut self,
        index: u32,
        need: &Need<'a>,
        member: &'a Deployment,
        zone: &ZoneName,
        number: u32,
        id: InstanceId,
    ) -> Option<Instance> {
        let ports = self.filled.yard.take(index, need, member, &id, None);
        let machine = self.filled.yard.machine(index)?.clone();
        Some(self.filled.instance(member, id, number, zone, machine, ports, self.now))
    }

    fn decide(&mut self, placed: Option<Instance>, waits: bool, reason: String, plan: &mut Plan) {
        let Some(instance) = placed else { return };
        if waits {
            self.filled.waiting.insert(instance.id.clone(), instance);
        } else {
            self.filled.placed.insert(instance.id.clone());
            plan.decide(Step::Place(instance), reason);
        }
    }

    fn family_has_no_place(
        &mut self,
        family: &Family<'_>,
        zone: &ZoneName,
        why: WhyNot,
        plan: &mut Plan,
    ) {
        for member in &family.members {
            self.filled.has_no_place(member.job_name(), zone, why.clone(), plan);
        }
    }

    /// Machines that a zone should have even without work.
    fn keep_minimum(&mut self, plan: &mut Plan) {
        let policy = self.policy;
        for (zone, allowed) in &policy.zones {
            // A silent machine is there until it is given up; one that is to be removed is as good
            // as gone, and what is on it needs room.
            let (alive, staying) = (self.filled.yard.alive(zone), self.filled.yard.staying(zone));
            let wanted = allowed.min.saturating_sub(staying);
            for _ in 0..wanted.min(allowed.max.max(allowed.min).saturating_sub(alive)) {
                let reason = format!("{zone} should have {} machines", allowed.min);
                plan.decide(Step::Provision { zone: zone.clone() }, reason);
                // Whoever needs room later in this look waits for it, rather than for one more.
                self.filled.yard.expect(zone, policy.machine_capacity);
            }
        }
    }
}

/// The numbers of the instances that a job lacks in a zone, lowest first.
fn missing(group: Option<&Group>, displaced: Option<&BTreeSet<u32>>, wanted: u32) -> Vec<u32> {
    let is_whole = |group: &Group| {
        group.len() == wanted as usize && group.keys().next_back() == wanted.checked_sub(1).as_ref()
    };
    if displaced.is_none() && group.is_some_and(is_whole) {
        return Vec::new();
    }
    let has_place = |number: &u32| {
        group.is_some_and(|group| group.contains_key(number))
            && displaced.is_none_or(|numbers| !numbers.contains(number))
    };
    (0..wanted).filter(|number| !has_place(number)).collect()
}

impl<'a> Filled<'a> {
    /// An instance as it is placed now.
    #[allow(clippy::too_many_arguments, reason = "it is what an instance consists of")]
    pub(super) fn instance(
        &mut self,
        deployment: &Deployment,
        id: InstanceId,
        number: u32,
        zone: &ZoneName,
        machine: MachineId,
        ports: Ports,
        now: Timestamp,
    ) -> Instance {
        let placement = self.placement;
        self.placement += 1;
        let seen = self.fleet.instances.get(&id);
        let leaving = seen.and_then(|seen| self.leaving(&seen.instance, &machine, deployment));
        Instance {
            id,
            job: deployment.job_name().clone(),
            zone: zone.clone(),
            number,
            machine,
            placement,
            ports,
            deployment: deployment.id.clone(),
            since: now,
            beside: Vec::new(),
            leaving,
        }
    }

    /// What an instance leaves that is placed on another machine. While it moves it may be placed anew: where
    /// it came from, it goes on. One that must be alone does not start before it has ended where it was, or
    /// nothing can run there any more.
    fn leaving(
        &self,
        instance: &Instance,
        to: &MachineId,
        target: &Deployment,
    ) -> Option<Box<Leaving>> {
        let before = instance.leaving.as_deref();
        let stays = |left: &&Leaving| match left.moves {
            Moves::StartFirst => counts(self.fleet, &left.machine),
            Moves::StopFirst => may_run(self.fleet, &left.machine),
        };
        if let Some(left) = before.filter(|left| left.machine != *to).filter(stays) {
            return Some(Box::new(left.clone()));
        }
        let runs = self.fleet.deployments.get(&instance.deployment);
        let is_alone = runs.into_iter().chain([target]).any(must_be_alone);
        // Nothing was started there before it had ended where it was.
        let is_started = before.is_none_or(|left| left.moves == Moves::StartFirst);
        let is_left = instance.machine != *to && may_run(self.fleet, &instance.machine);
        (is_alone && is_started && is_left).then(|| instance.left(Moves::StopFirst))
    }

    pub(super) fn has_no_place(
        &mut self,
        job: &JobName,
        zone: &ZoneName,
        why: WhyNot,
        plan: &mut Plan,
    ) {
        // One of a zone's instances stands for all.
        if self.told.insert((job.clone(), zone.clone())) {
            let (job, zone, why) = (job.clone(), zone.clone(), why.clone());
            plan.notes.push(Note::Unplaceable { job, zone, why });
        }
        self.unplaced.insert(job.clone(), why);
    }
}
