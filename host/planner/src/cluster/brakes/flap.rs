//! What keeps falling over is picked up at longer and longer intervals.

use super::limits::{FlapPolicy, Meter};
use crate::cluster::fill::has_place;
use crate::cluster::{Brake, Fleet, Note, ObservedMachine, Plan, Policy, Step};
use cerebro_model::{Instance, InstanceId, JobName, Timestamp};
use std::collections::BTreeMap;

/// Until when nothing new is placed on a machine, because it keeps falling silent and coming back.
pub(in crate::cluster) fn is_flapping(
    observed: &ObservedMachine,
    flap: &FlapPolicy,
    now: Timestamp,
) -> Option<Timestamp> {
    // Of nearly all machines there is nothing to look at.
    if observed.comebacks.is_empty() { None } else { flap.until(&observed.comebacks, now) }
}

/// Takes out of a plan the instances that lost their machines too often, and tells machines that flap.
pub(super) fn hold(fleet: &Fleet, policy: &Policy, now: Timestamp, plan: &mut Plan) {
    let flap = &policy.limits.flap;
    for (id, observed) in &fleet.machines {
        if let Some(until) = is_flapping(observed, flap, now) {
            let times = observed.comebacks.len();
            let why = format!(
                "{id} fell silent and came back {times} times: nothing new is placed on it until {until}"
            );
            plan.notes.push(Note::Held { brake: Brake::Machine(id.clone()), why });
        }
    }
    let mut moved = None;
    let Plan { decisions, notes, .. } = plan;
    decisions.retain(|it| {
        let Step::Place(instance) = &it.step else { return true };
        let is_again = fleet.instances.get(&instance.id).is_some_and(|it| !has_place(fleet, it));
        if !is_again {
            return true;
        }
        let moved = moved.get_or_insert_with(|| Moved::of(fleet));
        let held = moved.held(instance, policy, now);
        let passes = held.is_none();
        notes.extend(held);
        passes
    });
}

/// When instances lost their machines, by the records.
struct Moved<'a> {
    instances: BTreeMap<&'a InstanceId, Vec<Timestamp>>,
    jobs: BTreeMap<JobName, Vec<Timestamp>>,
    fleet: &'a Fleet,
}

impl<'a> Moved<'a> {
    fn of(fleet: &'a Fleet) -> Self {
        let (mut instances, mut jobs) =
            (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, Vec<_>>::new());
        for tombstone in fleet.brakes.tombstones.values() {
            for id in &tombstone.instances {
                instances.entry(id).or_default().push(tombstone.at);
                if let Some(seen) = fleet.instances.get(id) {
                    jobs.entry(seen.instance.job.clone()).or_default().push(tombstone.at);
                }
            }
        }
        Self { instances, jobs, fleet }
    }

    fn held(&self, instance: &Instance, policy: &Policy, now: Timestamp) -> Option<Note> {
        let Instance { id, job, .. } = instance;
        let times = self.instances.get(id)?;
        if let Some(until) = policy.limits.flap.until(times, now) {
            let why = format!(
                "{id} lost its machine {} times: it is placed again at {until}; find out whether it brings them down",
                times.len()
            );
            return Some(Note::Held { brake: Brake::Instance(id.clone()), why });
        }
        let of_job = self.fleet.instances.values().filter(|seen| seen.instance.job == *job).count();
        let all = u32::try_from(of_job).unwrap_or(u32::MAX);
        let lost = self.jobs.get(job).into_iter().flatten().copied();
        // The loss that this placement mends is no reason against it.
        let mends = times.iter().max().copied();
        let before = lost.filter(|at| Some(*at) != mends);
        let why = Meter::new(policy.limits.job_repairs, all, before, now).full("times")?;
        let why = format!(
            "instances of {job} lost their machines {why}: that is the budget of its repairs, and none is placed \
             again until some time has passed; find out whether they bring them down"
        );
        Some(Note::Held { brake: Brake::JobBudget(job.clone()), why })
    }
}
