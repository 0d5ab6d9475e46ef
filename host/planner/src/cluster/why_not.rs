//! Why an instance has no place, machine by machine.

use super::need::{Amounts, Clash};
use cerebro_model::{
    InstanceId, JobName, LabelName, LabelValue, LinkCycle, MachineId, Megabytes, ZoneName,
};
use std::fmt;

/// Why an instance has no place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum WhyNot {
    /// The cluster has no such zone.
    NoZone {
        /// The zone.
        zone: ZoneName,
        /// Those that it has.
        known: Vec<ZoneName>,
    },
    /// No machine of the zone has room, and none may be made.
    NoRoom(Box<NoRoom>),
    /// The jobs that must share a machine cannot.
    Clash(Clash),
    /// The machine on which its master is has no room for it.
    Beside {
        /// That machine.
        machine: MachineId,
        /// The instance that it must be beside.
        master: InstanceId,
        /// What stands in the way there.
        lacks: Vec<Lack>,
        /// What it needs.
        needs: Amounts,
        /// What is free there.
        free: Amounts,
    },
    /// The job that it is linked to is not there.
    NoMaster(JobName),
    /// The job that it is linked to was never deployed.
    MasterNotDeployed(JobName),
    /// As they were deployed, jobs are linked in a circle.
    Circle(LinkCycle),
}

/// Why nothing of a zone has room.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NoRoom {
    /// The zone.
    pub zone: ZoneName,
    /// What is needed of one machine.
    pub needs: Amounts,
    /// How many machines there are.
    pub machines: u32,
    /// They, by what stands in the way; the largest group first.
    pub groups: Vec<Group>,
    /// Why a further machine is no way out.
    pub new_machine: NewMachine,
}

/// Machines on which the same stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// How many.
    pub machines: u32,
    /// What stands in the way on the nearest of them.
    pub lacks: Vec<Lack>,
    /// The one that is nearest to having room; none if that is still to be made.
    pub nearest: Option<MachineId>,
    /// What is free there.
    pub free: Amounts,
}

/// Why a further machine is no way out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum NewMachine {
    /// The zone has as many as it may have.
    NotAllowed {
        /// So many.
        at_most: u32,
    },
    /// It would have no room either.
    Lacks {
        /// What would stand in the way.
        lacks: Vec<Lack>,
        /// What it would have.
        free: Amounts,
    },
}

/// What stands in an instance's way on one machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lack {
    /// Nothing is heard of it.
    Silent,
    /// It keeps falling silent and coming back.
    Flapping,
    /// It is drained.
    Draining,
    /// It is in maintenance.
    Maintenance,
    /// It is not labelled so.
    Label {
        /// The label.
        label: LabelName,
        /// The values, of which it should have one.
        values: Vec<LabelValue>,
    },
    /// A job is there from which this one is to be apart.
    Apart {
        /// That job.
        from: JobName,
        /// This one.
        job: JobName,
    },
    /// A job is there that is to be apart from this one.
    Shunned {
        /// This one.
        job: JobName,
    },
    /// An instance of the job is there already, and it wants one on each machine at most.
    Spread {
        /// The job.
        job: JobName,
    },
    /// A port is taken.
    Port {
        /// The port.
        port: u16,
        /// By whom.
        owner: Option<InstanceId>,
    },
    /// No port is left to choose.
    AnyPort,
    /// It is too small a machine, by the job's layout.
    Size {
        /// Its memory.
        has: Megabytes,
        /// What the layout wants, in megabytes.
        needs: u64,
    },
    /// Cores are short.
    Cpu,
    /// Memory is short.
    Memory,
    /// Disk is short.
    Disk,
    /// What is free there is kept for a job of higher priority.
    Kept,
}

impl Lack {
    /// What of it is the same on all machines of one group.
    pub(super) fn kind(self) -> Self {
        match self {
            Self::Port { port, .. } => Self::Port { port, owner: None },
            Self::Size { needs, .. } => Self::Size { has: Megabytes::ZERO, needs },
            other => other,
        }
    }

    /// Whether it passes when something of lower priority leaves the machine.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Cpu | Self::Memory | Self::Disk)
    }

    /// What is short, if it is an amount, and how much of it is free.
    fn amount(&self, free: Amounts) -> Option<(&'static str, String)> {
        Some(match self {
            Self::Cpu => ("cores", format!("{} cores", free.cores())),
            Self::Memory => ("memory", format!("{} MB", free.mem)),
            Self::Disk => ("disk", format!("{} MB of disk", free.disk)),
            _ => return None,
        })
    }

    /// In words, of one machine or of many; nothing for amounts, which are told together.
    fn words(&self, many: bool) -> Option<String> {
        let (is, has) = if many { ("are", "have") } else { ("is", "has") };
        Some(match self {
            Self::Silent => format!("{is} silent"),
            Self::Flapping => format!("{is} flapping"),
            Self::Draining => format!("{is} drained"),
            Self::Maintenance => format!("{is} in maintenance"),
            Self::Label { label, values } => {
                let values: Vec<_> = values.iter().map(LabelValue::as_str).collect();
                format!("{is} not labelled {label}={}", values.join("|"))
            }
            Self::Apart { from, job } => format!("{has} {from}, from which {job} is to be apart"),
            Self::Shunned { job } => format!("{has} a job that is to be apart from {job}"),
            Self::Spread { job } => format!("{has} an instance of {job} already"),
            Self::Port { port, .. } => format!("{has} port {port} taken"),
            Self::AnyPort => format!("{has} no port left to choose"),
            Self::Size { needs, .. } => format!("{is} smaller than the {needs} MB of the layout"),
            Self::Kept => {
                let keep = if many { "keep" } else { "keeps" };
                format!("{keep} what is free for a job of higher priority")
            }
            Self::Cpu | Self::Memory | Self::Disk => return None,
        })
    }

    /// What is only true of one machine.
    fn detail(&self) -> Option<String> {
        match self {
            Self::Port { port, owner: Some(owner) } => Some(format!("port {port} by {owner}")),
            Self::Size { has, .. } => Some(format!("{has} in all")),
            _ => None,
        }
    }
}

/// What stands in the way, in words.
fn in_words(lacks: &[Lack], many: bool) -> String {
    let mut words: Vec<String> = lacks.iter().filter_map(|lack| lack.words(many)).collect();
    let amount = |lack: &Lack| Some(lack.amount(Amounts::default())?.0);
    let amounts: Vec<_> = lacks.iter().filter_map(amount).collect();
    if !amounts.is_empty() {
        let lack = if many { "lack" } else { "lacks" };
        words.push(format!("{lack} {}", amounts.join(" and ")));
    }
    // Where nothing lacks and yet it cannot go, it is now: nobody else is asked why.
    if words.is_empty() {
        words.push(if many { "have it now" } else { "has it now" }.to_owned());
    }
    words.join(" and ")
}

/// What is to be said of one machine beside that.
fn details(lacks: &[Lack], free: Amounts) -> Option<String> {
    let short: Vec<_> = lacks.iter().filter_map(|lack| Some(lack.amount(free)?.1)).collect();
    let short = (!short.is_empty()).then(|| format!("{} free", short.join(" and ")));
    let details: Vec<_> = short.into_iter().chain(lacks.iter().filter_map(Lack::detail)).collect();
    (!details.is_empty()).then(|| details.join(", "))
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many = self.machines != 1;
        write!(f, "{} {}", self.machines, in_words(&self.lacks, many))?;
        let nearest = self.nearest.as_ref().map_or("one that is coming".to_owned(), |id| {
            if many { format!("nearest {id}") } else { id.to_string() }
        });
        match details(&self.lacks, self.free) {
            Some(details) => write!(f, " ({nearest}: {details})"),
            None => write!(f, " ({nearest})"),
        }
    }
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { zone, needs, machines, groups, new_machine } = self;
        write!(f, "needs {needs}: ")?;
        match machines {
            0 => write!(f, "{zone} has no machine")?,
            1 => write!(f, "of 1 machine in {zone} ")?,
            _ => write!(f, "of {machines} machines in {zone} ")?,
        }
        let groups: Vec<_> = groups.iter().map(Group::to_string).collect();
        f.write_str(&groups.join(", "))?;
        match new_machine {
            NewMachine::NotAllowed { at_most } => {
                write!(f, "; {zone} may have no more machines than {at_most}")
            }
            NewMachine::Lacks { lacks, free } => {
                write!(f, "; a new machine there {}", would_be(lacks, *free))
            }
        }
    }
}

fn would_be(lacks: &[Lack], free: Amounts) -> String {
    let details = details(lacks, free).map_or(String::new(), |details| format!(" ({details})"));
    format!("is no way out, it {}{details}", in_words(lacks, false))
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoZone { zone, known } => {
                let known: Vec<_> = known.iter().map(ZoneName::as_str).collect();
                write!(f, "this cluster has no zone {zone}; it has: {}", known.join(", "))
            }
            Self::NoRoom(no_room) => no_room.fmt(f),
            Self::Clash(clash) => clash.fmt(f),
            Self::Beside { machine, master, lacks, needs, free } => {
                write!(
                    f,
                    "needs {needs} on {machine}, beside {master}; it {}",
                    in_words(lacks, false)
                )?;
                match details(lacks, *free) {
                    Some(details) => write!(f, " ({details})"),
                    None => Ok(()),
                }
            }
            Self::NoMaster(master) => {
                write!(f, "it is linked to {master}, and there is no such job: apply {master}")
            }
            Self::MasterNotDeployed(master) => {
                write!(f, "it is linked to {master}, which was never deployed: deploy {master}")
            }
            Self::Circle(circle) => circle.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_told_in_groups_each_with_its_nearest() {
        let amounts = |cpu, mem| Amounts { cpu, mem, disk: 0 };
        let owner = Some("0.z-1.web.b".parse().unwrap());
        let group = |machines, lacks, nearest: &str, free| {
            let nearest = Some(nearest.parse().unwrap());
            Group { machines, lacks, nearest, free }
        };
        let found = NoRoom {
            zone: "z-1".parse().unwrap(),
            needs: amounts(500, 2048),
            machines: 16,
            groups: vec![
                group(12, vec![Lack::Memory], "m-4", amounts(2500, 1229)),
                group(3, vec![Lack::Silent, Lack::Cpu, Lack::Memory], "m-7", amounts(0, 0)),
                group(1, vec![Lack::Port { port: 8080, owner }], "m-2", amounts(4000, 4000)),
            ],
            new_machine: NewMachine::NotAllowed { at_most: 16 },
        };
        assert_eq!(
            found.to_string(),
            "needs 0.5 cores and 2048 MB: of 16 machines in z-1 12 lack memory (nearest m-4: 1229 MB \
             free), 3 are silent and lack cores and memory (nearest m-7: 0 cores and 0 MB \
             free), 1 has port 8080 taken (m-2: port 8080 by 0.z-1.web.b); z-1 may have no more \
             machines than 16"
        );
    }
}
