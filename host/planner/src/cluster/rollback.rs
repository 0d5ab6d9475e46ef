//! What takes a failed deployment back.

use super::{Fleet, Restore};
use cerebro_model::{Deployment, DeploymentId, JobName, OnFailure};
use std::collections::BTreeMap;

/// The last deployment of the same job that succeeded before `deployment`: where a rollback of it
/// goes back to.
pub fn last_success_before<'a>(
    deployments: &'a BTreeMap<DeploymentId, Deployment>,
    deployment: &Deployment,
) -> Option<&'a Deployment> {
    let is_before = |other: &&Deployment| {
        other.job_name() == deployment.job_name()
            && other.state.has_succeeded()
            && other.id.ordinal() < deployment.id.ordinal()
    };
    deployments.values().filter(is_before).max_by_key(|other| other.id.ordinal())
}

/// The number that a rollback of a job gets, where `next` is the next that nobody has, and the one that
/// is the next after it. Numbers tell what came first, so it must be below those of what waits in the
/// queue, and whoever queues leaves one free for it. None if that was taken.
pub fn number_of_rollback(
    deployments: &BTreeMap<DeploymentId, Deployment>,
    job: &JobName,
    next: u64,
) -> Option<(u64, u64)> {
    let queued = deployments.values().filter(|it| it.job_name() == job && it.state.is_queued());
    let Some(first) = queued.filter_map(|it| it.id.ordinal()).min() else {
        return Some((next, next + 1));
    };
    let kept = first.checked_sub(1)?;
    let is_free = !deployments.contains_key(&DeploymentId::nth(kept));
    is_free.then_some((kept, next))
}

/// What follows when `failed` fails; nothing if its job does not want it, if nothing ever succeeded,
/// or if it is itself a rollback: two versions of which neither runs must not chase each other.
///
/// Only the end of a deployment asks this, and a deployment ends once: so does its rollback begin.
pub(super) fn after(fleet: &Fleet, failed: &Deployment) -> Option<Restore> {
    if failed.rolls_back.is_some() || failed.job.rollout.on_failure == OnFailure::Keep {
        return None;
    }
    let earlier = last_success_before(&fleet.deployments, failed)?;
    let (job, version) = (failed.job_name(), &earlier.version);
    let reason = format!("{job} goes back to {version}, as {} left it", earlier.id);
    Some(Restore { from: earlier.id.clone(), reason })
}

/// Whether an instance needs nothing of the rollback `target`: what that takes back never came to
/// it, and what that brings is what it runs, well. It is left alone rather than started again.
pub(super) fn needs_nothing(
    fleet: &Fleet,
    target: &Deployment,
    seen: &super::SeenInstance,
) -> bool {
    let Some(undone) = &target.rolls_back else { return false };
    let has = &seen.instance.deployment;
    let brings_it = |had: &Deployment| had.id != target.id && had.brings_what(target);
    // What is taken back may be of the same version: deployed anew, and failed.
    has.ordinal() < undone.ordinal()
        && seen.is_healthy()
        && fleet.deployments.get(has).is_some_and(brings_it)
}
