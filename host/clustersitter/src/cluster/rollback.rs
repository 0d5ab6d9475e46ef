//! Rollbacks: a deployment is taken back by another one, made as an earlier one was.

use super::{State, about_deployment, event, now};
use crate::records::Change;
use cerebro_model::{Deployment, DeploymentId, DeploymentState, EventKind};
use cerebro_planner::cluster::last_success_before;

/// Why a deployment is not rolled back.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is none.
    #[error("there is no deployment `{0}`")]
    Unknown(DeploymentId),
    /// Its job is gone, and so are its instances.
    #[error("{0} is not rolled back: its job was deleted")]
    Deleted(DeploymentId),
    /// A later one has changed what it left.
    #[error(
        "{id} is not rolled back: {newest} came after it, and only a job's newest deployment can be; \
         roll {newest} back first, or deploy the version that you want"
    )]
    NotNewest {
        /// The one that was asked for.
        id: DeploymentId,
        /// The job's newest.
        newest: DeploymentId,
    },
    /// It is a rollback, and under way.
    #[error(
        "{id} is itself a rollback, of {undone}, and still running: wait for its end, or deploy the \
         version that you want"
    )]
    UnderWay {
        /// The rollback.
        id: DeploymentId,
        /// What it takes back.
        undone: DeploymentId,
    },
    /// There is nothing to go back to.
    #[error(
        "{0} is not rolled back: no deployment of its job succeeded before it, so there is nothing to \
         go back to; deploy a version that works, or delete the job"
    )]
    NothingBefore(DeploymentId),
}

/// Adds to `change` the rollback of `undone` to what `earlier` brought.
pub fn begin(
    state: &State,
    change: Change,
    undone: &Deployment,
    earlier: &Deployment,
) -> (Change, Deployment) {
    let mut counters = state.records.counters;
    let id = DeploymentId::nth(counters.deployment);
    counters.deployment += 1;
    let rollback = earlier.restored(id.clone(), undone.id.clone(), now());
    let message = format!(
        "{id} begins, and rolls {} back: {} goes from {} to {}, as {} left it",
        undone.id,
        rollback.job_name(),
        undone.version,
        rollback.version,
        earlier.id
    );
    let told = event(EventKind::DeploymentStarted, about_deployment(&rollback), message);
    let change = change.counters(counters).deployment(&id, Some(rollback.clone())).event(told);
    (change, rollback)
}

/// The rollback of `id`, as a person asks for it.
pub fn requested(state: &State, id: &DeploymentId) -> Result<(Change, Deployment), Refused> {
    let deployments = &state.records.deployments;
    let undone = deployments.get(id).ok_or_else(|| Refused::Unknown(id.clone()))?;
    if !state.records.jobs.contains_key(undone.job_name()) {
        return Err(Refused::Deleted(id.clone()));
    }
    let of_job = deployments.values().filter(|it| it.job_name() == undone.job_name());
    if let Some(newest) = of_job.max_by_key(|it| it.id.ordinal()).filter(|it| it.id != *id) {
        return Err(Refused::NotNewest { id: id.clone(), newest: newest.id.clone() });
    }
    if let (true, Some(before)) = (undone.state.is_running(), &undone.rolls_back) {
        return Err(Refused::UnderWay { id: id.clone(), undone: before.clone() });
    }
    let earlier = last_success_before(deployments, undone)
        .ok_or_else(|| Refused::NothingBefore(id.clone()))?;
    let (change, rollback) = begin(state, Change::default(), undone, earlier);
    Ok((supersede(state, change, &rollback), rollback))
}

/// Adds to `change` the end of what is still on its way of the same job: `by` takes its place.
pub fn supersede(state: &State, mut change: Change, by: &Deployment) -> Change {
    let running = |it: &&Deployment| it.job_name() == by.job_name() && it.state.is_running();
    for earlier in state.records.deployments.values().filter(running) {
        let message =
            format!("{} of {} ends: {} takes its place", earlier.id, by.job_name(), by.id);
        let told = event(EventKind::DeploymentSuperseded, about_deployment(earlier), message);
        let superseded = DeploymentState::Superseded { by: by.id.clone() };
        let ended = Deployment { state: superseded, ..earlier.clone() };
        change = change.deployment(&earlier.id, Some(ended)).event(told);
    }
    change
}
