//! The machines of one look: what is free of each, and which of them has room for what.

use super::load::{Load, Takes};
use super::need::{Amounts, Need};
use super::occupancy::Occupancy;
use super::shelf::{Cursor, Shelf};
use super::why_not::{Group, Lack, NewMachine, NoRoom};
use super::{Fleet, Policy, WhyNot, brakes, repair};
use cerebro_model::{
    AfterDrain, AnyOf, Capacity, Deployment, InstanceId, Job, LabelName, Machine, MachineId,
    MachineState, Ports, Priority, Spread, Timestamp, ZoneName,
};
use std::collections::BTreeMap;

/// What is taken of a machine that has nothing.
static UNUSED: Load = Load::nothing();

/// All machines that count, with what this look has already given away of them.
pub(super) struct Yard<'a> {
    /// Those that have an id in the order of their ids, then those that are only wished for.
    spots: Vec<Spot<'a>>,
    /// How many have an id.
    known: usize,
    zones: BTreeMap<&'a ZoneName, Shelves>,
    /// Instances whose machine does not count any more.
    pub displaced: Vec<&'a InstanceId>,
}

/// One machine.
struct Spot<'a> {
    /// None for one that is only wished for.
    machine: Option<&'a Machine>,
    zone: &'a ZoneName,
    capacity: Capacity,
    standing: Standing,
    /// What was taken of it before this look.
    kept: &'a Load,
    /// The same with what this look has changed.
    own: Option<Box<Load>>,
    free: Amounts,
    /// What is free is kept for this priority and greater ones.
    kept_for: Option<Priority>,
}

/// Whether something can be put on a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It can.
    Here,
    /// Once the machine is there.
    Coming,
    /// Not while nothing is heard of it.
    Silent,
    /// Not while it keeps falling silent and coming back.
    Flapping,
    /// Not while it is drained; for good, if it is to be removed then.
    Draining { for_good: bool },
    /// Not during its maintenance.
    Maintenance,
}

/// A machine that has room for something.
pub(super) struct Contender<'a> {
    pub machine: &'a MachineId,
    free: Amounts,
    /// How many instances of the same job it has.
    of_job: u32,
}

impl Contender<'_> {
    /// What is free, and what of the same job is there.
    pub(super) fn words(&self) -> String {
        let of_job = match self.of_job {
            0 => String::new(),
            count => format!(", with {count} of its job"),
        };
        format!("{}{of_job}", self.free)
    }
}

#[derive(Default)]
struct Shelves {
    here: Shelf,
    coming: Shelf,
    /// Machines of Cerebro's making that are there or coming.
    alive: u32,
    /// Those of them that are to be removed.
    going: u32,
}

/// A search for several places of the same sort, one after the other.
#[derive(Default)]
pub(super) struct Search {
    grade: Grade,
    /// The next grade that was seen on the way.
    next: Option<Grade>,
    cursor: Cursor,
    /// A machine that is not looked at.
    except: Option<u32>,
}

/// The lower, the better: how many instances of the job are there already, then how many of its
/// preferences the machine does not meet.
type Grade = (u32, u32);

impl Spot<'_> {
    fn load(&self) -> &Load {
        self.own.as_deref().unwrap_or(self.kept)
    }

    fn has_label(&self, label: &LabelName, values: &AnyOf) -> bool {
        let Some(machine) = self.machine else { return false };
        match label.as_str() {
            Machine::OWN_LABEL => values.contains(machine.id.as_str()),
            _ => machine.labels.get(label).is_some_and(|value| values.contains(value.as_str())),
        }
    }

    fn lacks_label<'j>(&self, job: &'j Job) -> Option<(&'j LabelName, &'j AnyOf)> {
        job.placement.require.iter().find(|(label, values)| !self.has_label(label, values))
    }

    fn is_spread_out(&self, job: &Job) -> bool {
        job.placement.spread != Spread::Require || self.load().count(&job.dns_basename) == 0
    }

    /// Whether there is room for `need`, wherever the machine stands.
    fn fits(&self, need: &Need<'_>) -> bool {
        need.amounts.fit_in(self.free)
            && need.machine_mem <= self.capacity.mem.get()
            && self.kept_for.is_none_or(|priority| priority <= need.priority)
            && self.load().has_ports(&need.fixed, need.any_ports)
            && need.members.iter().all(|member| {
                let job = &member.job;
                self.lacks_label(job).is_none()
                    && !self.load().is_shunned(job)
                    && self.load().shuns(job).is_none()
                    && self.is_spread_out(job)
            })
    }

    fn grade(&self, need: &Need<'_>) -> Grade {
        let Some(first) = need.members.first() else { return Grade::default() };
        let same = match need.spread() {
            Spread::Pack => 0,
            Spread::Prefer | Spread::Require => self.load().count(first.job_name()),
        };
        let preferences = need.members.iter().flat_map(|member| &member.job.placement.prefer);
        let missed = preferences.filter(|(label, values)| !self.has_label(label, values)).count();
        (same, u32::try_from(missed).unwrap_or(u32::MAX))
    }

    /// All that stands in the way of `need` here; nothing if it fits.
    fn lacks(&self, need: &Need<'_>) -> Vec<Lack> {
        let (mut lacks, free) = (Vec::new(), self.free);
        match self.standing {
            Standing::Here | Standing::Coming => {}
            Standing::Silent => lacks.push(Lack::Silent),
            Standing::Flapping => lacks.push(Lack::Flapping),
            Standing::Draining { .. } => lacks.push(Lack::Draining),
            Standing::Maintenance => lacks.push(Lack::Maintenance),
        }
        for job in need.members.iter().map(|member| &member.job) {
            if let Some((label, values)) = self.lacks_label(job) {
                lacks.push(Lack::Label {
                    label: label.clone(),
                    values: values.iter().cloned().collect(),
                });
            }
            let job_name = || job.dns_basename.clone();
            if self.load().is_shunned(job) {
                lacks.push(Lack::Shunned { job: job_name() });
            }
            if let Some(other) = self.load().shuns(job) {
                lacks.push(Lack::Apart { from: other.clone(), job: job_name() });
            }
            if !self.is_spread_out(job) {
                lacks.push(Lack::Spread { job: job_name() });
            }
        }
        for port in &need.fixed {
            if let Some(owner) = self.load().owner(*port) {
                lacks.push(Lack::Port { port: *port, owner: Some(owner.clone()) });
            }
        }
        if need.any_ports > 0
            && !self.load().has_ports(&Default::default(), need.any_ports + need.fixed.len())
        {
            lacks.push(Lack::AnyPort);
        }
        if need.machine_mem > self.capacity.mem.get() {
            lacks.push(Lack::Size { has: self.capacity.mem, needs: need.machine_mem });
        }
        let amounts = [
            (need.amounts.cpu > free.cpu, Lack::Cpu),
            (need.amounts.mem > free.mem, Lack::Memory),
            (need.amounts.disk > free.disk, Lack::Disk),
        ];
        lacks.extend(amounts.into_iter().filter_map(|(short, lack)| short.then_some(lack)));
        if self.kept_for.is_some_and(|priority| priority > need.priority) {
            lacks.push(Lack::Kept);
        }
        lacks
    }

    /// How far it is from having room; only for finding the nearest.
    fn shortfall(&self, need: &Need<'_>) -> u64 {
        let short = need.amounts.less(self.free);
        let size = need.machine_mem.saturating_sub(self.capacity.mem.get());
        short.cpu + short.mem.max(size) + short.disk
    }
}

impl<'a> Yard<'a> {
    pub(super) fn new(
        fleet: &'a Fleet,
        occupancy: &'a Occupancy,
        policy: &Policy,
        now: Timestamp,
    ) -> Self {
        let mut yard =
            Self { spots: Vec::new(), known: 0, zones: BTreeMap::new(), displaced: Vec::new() };
        // Both are in the order of the ids.
        let mut occupied = occupancy.machines().peekable();
        for (id, observed) in &fleet.machines {
            while let Some((_, gone)) = occupied.next_if(|(other, _)| *other < id) {
                yard.displaced.extend(&gone.tenants);
            }
            let here = occupied.next_if(|(other, _)| *other == id).map(|(_, occupied)| occupied);
            if !observed.machine.state.runs() {
                yard.displaced.extend(here.into_iter().flat_map(|gone| &gone.tenants));
            }
            let machine = &observed.machine;
            let standing = match &machine.state {
                MachineState::Pending { .. } => Standing::Coming,
                MachineState::Active { .. } if repair::is_silent(observed, policy, now) => {
                    Standing::Silent
                }
                MachineState::Active { .. }
                    if brakes::is_flapping(observed, &policy.limits.flap, now).is_some() =>
                {
                    Standing::Flapping
                }
                MachineState::Active { .. } => Standing::Here,
                MachineState::Draining { drain, .. } => {
                    Standing::Draining { for_good: drain.then == AfterDrain::Remove }
                }
                MachineState::Maintenance { .. } => Standing::Maintenance,
                // Neither there nor coming; the model may come to know more.
                _ => continue,
            };
            let kept = here.map_or(&UNUSED, |here| &here.load);
            yard.spots.push(Spot {
                machine: Some(machine),
                zone: &machine.zone,
                capacity: machine.capacity,
                standing,
                kept,
                own: None,
                free: Amounts::from(machine.capacity).less(kept.amounts),
                kept_for: None,
            });
        }
        yard.displaced.extend(occupied.flat_map(|(_, gone)| &gone.tenants));
        yard.known = yard.spots.len();
        let mut places: BTreeMap<&ZoneName, [Vec<(u32, Amounts)>; 2]> = BTreeMap::new();
        for (index, spot) in (0u32..).zip(&yard.spots) {
            let shelves = yard.zones.entry(spot.zone).or_default();
            // What was joined by hand is beyond what a zone keeps and may have.
            if spot.machine.is_none_or(|it| it.origin.is_provisioned()) {
                shelves.alive += 1;
                shelves.going += u32::from(spot.standing == Standing::Draining { for_good: true });
            }
            let [here, coming] = places.entry(spot.zone).or_default();
            match spot.standing {
                Standing::Here => here.push((index, spot.free)),
                Standing::Coming => coming.push((index, spot.free)),
                _ => {}
            }
        }
        for (zone, [here, coming]) in places {
            let shelves = yard.zones.entry(zone).or_default();
            (shelves.here, shelves.coming) =
                (Shelf::of(here.into_iter()), Shelf::of(coming.into_iter()));
        }
        yard
    }

    /// Machines of a zone that are there, coming, or wished for, without those that were joined by hand.
    pub(super) fn alive(&self, zone: &ZoneName) -> u32 {
        self.zones.get(zone).map_or(0, |shelves| shelves.alive)
    }

    /// The same without those that are to be removed.
    pub(super) fn staying(&self, zone: &ZoneName) -> u32 {
        self.zones.get(zone).map_or(0, |shelves| shelves.alive - shelves.going)
    }

    /// Every machine of a zone that has an id, with how it stands and whether nothing is on it.
    pub(super) fn machines(
        &self,
        zone: &ZoneName,
    ) -> impl Iterator<Item = (&'a MachineId, Standing, bool)> {
        let of_zone = self.spots.iter().filter(move |spot| spot.zone == zone);
        of_zone
            .filter_map(|spot| Some((&spot.machine?.id, spot.standing, spot.load().is_nothing())))
    }

    /// The machines of a zone on which `need` has room now.
    pub(super) fn contenders(&self, zone: &ZoneName, need: &Need<'_>) -> Vec<Contender<'a>> {
        let of_zone = self.spots.iter().filter(|spot| spot.zone == zone);
        let fitting = of_zone.filter(|spot| spot.standing == Standing::Here && spot.fits(need));
        let job = need.members.first().map(|first| first.job_name());
        let contender = |spot: &Spot<'a>| {
            let of_job = job.map_or(0, |job| spot.load().count(job));
            Some(Contender { machine: &spot.machine?.id, free: spot.free, of_job })
        };
        fitting.filter_map(contender).collect()
    }

    /// Where a machine is in this yard.
    pub(super) fn index(&self, id: &MachineId) -> Option<u32> {
        let known = self.spots.get(..self.known)?;
        let found = known.binary_search_by(|spot| spot.machine.map(|it| &it.id).cmp(&Some(id)));
        u32::try_from(found.ok()?).ok()
    }

    fn spot(&self, index: u32) -> Option<&Spot<'a>> {
        self.spots.get(index as usize)
    }

    /// The id of a machine, if it has one.
    pub(super) fn machine(&self, index: u32) -> Option<&'a MachineId> {
        Some(&self.spot(index)?.machine?.id)
    }

    /// Whether something can be put there.
    pub(super) fn stands(&self, index: u32) -> Option<Standing> {
        self.spot(index).map(|spot| spot.standing)
    }

    /// Whether `need` has room on this machine.
    pub(super) fn fits(&self, index: u32, need: &Need<'_>) -> bool {
        self.spot(index).is_some_and(|spot| spot.fits(need))
    }

    /// What stands in the way of `need` on this machine.
    fn lacks(&self, index: u32, need: &Need<'_>) -> Vec<Lack> {
        self.spot(index).map(|spot| spot.lacks(need)).unwrap_or_default()
    }

    /// The best place for `need` among a zone's machines that stand so. The places of one search
    /// must be taken one after the other, before anything else is.
    pub(super) fn best(
        &self,
        zone: &ZoneName,
        standing: Standing,
        need: &Need<'_>,
        search: &mut Search,
    ) -> Option<u32> {
        let shelves = self.zones.get(zone)?;
        let shelf = match standing {
            Standing::Here => &shelves.here,
            Standing::Coming => &shelves.coming,
            _ => return None,
        };
        loop {
            while let Some(index) = shelf.next(need.amounts, &mut search.cursor) {
                let Some(spot) = self.spot(index).filter(|spot| spot.fits(need)) else { continue };
                if search.except == Some(index) {
                    continue;
                }
                let grade = spot.grade(need);
                if grade > search.grade {
                    search.see(grade);
                    continue;
                }
                if need.spread() == Spread::Pack {
                    // It may be the best again, and lies behind us now.
                    search.cursor = Cursor::default();
                } else {
                    search.see((grade.0 + 1, grade.1));
                }
                return Some(index);
            }
            search.grade = search.next.take()?;
            search.cursor = Cursor::default();
        }
    }

    /// Puts an instance on a machine; its ports there.
    pub(super) fn take(
        &mut self,
        index: u32,
        need: &Need<'_>,
        deployment: &Deployment,
        id: &InstanceId,
        before: Option<&Ports>,
    ) -> Ports {
        let Some(spot) = self.spots.get_mut(index as usize) else { return Ports::new() };
        let ports = spot.load().choose_ports(&deployment.job, &need.fixed, before);
        let takes = Takes::of(deployment, spot.zone, &ports);
        self.change(index, |load| load.take(id, &takes));
        ports
    }

    /// Puts back on a machine what was taken off.
    pub(super) fn put(&mut self, index: u32, id: &InstanceId, takes: &Takes) {
        self.change(index, |load| load.take(id, takes));
    }

    /// Takes an instance off a machine.
    pub(super) fn give_back(&mut self, index: u32, id: &InstanceId, takes: &Takes) {
        self.change(index, |load| load.give_back(id, takes));
    }

    fn change(&mut self, index: u32, change: impl FnOnce(&mut Load)) {
        let Some(spot) = self.spots.get_mut(index as usize) else { return };
        let kept = spot.kept;
        let load = spot.own.get_or_insert_with(|| Box::new(kept.clone()));
        change(load);
        let (before, after) = (spot.free, Amounts::from(spot.capacity).less(load.amounts));
        spot.free = after;
        if let Some(shelves) = self.zones.get_mut(spot.zone) {
            match spot.standing {
                Standing::Here => shelves.here.moved(index, before, after),
                Standing::Coming => shelves.coming.moved(index, before, after),
                _ => {}
            }
        }
    }

    /// Wishes for a machine, if `need` would fit on it.
    pub(super) fn wish(&mut self, zone: &'a ZoneName, capacity: Capacity, need: &Need<'_>) -> bool {
        let fits = fresh(zone, capacity).fits(need);
        if fits {
            self.expect(zone, capacity);
        }
        fits
    }

    /// A machine is asked for.
    pub(super) fn expect(&mut self, zone: &'a ZoneName, capacity: Capacity) {
        let Ok(index) = u32::try_from(self.spots.len()) else { return };
        let spot = fresh(zone, capacity);
        let shelves = self.zones.entry(zone).or_default();
        shelves.coming.put(index, spot.free);
        shelves.alive += 1;
        self.spots.push(spot);
    }

    /// Keeps what is free on the `count` machines that are nearest to having room for `need`, once
    /// enough of lower priority has left, so that no more of that comes.
    pub(super) fn keep(&mut self, zone: &ZoneName, need: &Need<'_>, count: usize) {
        let could = |spot: &Spot<'_>| {
            let stays = spot.load().amounts_from(need.priority);
            let could_be_free = Amounts::from(spot.capacity).less(stays);
            let lacks = spot.lacks(need);
            need.amounts.fit_in(could_be_free)
                && !lacks.is_empty()
                && lacks.iter().all(Lack::may_pass)
        };
        let nearest = self.spots.iter().enumerate().filter(|(_, spot)| {
            spot.zone == zone
                && spot.standing == Standing::Here
                && spot.kept_for.is_none()
                && could(spot)
        });
        let mut nearest: Vec<_> =
            nearest.map(|(index, spot)| (spot.shortfall(need), index)).collect();
        nearest.sort_unstable();
        for (_, index) in nearest.into_iter().take(count) {
            if let Some(spot) = self.spots.get_mut(index) {
                spot.kept_for = Some(need.priority);
            }
        }
    }

    /// Why `need` has no room beside `master`.
    pub(super) fn why_not_beside(
        &self,
        index: u32,
        need: &Need<'_>,
        machine: &MachineId,
        master: InstanceId,
    ) -> WhyNot {
        let free = self.spot(index).map(|spot| spot.free).unwrap_or_default();
        let (machine, lacks, needs) = (machine.clone(), self.lacks(index, need), need.amounts);
        WhyNot::Beside { machine, master, lacks, needs, free }
    }

    /// Why `need` fits on no machine of a zone.
    pub(super) fn why_not(
        &self,
        zone: &'a ZoneName,
        need: &Need<'_>,
        new: Capacity,
        at_most: u32,
    ) -> NoRoom {
        let mut groups: BTreeMap<Vec<Lack>, (u32, u64, usize)> = BTreeMap::new();
        let mut machines = 0;
        let of_zone = self.spots.iter().enumerate().filter(|(_, spot)| spot.zone == zone);
        for (index, spot) in of_zone {
            machines += 1;
            let short = spot.shortfall(need);
            // Owners differ on each machine, and are told of the nearest only.
            let kinds: Vec<Lack> = spot.lacks(need).into_iter().map(Lack::kind).collect();
            let (count, least, nearest) = groups.entry(kinds).or_insert((0, short, index));
            *count += 1;
            if short < *least {
                (*least, *nearest) = (short, index);
            }
        }
        let group = |(_, (machines, _, nearest)): (Vec<Lack>, (u32, u64, usize))| {
            let spot = self.spots.get(nearest)?;
            let nearest = spot.machine.map(|machine| machine.id.clone());
            Some(Group { machines, lacks: spot.lacks(need), nearest, free: spot.free })
        };
        let mut groups: Vec<Group> = groups.into_iter().filter_map(group).collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.machines));
        let fresh = fresh(zone, new);
        let new_machine = match fresh.lacks(need) {
            lacks if lacks.is_empty() => NewMachine::NotAllowed { at_most },
            lacks => NewMachine::Lacks { lacks, free: fresh.free },
        };
        NoRoom { zone: zone.clone(), needs: need.amounts, machines, groups, new_machine }
    }
}

impl Search {
    /// Of any machine but one.
    pub(super) fn except(index: u32) -> Self {
        Self { except: Some(index), ..Self::default() }
    }

    fn see(&mut self, grade: Grade) {
        self.next = Some(self.next.map_or(grade, |next| next.min(grade)));
    }
}

fn fresh(zone: &ZoneName, capacity: Capacity) -> Spot<'_> {
    let (standing, free) = (Standing::Coming, Amounts::from(capacity));
    Spot { machine: None, zone, capacity, standing, kept: &UNUSED, own: None, free, kept_for: None }
}
