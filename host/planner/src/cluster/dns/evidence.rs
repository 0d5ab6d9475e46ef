//! Who serves, by what is heard: kept between two looks, so that a look goes only through the names of which
//! something has changed.

use crate::cluster::{Fleet, SeenInstance, blue_green};
use cerebro_model::{
    InstanceId, JobName, MachineId, MachineState, Member, Phase, Publication, ZoneName,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What speaks for what is published. It follows a [`Fleet`] one change at a time, and is at any time what
/// would be made of that fleet anew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    groups: BTreeMap<String, Group>,
    /// Where each instance belongs, also once it is gone.
    belong: HashMap<InstanceId, (String, u32)>,
}

/// One job's instances in one zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub job: JobName,
    pub zone: ZoneName,
    pub instances: BTreeMap<u32, Evidence>,
    /// The numbers whose evidence is not what is published.
    differs: BTreeSet<u32>,
}

/// What is known of one instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Evidence {
    /// The placement that serves; of two that do, the one that is to be published.
    pub serves: Option<Member>,
    /// Whether its machines have not been heard of it yet, as after a start of the controller.
    pub unheard: bool,
    /// Where it stands, on machines that nobody has given up.
    pub stands: Vec<Member>,
}

impl Evidence {
    fn of(fleet: &Fleet, seen: &SeenInstance) -> Self {
        let instance = &seen.instance;
        let here = member(fleet, &instance.machine, instance.placement);
        let leaving = instance.leaving.as_deref();
        let left = leaving.and_then(|left| member(fleet, &left.machine, left.placement));
        let here_serves = here.clone().filter(|_| seen.phase_of_target() == Some(Phase::Healthy));
        let left_serves = left.clone().filter(|_| seen.left_phase() == Some(Phase::Healthy));
        // Of two versions beside each other the old one is published until all of the new one is well.
        let is_beside = leaving.is_some()
            && fleet
                .deployments
                .get(&instance.deployment)
                .is_some_and(|it| blue_green::is_one(it) && !it.state.has_succeeded());
        let serves = match is_beside {
            true => left_serves.or(here_serves),
            false => here_serves.or(left_serves),
        };
        let unheard = seen.status.is_none() && seen.left_phase().is_none();
        Self { serves, unheard, stands: here.into_iter().chain(left).collect() }
    }

    /// Whether it stands there.
    pub fn has(&self, placement: u64) -> bool {
        self.stands.iter().any(|member| member.placement == placement)
    }

    /// What is to be published of it, where that is published now.
    pub fn wants(&self, published: Option<&Member>) -> Option<Member> {
        let kept = || published.filter(|it| self.unheard && self.stands.contains(it)).cloned();
        self.serves.clone().or_else(kept)
    }
}

/// A placement on a machine that has an address, and that nobody has given up.
pub(super) fn member(fleet: &Fleet, machine: &MachineId, placement: u64) -> Option<Member> {
    let found = &fleet.machines.get(machine)?.machine;
    let is_there = match &found.state {
        MachineState::Lost { .. } | MachineState::Pending { .. } => false,
        state => state.certificate().is_none(),
    };
    let address = found.address.filter(|_| is_there)?;
    let addresses = found.also_at.iter().copied().chain([address]).collect();
    Some(Member { placement, machine: machine.clone(), addresses })
}

impl Names {
    /// Of everything that a snapshot holds.
    pub(in crate::cluster) fn of(fleet: &Fleet) -> Self {
        let mut names = Self::default();
        fleet.instances.keys().for_each(|id| names.instance(fleet, id));
        fleet.names.keys().for_each(|name| names.name(fleet, name));
        names
    }

    /// Something about an instance has changed, or it is gone.
    pub(in crate::cluster) fn instance(&mut self, fleet: &Fleet, id: &InstanceId) {
        match fleet.instances.get(id) {
            Some(seen) => {
                let (job, zone, number) =
                    (&seen.instance.job, &seen.instance.zone, seen.instance.number);
                let name = match self.belong.get(id) {
                    Some((name, _)) => name.clone(),
                    None => {
                        let name = Publication::name_of(zone, job);
                        self.belong.insert(id.clone(), (name.clone(), number));
                        name
                    }
                };
                let group = self.group(&name, job, zone);
                group.instances.insert(number, Evidence::of(fleet, seen));
                group.compare(fleet, &name, number);
            }
            None => {
                let Some((name, number)) = self.belong.remove(id) else { return };
                let Some(group) = self.groups.get_mut(&name) else { return };
                group.instances.remove(&number);
                group.compare(fleet, &name, number);
                self.tidy(fleet, &name);
            }
        }
    }

    /// What is published under a name has changed, or is no more.
    pub(in crate::cluster) fn name(&mut self, fleet: &Fleet, name: &str) {
        let found = fleet.names.get(name).map(|named| &named.publication);
        if let Some(publication) = found {
            self.group(name, &publication.job, &publication.zone);
        }
        let Some(group) = self.groups.get_mut(name) else { return };
        let published = found.into_iter().flat_map(|it| it.members.keys());
        let numbers: BTreeSet<u32> =
            group.instances.keys().chain(published).chain(&group.differs).copied().collect();
        numbers.into_iter().for_each(|number| group.compare(fleet, name, number));
        self.tidy(fleet, name);
    }

    fn group(&mut self, name: &str, job: &JobName, zone: &ZoneName) -> &mut Group {
        self.groups.entry(name.to_owned()).or_insert_with(|| Group {
            job: job.clone(),
            zone: zone.clone(),
            instances: BTreeMap::new(),
            differs: BTreeSet::new(),
        })
    }

    fn tidy(&mut self, fleet: &Fleet, name: &str) {
        let is_over = |group: &Group| group.instances.is_empty() && !fleet.names.contains_key(name);
        if self.groups.get(name).is_some_and(is_over) {
            self.groups.remove(name);
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Group> {
        self.groups.get(name)
    }

    /// The groups of which something else is published than what is heard, or that are over.
    pub(super) fn due(&self) -> impl Iterator<Item = &String> {
        let due = |group: &Group| !group.differs.is_empty() || group.instances.is_empty();
        self.groups.iter().filter(move |(_, group)| due(group)).map(|(name, _)| name)
    }

    /// Where an instance is published.
    pub(super) fn of_instance(&self, id: &InstanceId) -> Option<&String> {
        self.belong.get(id).map(|(name, _)| name)
    }
}

impl Group {
    fn compare(&mut self, fleet: &Fleet, name: &str, number: u32) {
        let named = fleet.names.get(name);
        let published = named.and_then(|named| named.publication.members.get(&number));
        let wanted = self.instances.get(&number).and_then(|it| it.wants(published));
        match wanted.as_ref() == published {
            true => drop(self.differs.remove(&number)),
            false => drop(self.differs.insert(number)),
        }
    }
}
