//! What the cluster does next.
//!
//! [`plan`] looks at the [`Fleet`] and answers with decisions; each part is a module of its own:
//! [`repair`](mod@repair) judges machines, by what their [`peers`](mod@peers) say too, and
//! [`climb`](mod@climb)s the [`ladder`] with them, [`fill`](mod@fill) gives every job its instances and
//! asks for machines where none has room, [`roll`](mod@roll) brings a new version to them,
//! [`gate`](mod@gate) says which of them count as healthy and which never will ([`seen`](mod@seen)
//! remembers what that takes), [`queue`](mod@queue) says whose turn it is, [`link`](mod@link) starts
//! again what runs beside it,
//! [`canary`](mod@canary) when a new version may go on from its first instances,
//! [`blue_green`](mod@blue_green) has it run beside the old one, and
//! [`rollback`](mod@rollback) says what takes a failed one back; [`drain`](mod@drain) takes instances
//! off machines, [`idle`](mod@idle) finds machines that are too many, and [`turn`](mod@turn) says
//! what follows for a machine on its way out. What all of them decided goes through the
//! [`brakes`](mod@brakes), which hold some of it back.
//!
//! What it all went by can be kept ([`look`](mod@look)) and told ([`explain`](mod@explain), `words.rs`), and
//! [`what_if`](mod@what_if) drives all of it ahead, to see what would come of something.
//!
//! Where an instance goes: [`need`](mod@need) says what it needs, [`load`](mod@load) what is taken
//! of a machine, [`occupancy`](mod@occupancy) who is where (kept between two looks),
//! [`shelf`](mod@shelf) orders machines by what is free, [`yard`](mod@yard) finds the best of them
//! and gives them away, [`family`](mod@family) says who shares a machine with whom, and
//! [`why_not`](mod@why_not) why something has no place.

mod blue_green;
#[cfg(test)]
mod blue_green_tests;
mod brakes;
mod canary;
mod climb;
#[cfg(test)]
mod climb_tests;
mod dns;
mod drain;
#[cfg(test)]
mod drain_tests;
pub mod explain;
mod failover;
#[cfg(test)]
mod failover_tests;
mod family;
mod fill;
mod foresee;
mod gate;
mod idle;
#[cfg(test)]
mod idle_tests;
#[cfg(test)]
mod joined_tests;
pub mod ladder;
mod link;
mod load;
mod look;
mod moves;
mod need;
mod occupancy;
mod peers;
#[cfg(test)]
mod placement_properties;
#[cfg(test)]
mod placement_tests;
mod queue;
mod repair;
mod roll;
#[cfg(test)]
mod roll_properties;
#[cfg(test)]
mod roll_tests;
mod rollback;
#[cfg(test)]
mod rollback_tests;
mod seen;
mod shelf;
mod snapshot;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
pub(crate) mod tests;
mod turn;
mod what_if;
mod why_not;
mod words;
mod yard;

pub use brakes::{Approvals, Clocks, FlapPolicy, Limits, Own, Rate, Standstill};
pub use canary::Standing as CanaryStanding;
pub use dns::{Named, Names};
pub use drain::{Stuck, stuck};
pub use foresee::{Places, places};
pub use idle::mark_idle;
pub use link::beside;
pub use look::{Again, Entry, Look, Recorder, Since, compare};
pub use need::{Amounts, Clash};
pub use occupancy::Occupancy;
pub use rollback::{last_success_before, number_of_rollback};
pub use seen::SeenInstance;
pub use snapshot::{
    BrakeRecords, Fleet, Full, ObservedMachine, Policy, Presence, Probe, ProviderWord, ZonePolicy,
};
pub use what_if::{NotThere, what_if};
pub use why_not::{Group, Lack, NewMachine, NoRoom, WhyNot};

use cerebro_model::{
    DeathCertificate, DeploymentId, DeploymentState, Instance, InstanceId, JobName, MachineId,
    PauseScope, Proposal, Publication, Repair, Rung, Timestamp, ZoneName,
};
use serde::{Deserialize, Serialize};

/// Something to be done, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What is to be done.
    pub step: Step,
    /// Why, in a sentence for a person.
    pub reason: String,
}

/// Something to be done, so specific that nothing is left to choose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Create a machine.
    Provision {
        /// Where.
        zone: ZoneName,
    },
    /// Ask a machine's agent whether it is there.
    Probe(MachineId),
    /// Ask the provider whether a machine exists.
    AskProvider(MachineId),
    /// Have another machine look whether a machine's agent is there: first whose, then who looks.
    AskPeer(MachineId, MachineId),
    /// Have a machine's provider try something, so that the machine answers again.
    Try(MachineId, Rung),
    /// Give a machine up: all witnesses agree that it is dead, or that nobody reaches it, whatever was tried.
    DeclareLost(MachineId, DeathCertificate),
    /// Give a machine up that never joined.
    GiveUp(MachineId),
    /// Destroy what may be left of a machine whose end is recorded, then forget it.
    Destroy(MachineId),
    /// Record the next turn in a machine's life.
    Turn(MachineId, Turn),
    /// Put an instance on a machine, or on another one than before.
    Place(Instance),
    /// An instance goes back to the placement that it leaves: what it was to run elsewhere is given up.
    Return(InstanceId),
    /// An instance has moved: where it came from, it is to end; or it has, and may start.
    LetGo(InstanceId),
    /// Take an instance away.
    Remove(InstanceId),
    /// Tell an instance to run another deployment.
    Retarget(InstanceId, DeploymentId),
    /// A pause's time is over: record its end.
    EndPause(PauseScope),
    /// Tell an instance to start again, beside what its master runs now.
    Restart(InstanceId, Vec<DeploymentId>),
    /// End a deployment, and in the same breath begin the one that takes it back, if one does.
    Finish(DeploymentId, DeploymentState, Option<Restore>),
    /// Begin a deployment whose turn in the queue has come.
    Begin(DeploymentId),
    /// Let a deployment go on from its canary to the other instances.
    Promote(DeploymentId),
    /// Let a deployment go on whose pause has come to its end.
    Resume(DeploymentId),
    /// Publish this of a job in a zone.
    Publish(Publication),
    /// Give the name of a job in a zone back: nothing is published there any more.
    ForgetName(JobName, ZoneName),
}

/// A turn in a machine's life that the planner decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Turn {
    /// It is drained.
    Drained,
    /// It is drained, and its maintenance begins.
    Maintained,
    /// Its maintenance is over.
    MaintenanceOver,
    /// It is to be destroyed.
    Terminated,
}

/// What a deployment that failed is followed by: a rollback, made from an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    /// The earlier one.
    pub from: DeploymentId,
    /// Why, in a sentence for a person.
    pub reason: String,
}

/// Something that a person should know, and that no step follows from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Note {
    /// An instance fits on no machine.
    Unplaceable {
        /// Its job.
        job: JobName,
        /// Its zone.
        zone: ZoneName,
        /// What stands in the way, machine by machine.
        why: WhyNot,
    },
    /// A job's instances have no place, because the job that it is linked to has none.
    Masterless {
        /// The job.
        job: JobName,
        /// What is wrong with its master.
        why: WhyNot,
    },
    /// A deployment's canary is well, and waits for a person.
    DeploymentWaits {
        /// The deployment.
        deployment: DeploymentId,
        /// Its job.
        job: JobName,
        /// For what, and until when.
        why: String,
    },
    /// A deployment would fail, were it not paused.
    Failing {
        /// The deployment.
        deployment: DeploymentId,
        /// Its job.
        job: JobName,
        /// What is wrong.
        why: String,
    },
    /// So much of a zone is silent that the fault may be ours: nothing there is given up.
    BreakerOpen {
        /// The zone.
        zone: ZoneName,
        /// How much is silent.
        why: String,
    },
    /// The controller has reason to doubt itself, and does nothing.
    Doubt {
        /// Which reason.
        why: String,
    },
    /// A repair is decided, and waits for a person.
    Proposed {
        /// Its name.
        id: String,
        /// What it is, what speaks for it, and why it waits.
        why: String,
    },
    /// A brake holds something back that was decided.
    Held {
        /// Which.
        brake: Brake,
        /// What is held, and why.
        why: String,
    },
    /// A person has automation stand still.
    Paused {
        /// What stands still.
        scope: PauseScope,
        /// Who wants that, why, and until when.
        why: String,
    },
    /// A machine is silent, but not all witnesses agree that it is dead.
    Suspect {
        /// The machine.
        machine: MachineId,
        /// Who says what.
        why: String,
    },
    /// Something is to be done with a machine, and cannot be yet.
    Waits {
        /// The machine.
        machine: MachineId,
        /// What, and why not.
        why: String,
    },
}

/// What holds something back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Brake {
    /// Enough machines of a zone, or of the cluster, were given up lately.
    Losses(Option<ZoneName>),
    /// Enough machines of a zone were rebooted lately.
    Reboots(ZoneName),
    /// Enough machines of a zone were made lately.
    Births(ZoneName),
    /// Enough machines of a zone were replaced in a day.
    ZoneBudget(ZoneName),
    /// Enough instances of a job were placed again in a day.
    JobBudget(JobName),
    /// A machine keeps falling silent and coming back.
    Machine(MachineId),
    /// An instance keeps losing its machine.
    Instance(InstanceId),
}

/// A machine of which repair has made up its mind, whether it may act on that or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Condemned {
    /// Which repair that would be.
    pub repair: Repair,
    /// The machine.
    pub machine: MachineId,
    /// Its zone.
    pub zone: ZoneName,
    /// Who says what.
    pub why: String,
    /// Since when there has been reason for it.
    pub since: Timestamp,
    /// Whether so much of its zone is silent that the fault may be ours.
    pub breaker: bool,
}

/// What the planner answers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// What is to be done now, in order.
    pub decisions: Vec<Decision>,
    /// What a person should know.
    pub notes: Vec<Note>,
    /// Where nothing is to be done, not even what was decided before.
    pub standstill: Standstill,
    /// Machines of which repair has made up its mind.
    pub condemned: Vec<Condemned>,
    /// Repairs that wait for a person.
    pub proposals: Vec<Proposal>,
    /// Why the controller doubts itself by what it sees, if it does.
    pub doubt: Option<String>,
}

impl Plan {
    fn decide(&mut self, step: Step, reason: impl Into<String>) {
        self.decisions.push(Decision { step, reason: reason.into() });
    }
}

/// What to do next. Deterministic: the same snapshot at the same time gives the same plan.
pub fn plan(fleet: &Fleet, policy: &Policy, now: Timestamp) -> Plan {
    plan_with(fleet, &Occupancy::of(fleet), policy, now)
}

/// The same, by an [`Occupancy`] of `fleet` that was kept since the last look: its making goes
/// through every instance, a look does not.
pub fn plan_with(fleet: &Fleet, occupancy: &Occupancy, policy: &Policy, now: Timestamp) -> Plan {
    let policy = &*fleet.own.excused(policy);
    let mut plan = Plan::default();
    repair::plan(fleet, occupancy, policy, now, &mut plan);
    let mut filled = fill::plan(fleet, occupancy, policy, now, &mut plan);
    roll::plan(fleet, occupancy, policy, now, &mut filled, &mut plan);
    link::plan(fleet, &filled, now, &mut plan);
    drain::plan(fleet, occupancy, policy, now, &mut filled, &mut plan);
    turn::plan(fleet, occupancy, now, &mut plan);
    idle::plan(fleet, policy, now, &filled, &mut plan);
    dns::plan(fleet, occupancy, policy, now, &mut plan);
    brakes::hold(fleet, policy, now, &mut plan);
    plan.notes.sort();
    plan.notes.dedup();
    plan
}
