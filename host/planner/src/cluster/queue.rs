//! Whose turn it is: one deployment of a job is on its way at a time, and others may wait for its end.

use super::roll::finish;
use super::{Fleet, Plan, Policy, Step};
use cerebro_model::{Deployment, DeploymentState, JobName, Timestamp};
use std::collections::BTreeMap;

/// Begins what waits and is not in anybody's way, the longest waiting first, and ends what has waited
/// too long. A rollback begins in the commit that ends what it takes back, so there is no moment
/// between the two in which another could.
pub(super) fn plan(fleet: &Fleet, policy: &Policy, now: Timestamp, plan: &mut Plan) {
    let mut first: BTreeMap<&JobName, &Deployment> = BTreeMap::new();
    for deployment in fleet.deployments.values().filter(|it| it.state.is_queued()) {
        let earlier = first.entry(deployment.job_name()).or_insert(deployment);
        if deployment.id.ordinal() < earlier.id.ordinal() {
            *earlier = deployment;
        }
    }
    if first.is_empty() {
        return;
    }
    let mut under_way: BTreeMap<&JobName, &Deployment> = BTreeMap::new();
    for deployment in fleet.deployments.values().filter(|it| it.state.is_running()) {
        under_way.insert(deployment.job_name(), deployment);
    }
    for deployment in fleet.deployments.values().filter(|it| it.state.is_queued()) {
        let job = deployment.job_name();
        if !fleet.jobs.contains_key(job) {
            let reason = "its job was deleted".to_owned();
            finish(deployment, DeploymentState::Failed { at: now, reason }, None, plan);
            continue;
        }
        let is_first = first.get(job).is_some_and(|it| it.id == deployment.id);
        let before = under_way.get(job);
        if is_first && before.is_none() {
            let reason = format!("nothing else of {job} is on its way");
            plan.decide(Step::Begin(deployment.id.clone()), reason);
            continue;
        }
        let within = deployment.job.rollout.queue_deadline;
        if now.since(deployment.created_at.max(policy.started_at)) > within.duration() {
            let whom = before.map_or_else(
                || "those that came before it".to_owned(),
                |before| format!("{}, which is {}", before.id, before.word()),
            );
            let reason = format!("its turn did not come within {within}: it waited for {whom}");
            finish(deployment, DeploymentState::Failed { at: now, reason }, None, plan);
        }
    }
}
