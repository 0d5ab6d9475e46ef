//! Brings a running deployment to the instances that have another one, a batch at a time.

use super::fill::{self, Unplaced};
use super::{Fleet, Plan, Policy, Restore, SeenInstance, Step, rollback};
use cerebro_model::{Deployment, DeploymentState, Phase, Timestamp};

pub(super) fn plan(
    fleet: &Fleet,
    policy: &Policy,
    now: Timestamp,
    unplaced: &Unplaced,
    plan: &mut Plan,
) {
    for deployment in fleet.deployments.values().filter(|d| d.state.is_running()) {
        if !fleet.jobs.contains_key(deployment.job_name()) {
            let reason = "its job was deleted".to_owned();
            finish(deployment, DeploymentState::Failed { at: now, reason }, None, plan);
        } else if fleet
            .target(deployment.job_name())
            .is_some_and(|target| target.id == deployment.id)
        {
            roll(fleet, deployment, policy, now, unplaced, plan);
        }
    }
}

fn finish(deployment: &Deployment, state: DeploymentState, then: Option<Restore>, plan: &mut Plan) {
    let reason = match &state {
        DeploymentState::Failed { reason, .. } => reason.clone(),
        _ => format!(
            "every instance of {} has {} and is healthy",
            deployment.job_name(),
            deployment.version
        ),
    };
    plan.decide(Step::Finish(deployment.id.clone(), state, then), reason);
}

fn roll(
    fleet: &Fleet,
    deployment: &Deployment,
    policy: &Policy,
    now: Timestamp,
    unplaced: &Unplaced,
    plan: &mut Plan,
) {
    let wanted = fill::wanted(deployment);
    let present: Vec<&SeenInstance> =
        wanted.iter().filter_map(|id| fleet.instances.get(id)).collect();
    let (spared, concerned): (Vec<&SeenInstance>, Vec<&SeenInstance>) =
        present.into_iter().partition(|seen| rollback::needs_nothing(fleet, deployment, seen));
    let (reached, waiting): (Vec<_>, Vec<_>) =
        concerned.into_iter().partition(|seen| seen.instance.deployment == deployment.id);
    if let Some(reason) = failure(deployment, &reached, policy, now, unplaced) {
        let then = rollback::after(fleet, deployment);
        return finish(deployment, DeploymentState::Failed { at: now, reason }, then, plan);
    }
    let away = reached.iter().filter(|seen| !seen.is_healthy()).count();
    if away == 0 && reached.len() + spared.len() == wanted.len() {
        return finish(deployment, DeploymentState::Succeeded { at: now }, None, plan);
    }
    // One that was not heard of, as after a restart of ours, may well serve: it is left alone.
    let heard = waiting.into_iter().filter(|seen| seen.status.is_some());
    // Those that are known not to serve go first, and cost nothing.
    let (mut first, serving): (Vec<_>, Vec<_>) = heard.partition(|seen| !seen.is_healthy());
    let room = (deployment.job.rollout.batch.max(1) as usize).saturating_sub(away + first.len());
    first.extend(serving.into_iter().take(room));
    for seen in first {
        let reason = format!(
            "{} goes from {} to {}",
            seen.instance.id, seen.instance.deployment, deployment.id
        );
        plan.decide(Step::Retarget(seen.instance.id.clone(), deployment.id.clone()), reason);
    }
}

/// Why a deployment must be given up, if it must.
fn failure(
    deployment: &Deployment,
    reached: &[&SeenInstance],
    policy: &Policy,
    now: Timestamp,
    unplaced: &Unplaced,
) -> Option<String> {
    let deadline = deployment.job.rollout.deadline;
    // While no controller was there to see it, no time was lost.
    let overdue = |since: Timestamp| now.since(since.max(policy.started_at)) > deadline.duration();
    for seen in reached.iter().filter(|seen| !seen.is_healthy()) {
        let instance = &seen.instance;
        let said = seen
            .status
            .as_ref()
            .map_or("its machine has said nothing", |status| status.message.as_str());
        if seen.phase_of_target() == Some(Phase::Failed) {
            return Some(format!("{} failed on {}: {said}", instance.id, instance.machine));
        }
        if overdue(instance.since) {
            let (id, machine) = (&instance.id, &instance.machine);
            return Some(format!("{id} was not healthy on {machine} within {deadline}: {said}"));
        }
    }
    let why = unplaced.get(deployment.job_name())?;
    overdue(deployment.created_at).then(|| format!("no place was found within {deadline}: {why}"))
}
