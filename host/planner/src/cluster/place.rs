//! Where an instance goes: by what is free, spread over machines, then packed tightly.

use cerebro_model::{Capacity, Cores, Job, JobName, MachineId, Megabytes, Ports, ZoneName};
use std::collections::{BTreeMap, BTreeSet};

/// The first port that is given to a task that leaves the choice to Cerebro.
const FIRST_PORT: u16 = 20_000;

/// A machine with what is taken of it.
#[derive(Debug, Clone)]
pub(super) struct Bin {
    /// None for a machine that is only wished for.
    pub(super) machine: Option<MachineId>,
    pub(super) capacity: Capacity,
    pub(super) cpu: Cores,
    pub(super) mem: Megabytes,
    pub(super) ports: BTreeSet<u16>,
    pub(super) jobs: BTreeMap<JobName, u32>,
}

/// What one instance needs of a machine.
#[derive(Debug, Clone)]
pub(super) struct Need<'a> {
    pub(super) job: &'a Job,
    pub(super) cpu: Cores,
    pub(super) mem: Megabytes,
    /// What a machine must have in all.
    pub(super) machine_mem: Megabytes,
}

impl<'a> Need<'a> {
    pub(super) fn of(job: &'a Job, zone: &ZoneName) -> Self {
        let (cpu, mem) = job.reserves(zone);
        let machine_mem =
            job.deployment_layout.get(zone).map_or(Megabytes::ZERO, |layout| layout.mem);
        Self { job, cpu, mem, machine_mem }
    }
}

impl Bin {
    pub(super) fn empty(machine: Option<MachineId>, capacity: Capacity) -> Self {
        let (cpu, mem) = (capacity.cpu, capacity.mem);
        Self { machine, capacity, cpu, mem, ports: BTreeSet::new(), jobs: BTreeMap::new() }
    }

    /// Takes what an instance with these ports needs.
    pub(super) fn take(&mut self, need: &Need<'_>, ports: &Ports) {
        self.cpu = self.cpu.saturating_sub(need.cpu);
        self.mem = self.mem.saturating_sub(need.mem);
        self.ports.extend(ports.values());
        *self.jobs.entry(need.job.dns_basename.clone()).or_default() += 1;
    }

    pub(super) fn fits(&self, need: &Need<'_>) -> bool {
        self.cpu >= need.cpu
            && self.mem >= need.mem
            && self.capacity.mem >= need.machine_mem
            && need.job.ports.values().all(|port| *port == 0 || !self.ports.contains(port))
    }

    /// The ports that an instance gets here: those it names, else the lowest free.
    pub(super) fn choose_ports(&self, job: &Job) -> Ports {
        let named: BTreeSet<u16> = job.ports.values().copied().filter(|port| *port != 0).collect();
        let mut free = (FIRST_PORT..=u16::MAX)
            .filter(|port| !self.ports.contains(port) && !named.contains(port));
        // 45,536 ports are never all taken before the memory of a machine is.
        let mut choose = |port: u16| if port == 0 { free.next().unwrap_or(0) } else { port };
        job.ports.iter().map(|(name, port)| (name.clone(), choose(*port))).collect()
    }

    /// Lower is better: fewest of the same job first, then the tightest fit.
    fn rank(&self, need: &Need<'_>) -> (u32, u64) {
        let same = self.jobs.get(&need.job.dns_basename).copied().unwrap_or(0);
        let share = |left: u64, all: u64| left * 1_000_000 / all.max(1);
        let cpu = share(
            self.cpu.saturating_sub(need.cpu).millis().into(),
            self.capacity.cpu.millis().into(),
        );
        let mem = share(self.mem.saturating_sub(need.mem).get(), self.capacity.mem.get());
        (same, cpu + mem)
    }

    /// What is short here, in words, and how badly (for finding the least bad).
    fn shortage(&self, need: &Need<'_>) -> (u64, String) {
        let cpu = need.cpu.saturating_sub(self.cpu);
        let mem = need
            .mem
            .saturating_sub(self.mem)
            .max(need.machine_mem.saturating_sub(self.capacity.mem));
        let taken = need.job.ports.values().find(|port| **port != 0 && self.ports.contains(port));
        let mut short = Vec::new();
        if cpu > Cores::ZERO {
            short.push(format!("{cpu} cores"));
        }
        if mem > Megabytes::ZERO {
            short.push(format!("{mem}"));
        }
        let mut words = format!("{} short", short.join(" and "));
        if let Some(port) = taken {
            words = match short.is_empty() {
                true => format!("port {port} taken"),
                false => format!("{words}, and port {port} taken"),
            };
        }
        (u64::from(cpu.millis()) + mem.get() + 10_000 * u64::from(taken.is_some()), words)
    }
}

/// The bin in which an instance goes best; none if it fits in none.
pub(super) fn best<'b>(bins: &'b mut [Bin], need: &Need<'_>) -> Option<&'b mut Bin> {
    bins.iter_mut().filter(|bin| bin.fits(need)).min_by_key(|bin| bin.rank(need))
}

/// Why an instance fits in none of a zone's bins nor on a new machine.
pub(super) fn why_not(bins: &[Bin], need: &Need<'_>, zone: &ZoneName, new: Capacity) -> String {
    let needs = format!("needs {} cores and {}", need.cpu, need.mem);
    let machines = bins.iter().filter_map(|bin| Some((bin.machine.as_ref()?, bin.shortage(need))));
    let least = machines.clone().min_by_key(|(_, (badness, _))| *badness);
    let found = match least {
        Some((id, (_, short))) => {
            format!("{short} on {id}, the best of {} machines in {zone}", machines.count())
        }
        None => format!("{zone} has no machine"),
    };
    let fresh = Bin::empty(None, new);
    match fresh.fits(need) {
        true => format!("{needs}: {found}, and {zone} may have no more machines"),
        false => {
            format!("{needs}: {found}; a new machine there would be {} too", fresh.shortage(need).1)
        }
    }
}
