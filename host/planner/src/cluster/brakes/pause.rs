//! A person has automation stand still, in the cluster, a zone or a job, until some time.

use crate::cluster::{Fleet, Note, Plan, Policy, Step};
use cerebro_model::{Deployment, JobName, PauseScope, Timestamp};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// What stands still now.
pub(super) fn in_force(
    fleet: &Fleet,
    now: Timestamp,
    notes: &mut Vec<Note>,
) -> BTreeSet<PauseScope> {
    let pauses = fleet.brakes.pauses.values().filter(|pause| pause.holds(now));
    pauses
        .map(|pause| {
            notes.push(Note::Paused { scope: pause.scope.clone(), why: pause.to_string() });
            pause.scope.clone()
        })
        .collect()
}

/// Has the end of those recorded whose time is over.
pub(super) fn end(fleet: &Fleet, now: Timestamp, plan: &mut Plan) {
    for pause in fleet.brakes.pauses.values() {
        if pause.over.is_none() && now >= pause.until {
            let reason = format!("its time is over, it was to last until {}", pause.until);
            plan.decide(Step::EndPause(pause.scope.clone()), reason);
        }
    }
}

/// Whether what is about a job's instances waits for a person.
pub(in crate::cluster) fn is_paused(fleet: &Fleet, job: &JobName, now: Timestamp) -> bool {
    let pause = fleet.brakes.pauses.get(&PauseScope::Job(job.clone()));
    pause.is_some_and(|pause| pause.holds(now))
}

/// When the last pause of these scopes ended.
pub(in crate::cluster) fn last_end(
    fleet: &Fleet,
    scopes: &[PauseScope],
    now: Timestamp,
) -> Option<Timestamp> {
    let pauses = scopes.iter().filter_map(|scope| fleet.brakes.pauses.get(scope));
    pauses.filter_map(|pause| pause.ended(now)).max()
}

/// The policy for a deployment: while it stood still, it lost no time.
pub(in crate::cluster) fn excused<'p>(
    fleet: &Fleet,
    policy: &'p Policy,
    deployment: &Deployment,
    now: Timestamp,
) -> Cow<'p, Policy> {
    let doubt = fleet.own.last_doubt();
    if fleet.brakes.pauses.is_empty() && doubt.is_none() {
        return Cow::Borrowed(policy);
    }
    let zones = deployment.job.deployment_layout.keys().cloned().map(PauseScope::Zone);
    let scopes = [PauseScope::Cluster, PauseScope::Job(deployment.job_name().clone())];
    let scopes: Vec<_> = scopes.into_iter().chain(zones).collect();
    match last_end(fleet, &scopes, now).max(doubt).filter(|end| *end > policy.started_at) {
        Some(end) => Cow::Owned(Policy { started_at: end, ..policy.clone() }),
        None => Cow::Borrowed(policy),
    }
}
