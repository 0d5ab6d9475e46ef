//! What is taken of one machine.

use super::need::Amounts;
use cerebro_model::{Deployment, InstanceId, Job, JobName, Ports, Priority};
use std::collections::{BTreeMap, BTreeSet};

/// The first port that is given to a task that leaves the choice to Cerebro.
const FIRST_PORT: u16 = 20_000;
/// How many there are from there on.
const CHOICE: usize = (u16::MAX - FIRST_PORT) as usize + 1;

/// What one instance takes of its machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Takes {
    pub amounts: Amounts,
    pub priority: Priority,
    pub ports: BTreeSet<u16>,
    pub job: JobName,
    /// Jobs that must not come to its machine.
    pub apart_from: BTreeSet<JobName>,
}

impl Takes {
    /// What an instance with these ports takes, by what it is to run.
    pub(super) fn of(
        deployment: &Deployment,
        zone: &cerebro_model::ZoneName,
        ports: &Ports,
    ) -> Self {
        let mut all = deployment.job.fixed_ports();
        all.extend(ports.values());
        Self {
            amounts: Amounts::of(deployment, zone),
            priority: deployment.job.placement.priority,
            ports: all,
            job: deployment.job_name().clone(),
            apart_from: deployment.job.placement.apart_from.clone(),
        }
    }

    /// What an instance takes of which it is not known any more what it runs.
    pub(super) fn unknown(job: &JobName, ports: &Ports) -> Self {
        Self {
            amounts: Amounts::default(),
            priority: Priority::default(),
            ports: ports.values().copied().collect(),
            job: job.clone(),
            apart_from: BTreeSet::new(),
        }
    }
}

/// What is taken of one machine, by all that is on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub amounts: Amounts,
    by_priority: BTreeMap<Priority, (u32, Amounts)>,
    /// Each with who has it, in order: one, where nothing went wrong.
    ports: BTreeMap<u16, Vec<InstanceId>>,
    jobs: BTreeMap<JobName, u32>,
    /// Jobs that somebody here is to be apart from, with the number of those.
    shunned: BTreeMap<JobName, u32>,
}

impl Load {
    /// What is taken of a machine that has nothing.
    pub(super) const fn nothing() -> Self {
        Self {
            amounts: Amounts { cpu: 0, mem: 0, disk: 0 },
            by_priority: BTreeMap::new(),
            ports: BTreeMap::new(),
            jobs: BTreeMap::new(),
            shunned: BTreeMap::new(),
        }
    }

    /// Whether nothing is there.
    pub(super) fn is_nothing(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(super) fn take(&mut self, id: &InstanceId, takes: &Takes) {
        self.amounts = self.amounts.plus(takes.amounts);
        let (count, amounts) = self.by_priority.entry(takes.priority).or_default();
        (*count, *amounts) = (*count + 1, amounts.plus(takes.amounts));
        for port in &takes.ports {
            let owners = self.ports.entry(*port).or_default();
            if let Err(at) = owners.binary_search(id) {
                owners.insert(at, id.clone());
            }
        }
        *self.jobs.entry(takes.job.clone()).or_default() += 1;
        for job in &takes.apart_from {
            *self.shunned.entry(job.clone()).or_default() += 1;
        }
    }

    /// Undoes [`Load::take`] by the same words.
    pub(super) fn give_back(&mut self, id: &InstanceId, takes: &Takes) {
        self.amounts = self.amounts.less(takes.amounts);
        if let Some((count, amounts)) = self.by_priority.get_mut(&takes.priority) {
            (*count, *amounts) = (count.saturating_sub(1), amounts.less(takes.amounts));
            if *count == 0 {
                self.by_priority.remove(&takes.priority);
            }
        }
        for port in &takes.ports {
            if let Some(owners) = self.ports.get_mut(port) {
                owners.retain(|owner| owner != id);
                if owners.is_empty() {
                    self.ports.remove(port);
                }
            }
        }
        one_less(&mut self.jobs, &takes.job);
        takes.apart_from.iter().for_each(|job| one_less(&mut self.shunned, job));
    }

    /// What is taken by those of this priority and greater ones.
    pub(super) fn amounts_from(&self, priority: Priority) -> Amounts {
        let taken = self.by_priority.range(priority..).map(|(_, (_, amounts))| *amounts);
        taken.fold(Amounts::default(), Amounts::plus)
    }

    /// How many instances of `job` are here.
    pub(super) fn count(&self, job: &JobName) -> u32 {
        self.jobs.get(job).copied().unwrap_or(0)
    }

    /// Whether a job here is to be apart from `job`.
    pub(super) fn is_shunned(&self, job: &Job) -> bool {
        !self.shunned.is_empty() && self.shunned.contains_key(&job.dns_basename)
    }

    /// A job here from which `job` is to be apart.
    pub(super) fn shuns<'j>(&self, job: &'j Job) -> Option<&'j JobName> {
        job.placement.apart_from.iter().find(|other| self.jobs.contains_key(other))
    }

    /// Who has a port.
    pub(super) fn owner(&self, port: u16) -> Option<&InstanceId> {
        self.ports.get(&port)?.first()
    }

    /// Whether `more` ports can be chosen, beside those that are named.
    pub(super) fn has_ports(&self, fixed: &BTreeSet<u16>, more: usize) -> bool {
        let free = |port: &u16| !self.ports.contains_key(port);
        fixed.iter().all(free) && (more == 0 || self.ports.len() + fixed.len() + more <= CHOICE)
    }

    /// The ports that an instance gets here: those it names, those that it had, else the lowest free.
    /// `fixed` are spoken for.
    pub(super) fn choose_ports(
        &self,
        job: &Job,
        fixed: &BTreeSet<u16>,
        before: Option<&Ports>,
    ) -> Ports {
        let is_free = |port: &u16| !self.ports.contains_key(port) && !fixed.contains(port);
        let had = |name| before.and_then(|ports| ports.get(name)).copied();
        let kept: Ports = (job.ports.iter())
            .filter(|(_, port)| **port == 0)
            .filter_map(|(name, _)| Some((name.clone(), had(name)?)))
            .filter(|(_, port)| *port >= FIRST_PORT && is_free(port))
            .collect();
        let in_use: BTreeSet<u16> = kept.values().copied().collect();
        let mut free =
            (FIRST_PORT..=u16::MAX).filter(|port| is_free(port) && !in_use.contains(port));
        let chosen = job.ports.iter().filter_map(|(name, named)| {
            let port = match (*named, kept.get(name)) {
                (0, Some(kept)) => *kept,
                // There is one: `has_ports` said so.
                (0, None) => free.next()?,
                (named, _) => named,
            };
            Some((name.clone(), port))
        });
        chosen.collect()
    }
}

fn one_less(counts: &mut BTreeMap<JobName, u32>, job: &JobName) {
    match counts.get_mut(job) {
        Some(1) => drop(counts.remove(job)),
        Some(count) => *count -= 1,
        None => {}
    }
}
