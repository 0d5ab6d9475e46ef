//! What the cluster does next.
//!
//! [`plan`] looks at the [`Fleet`] and answers with decisions; each part is a module of its own:
//! [`repair`](mod@repair) judges machines, [`fill`](mod@fill) gives every job its instances and
//! asks for machines where none has room, [`roll`](mod@roll) brings a new version to them, and
//! [`rollback`](mod@rollback) says what takes a failed one back.

mod fill;
mod foresee;
mod place;
mod repair;
mod roll;
mod rollback;
#[cfg(test)]
mod rollback_tests;
mod snapshot;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use foresee::{Places, places};
pub use rollback::last_success_before;
pub use snapshot::{
    Fleet, ObservedMachine, Policy, Presence, Probe, ProviderWord, SeenInstance, ZonePolicy,
};

use cerebro_model::{
    DeathCertificate, DeploymentId, DeploymentState, Instance, InstanceId, JobName, MachineId,
    Timestamp, ZoneName,
};

/// Something to be done, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// What is to be done.
    pub step: Step,
    /// Why, in a sentence for a person.
    pub reason: String,
}

/// Something to be done, so specific that nothing is left to choose.
#[derive(Debug, Clone, PartialEq)]
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
    /// Give a machine up: all witnesses agree.
    DeclareLost(MachineId, DeathCertificate),
    /// Give a machine up that never joined.
    GiveUp(MachineId),
    /// Destroy what may be left of a machine that was given up, then forget it.
    Destroy(MachineId),
    /// Put an instance on a machine, or on another one than before.
    Place(Instance),
    /// Take an instance away.
    Remove(InstanceId),
    /// Tell an instance to run another deployment.
    Retarget(InstanceId, DeploymentId),
    /// End a deployment, and in the same breath begin the one that takes it back, if one does.
    Finish(DeploymentId, DeploymentState, Option<Restore>),
}

/// What a deployment that failed is followed by: a rollback, made from an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
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
        /// Which resource is short, by how much, on the best machine.
        why: String,
    },
    /// So much of a zone is silent that the fault may be ours: nothing there is given up.
    BreakerOpen {
        /// The zone.
        zone: ZoneName,
        /// How much is silent.
        why: String,
    },
    /// A machine is silent, but not all witnesses agree that it is dead.
    Suspect {
        /// The machine.
        machine: MachineId,
        /// Who says what.
        why: String,
    },
}

/// What the planner answers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// What is to be done now, in order.
    pub decisions: Vec<Decision>,
    /// What a person should know.
    pub notes: Vec<Note>,
}

impl Plan {
    fn decide(&mut self, step: Step, reason: impl Into<String>) {
        self.decisions.push(Decision { step, reason: reason.into() });
    }
}

/// What to do next. Deterministic: the same snapshot at the same time gives the same plan.
pub fn plan(fleet: &Fleet, policy: &Policy, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    repair::plan(fleet, policy, now, &mut plan);
    let unplaced = fill::plan(fleet, policy, now, &mut plan);
    roll::plan(fleet, policy, now, &unplaced, &mut plan);
    plan.notes.sort();
    plan.notes.dedup();
    plan
}
