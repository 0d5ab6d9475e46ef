//! What instances need of one machine.

use cerebro_model::{Capacity, Cores, Deployment, JobName, Megabytes, Priority, Spread, ZoneName};
use std::collections::BTreeSet;
use std::fmt;

/// Amounts of what a machine has to give. Sums are kept wide: what is taken may be more than there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amounts {
    /// Thousandths of a core.
    pub cpu: u64,
    /// Megabytes of memory.
    pub mem: u64,
    /// Megabytes of disk.
    pub disk: u64,
}

impl Amounts {
    /// What one instance in `zone` reserves.
    pub(super) fn of(deployment: &Deployment, zone: &ZoneName) -> Self {
        let (cpu, mem) = deployment.job.reserves(zone);
        let disk = deployment.job.placement.disk.unwrap_or_default();
        Self { cpu: cpu.millis().into(), mem: mem.get(), disk: disk.get() }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        let Self { cpu, mem, disk } = other;
        Self { cpu: self.cpu + cpu, mem: self.mem + mem, disk: self.disk + disk }
    }

    /// What is left when `other` is taken away; nothing at least.
    pub(super) fn less(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(other.cpu),
            mem: self.mem.saturating_sub(other.mem),
            disk: self.disk.saturating_sub(other.disk),
        }
    }

    pub(super) fn cores(self) -> Cores {
        Cores::from_millis(u32::try_from(self.cpu).unwrap_or(u32::MAX))
    }

    pub(super) fn fit_in(self, room: Self) -> bool {
        self.cpu <= room.cpu && self.mem <= room.mem && self.disk <= room.disk
    }
}

impl From<Capacity> for Amounts {
    fn from(Capacity { cpu, mem, disk }: Capacity) -> Self {
        Self { cpu: cpu.millis().into(), mem: mem.get(), disk: disk.get() }
    }
}

impl fmt::Display for Amounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cores = self.cores();
        let (mem, disk) = (Megabytes::new(self.mem), Megabytes::new(self.disk));
        match self.disk {
            0 => write!(f, "{cores} cores and {mem}"),
            _ => write!(f, "{cores} cores, {mem} and {disk} of disk"),
        }
    }
}

/// What one instance, or one of each job of a family, needs of one machine.
#[derive(Debug, Clone)]
pub(super) struct Need<'a> {
    pub amounts: Amounts,
    /// Megabytes that the machine must have in all.
    pub machine_mem: u64,
    /// Ports by number.
    pub fixed: BTreeSet<u16>,
    /// Ports of which any will do.
    pub any_ports: usize,
    pub members: Vec<&'a Deployment>,
    /// Room that is kept for a greater priority is not for it.
    pub priority: Priority,
}

/// Why the jobs of a family can never share a machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Clash {
    /// Two of them want one port.
    #[error("{one} and {other}, which are linked, both want port {port}")]
    Port {
        /// The port.
        port: u16,
        /// One.
        one: JobName,
        /// The other.
        other: JobName,
    },
    /// One is to be apart from another.
    #[error("{one} is to be apart from {other}, to which it is linked")]
    Apart {
        /// The one that says so.
        one: JobName,
        /// The other.
        other: JobName,
    },
}

impl<'a> Need<'a> {
    /// What one instance of `deployment` needs in `zone`.
    pub(super) fn of(deployment: &'a Deployment, zone: &ZoneName) -> Self {
        let job = &deployment.job;
        Self {
            amounts: Amounts::of(deployment, zone),
            machine_mem: job.deployment_layout.get(zone).map_or(0, |layout| layout.mem.get()),
            fixed: job.fixed_ports(),
            any_ports: job.ports.values().filter(|port| **port == 0).count(),
            members: vec![deployment],
            priority: job.placement.priority,
        }
    }

    /// What one instance of each of `family` needs together; the first says who goes first.
    pub(super) fn of_family(
        family: &[&'a Deployment],
        zone: &ZoneName,
    ) -> Option<Result<Self, Clash>> {
        let mut rest = family.iter();
        let mut need = Self::of(rest.next()?, zone);
        Some(rest.try_for_each(|member| need.join(member, zone)).map(|()| need))
    }

    fn join(&mut self, member: &'a Deployment, zone: &ZoneName) -> Result<(), Clash> {
        let more = Self::of(member, zone);
        for known in &self.members {
            let both = known.job.fixed_ports();
            if let Some(port) = both.intersection(&more.fixed).next() {
                let (one, other) = (known.job_name().clone(), member.job_name().clone());
                return Err(Clash::Port { port: *port, one, other });
            }
            for (one, other) in [(known, &member), (&member, known)] {
                if one.job.placement.apart_from.contains(other.job_name()) {
                    let (one, other) = (one.job_name().clone(), other.job_name().clone());
                    return Err(Clash::Apart { one, other });
                }
            }
        }
        self.amounts = self.amounts.plus(more.amounts);
        self.machine_mem = self.machine_mem.max(more.machine_mem);
        self.fixed.extend(more.fixed);
        self.any_ports += more.any_ports;
        self.members.push(member);
        Ok(())
    }

    /// How the first of its jobs is spread.
    pub(super) fn spread(&self) -> Spread {
        self.members.first().map_or(Spread::Prefer, |first| first.job.placement.spread)
    }
}
