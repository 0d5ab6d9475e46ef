//! What holds decisions back, however sure those are who made them.
//!
//! Repair, fill, roll and drain decide by what they see; each brake is a rule over their decisions that
//! needs to know nothing of how they came about. What a brake holds back is decided again with the
//! next look, and a note says who holds what, and why.

mod approval;
mod doubt;
mod flap;
mod limits;
mod pause;
#[cfg(test)]
mod pause_tests;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
mod velocity;

pub use approval::Approvals;
pub use doubt::{Clocks, Own};
pub(super) use flap::is_flapping;
pub use limits::{FlapPolicy, Limits, Rate};
pub(super) use pause::{excused, is_paused, last_end};
pub(super) use velocity::{births_in_words, losses_in_words};

use super::{Condemned, Decision, Fleet, Note, Plan, Policy, Step, Turn};
use cerebro_model::{
    JobName, MachineId, Moves, PauseScope, Proposal, Publication, Timestamp, ZoneName,
};
use std::collections::BTreeSet;

/// Where nothing is to be done, not even what was decided before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standstill {
    scopes: BTreeSet<PauseScope>,
}

impl Standstill {
    /// Whether what concerns a zone's machines waits.
    pub fn holds_zone(&self, zone: &ZoneName) -> bool {
        self.scopes.contains(&PauseScope::Cluster)
            || self.scopes.contains(&PauseScope::Zone(zone.clone()))
    }

    fn holds(&self, reach: &Reach<'_>) -> bool {
        let zones = || reach.zones.iter().any(|zone| self.holds_zone(zone));
        let job = || reach.job.is_some_and(|it| self.scopes.contains(&PauseScope::Job(it.clone())));
        self.scopes.contains(&PauseScope::Cluster) || zones() || job()
    }
}

/// Takes out of a plan what is held back.
pub(super) fn hold(fleet: &Fleet, policy: &Policy, now: Timestamp, plan: &mut Plan) {
    plan.standstill.scopes = pause::in_force(fleet, now, &mut plan.notes);
    let doubts = doubt::hold(fleet, policy, now, plan);
    if !plan.standstill.scopes.is_empty() {
        let standstill = &plan.standstill;
        plan.decisions.retain(|it| {
            let is_held = reach(fleet, &it.step).is_some_and(|reach| standstill.holds(&reach));
            !is_held || (!doubts && goes_on(fleet, &it.step))
        });
    }
    if doubt::is_too_early(fleet, policy, now) {
        plan.decisions.retain(|it| gives_up(&it.step).is_none());
    }
    approval::hold(fleet, policy, plan);
    velocity::hold(fleet, policy, now, plan);
    flap::hold(fleet, policy, now, plan);
    tell_the_dead(plan);
    pause::end(fleet, now, plan);
}

/// The machine that a step gives up.
fn gives_up(step: &Step) -> Option<&MachineId> {
    match step {
        Step::DeclareLost(id, _) | Step::GiveUp(id) => Some(id),
        _ => None,
    }
}

/// The machines that are given up, or whose end waits for a person.
fn given_up<'a>(decisions: &'a [Decision], proposals: &'a [Proposal]) -> BTreeSet<&'a MachineId> {
    let now = decisions.iter().filter_map(|it| gives_up(&it.step));
    now.chain(proposals.iter().map(|it| &it.machine)).collect()
}

/// Whatever keeps a machine from being given up that is dead: that it is, is told.
fn tell_the_dead(plan: &mut Plan) {
    let Plan { decisions, notes, condemned, proposals, .. } = plan;
    let settled = given_up(decisions, proposals);
    for Condemned { machine, why, .. } in condemned.iter().filter(|it| it.repair.is_final()) {
        if !settled.contains(machine) {
            let why = format!("{why}: it is given up as soon as nothing holds that");
            notes.push(Note::Suspect { machine: machine.clone(), why });
        }
    }
}

/// What a pause does not hold, though it changes something: a maintenance ends when its operator said,
/// and an instance that has ended where it was, to start elsewhere, would run nowhere for the whole pause.
fn goes_on(fleet: &Fleet, step: &Step) -> bool {
    match step {
        Step::Turn(_, turn) => *turn == Turn::MaintenanceOver,
        Step::LetGo(id) => {
            let left = fleet.instances.get(id).and_then(|seen| seen.instance.leaving.as_ref());
            left.is_some_and(|left| left.moves == Moves::StopFirst)
        }
        _ => false,
    }
}

/// What a step changes.
struct Reach<'a> {
    zones: Vec<&'a ZoneName>,
    job: Option<&'a JobName>,
}

/// None for a step that only looks, or tells what has come by itself.
fn reach<'a>(fleet: &'a Fleet, step: &'a Step) -> Option<Reach<'a>> {
    let machine = |id| fleet.machines.get(id).map(|observed| &observed.machine.zone);
    let of_machine = |id| Reach { zones: machine(id).into_iter().collect(), job: None };
    Some(match step {
        Step::Probe(_) | Step::AskProvider(_) | Step::AskPeer(..) | Step::EndPause(_) => {
            return None;
        }
        Step::Provision { zone } => Reach { zones: vec![zone], job: None },
        Step::Try(id, _)
        | Step::DeclareLost(id, _)
        | Step::GiveUp(id)
        | Step::Turn(id, _)
        | Step::Destroy(id) => of_machine(id),
        Step::Place(instance) => Reach { zones: vec![&instance.zone], job: Some(&instance.job) },
        Step::Publish(Publication { job, zone, .. }) | Step::ForgetName(job, zone) => {
            Reach { zones: vec![zone], job: Some(job) }
        }
        Step::LetGo(id)
        | Step::Return(id)
        | Step::Remove(id)
        | Step::Retarget(id, _)
        | Step::Restart(id, _) => {
            let instance = fleet.instances.get(id).map(|seen| &seen.instance);
            Reach {
                zones: instance.map(|it| &it.zone).into_iter().collect(),
                job: instance.map(|it| &it.job),
            }
        }
        Step::Finish(id, ..) | Step::Begin(id) | Step::Promote(id) | Step::Resume(id) => {
            let job = fleet.deployments.get(id).map(|deployment| &deployment.job);
            let zones = job.into_iter().flat_map(|job| job.deployment_layout.keys());
            Reach { zones: zones.collect(), job: job.map(|job| &job.dns_basename) }
        }
    })
}
