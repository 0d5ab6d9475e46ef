//! Jobs that share their machines: each with those that are linked to it.

use super::failover::StandIns;
use super::{Fleet, WhyNot};
use cerebro_model::{Deployment, InstanceId, JobName, Priority, ZoneName, masters};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A job that is linked to none, with all that are linked to it, directly or through others: what
/// each of them should run. One instance of each runs on every machine on which the first has one.
#[derive(Debug)]
pub(super) struct Family<'a> {
    /// The first, then the others, masters before who is linked to them.
    pub members: Vec<&'a Deployment>,
}

/// All jobs that are to have instances.
#[derive(Debug, Default)]
pub(super) struct Families<'a> {
    /// Who goes first comes first: by priority, then by name.
    pub all: Vec<Family<'a>>,
    /// Jobs whose master is not there.
    pub masterless: BTreeMap<&'a JobName, WhyNot>,
    targets: HashMap<&'a JobName, &'a Deployment>,
    /// Which family each job is of.
    of: HashMap<&'a JobName, usize>,
    /// What stands in for instances that are down; nothing, unless somebody has looked.
    stand_ins: StandIns<'a>,
}

impl<'a> Family<'a> {
    /// The one that is linked to none, and those that are linked to it.
    pub(super) fn split(&self) -> Option<(&'a Deployment, &[&'a Deployment])> {
        self.members.split_first().map(|(first, linked)| (*first, linked))
    }
}

impl<'a> Families<'a> {
    pub(super) fn of(fleet: &'a Fleet) -> Self {
        let mut families = Self { targets: fleet.targets(), ..Self::default() };
        let mut linked: HashMap<&JobName, Vec<(usize, &JobName, &Deployment)>> = HashMap::new();
        for (name, target) in &families.targets {
            if target.job.linked_job.is_none() {
                continue;
            }
            match families.masters(fleet, name) {
                Ok(chain) => {
                    let first = chain.last().copied().unwrap_or(name);
                    linked.entry(first).or_default().push((chain.len(), name, target));
                }
                Err(why) => drop(families.masterless.insert(name, why)),
            }
        }
        for first in fleet.jobs.keys().filter_map(|name| families.targets.get(name)) {
            if first.job.linked_job.is_some() {
                continue;
            }
            let mut members = vec![*first];
            if let Some(mut linked) = linked.remove(first.job_name()) {
                linked.sort_unstable_by_key(|(depth, name, _)| (*depth, *name));
                members.extend(linked.into_iter().map(|(.., target)| target));
            }
            families.all.push(Family { members });
        }
        // Those of one priority stay in the order of their names.
        families.all.sort_by_key(|family| {
            let first = family.members.first();
            Reverse(first.map_or(Priority::default(), |it| it.job.placement.priority))
        });
        for (index, family) in families.all.iter().enumerate() {
            families.of.extend(family.members.iter().map(|member| (member.job_name(), index)));
        }
        families
    }

    /// Those that a job is linked to, as far as they are there.
    fn masters(&self, fleet: &Fleet, job: &'a JobName) -> Result<Vec<&'a JobName>, WhyNot> {
        let linked_to = |job: &JobName| self.targets.get(job)?.job.linked_job.as_ref();
        let chain = masters(job, linked_to).map_err(WhyNot::Circle)?;
        match chain.iter().find(|master| !self.targets.contains_key(*master)) {
            None => Ok(chain),
            Some(missing) if fleet.jobs.contains_key(*missing) => {
                Err(WhyNot::MasterNotDeployed((*missing).clone()))
            }
            Some(missing) => Err(WhyNot::NoMaster((*missing).clone())),
        }
    }

    /// What a job's instances should run.
    pub(super) fn target(&self, job: &JobName) -> Option<&'a Deployment> {
        self.targets.get(job).copied()
    }

    /// The one that says where a job's instances are, and how many: its own target, or that of the
    /// master of its masters; none if there is none.
    pub(super) fn first(&self, job: &JobName) -> Option<&'a Deployment> {
        self.family(job).first().copied()
    }

    /// All of a job's family, that one first.
    pub(super) fn family(&self, job: &JobName) -> &[&'a Deployment] {
        let family = self.of.get(job).and_then(|index| self.all.get(*index));
        family.map_or(&[], |family| &family.members)
    }

    /// The same, with what stands in.
    pub(super) fn with(self, stand_ins: StandIns<'a>) -> Self {
        Self { stand_ins, ..self }
    }

    /// How many instances a job that is linked to none should have in a zone: what its layout says, and what stands in
    /// for those of other zones.
    pub(super) fn count(&self, first: &Deployment, zone: &ZoneName) -> u32 {
        let layout = first.job.deployment_layout.get(zone);
        layout.map_or(0, |it| it.instances() + self.stand_ins.more(first.job_name(), zone))
    }

    /// Why `job`, of the family of `first`, should have an instance of this number in a zone.
    pub(super) fn why_wanted(
        &self,
        job: &JobName,
        first: &Deployment,
        zone: &ZoneName,
        number: u32,
    ) -> String {
        let layout = first.job.deployment_layout.get(zone);
        let wanted = layout.map_or(0, |layout| layout.instances());
        match number < wanted {
            true => format!("{job} should have {wanted} instances in {zone}"),
            false => format!("it stands in: {}", self.stand_ins.why(first.job_name())),
        }
    }

    /// Every instance that a job should have.
    pub(super) fn wanted(&self, job: &JobName) -> BTreeSet<InstanceId> {
        let mut wanted = BTreeSet::new();
        if let Some(first) = self.first(job) {
            for zone in first.job.deployment_layout.keys() {
                let numbers = 0..self.count(first, zone);
                wanted.extend(numbers.map(|number| InstanceId::new(number, zone, job)));
            }
        }
        wanted
    }
}
