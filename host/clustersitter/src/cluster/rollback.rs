//! Rollbacks: a deployment is taken back by another one, made as an earlier one was.

use super::{State, about_deployment, event};
use crate::records::Change;
use cerebro_model::{Deployment, DeploymentId, DeploymentState, EventKind};
use cerebro_planner::cluster::{last_success_before, number_of_rollback};
use std::collections::BTreeMap;

/// Why a deployment is not rolled back.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is none.
    #[error("there is no deployment `{0}`")]
    Unknown(DeploymentId),
    /// Its job is gone, and so are its instances.
    #[error("{0} is not rolled back: its job was deleted")]
    Deleted(DeploymentId),
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
    /// It has done nothing.
    #[error(
        "{0} waits in the queue, and has done nothing: `cerebro deployment cancel {0}` takes it out"
    )]
    Queued(DeploymentId),
    /// Others wait for the end of what is on its way, and would come before it.
    #[error(
        "{0} is not rolled back: other deployments of its job wait in the queue, and go on from what is \
         there now; cancel them first"
    )]
    Awaited(DeploymentId),
}

/// Adds to `change` the rollback of `undone` to what `earlier` brought; none if its number was taken,
/// which is so only where it was rolled back already, and another waits in the queue.
pub fn begin(
    state: &State,
    change: Change,
    undone: &Deployment,
    earlier: &Deployment,
) -> Option<(Change, Deployment)> {
    let (deployments, mut counters) = (&state.records.deployments, state.records.counters);
    let (number, next) = number_of_rollback(deployments, undone.job_name(), counters.deployment)?;
    let id = DeploymentId::nth(number);
    counters.deployment = next;
    let rollback = earlier.restored(id.clone(), undone.id.clone(), state.now);
    let later = later(&state.records.deployments, undone);
    let newest = later.last().unwrap_or(&undone);
    let message = format!(
        "{id} begins, and rolls {} back{}: {} goes from {} to {}, as {} left it",
        undone.id,
        match &later[..] {
            [] => String::new(),
            later => {
                let ids: Vec<_> = later.iter().map(|it| it.id.to_string()).collect();
                format!(" and what came after it, {}", ids.join(", "))
            }
        },
        rollback.job_name(),
        newest.version,
        rollback.version,
        earlier.id
    );
    let told = event(EventKind::DeploymentStarted, about_deployment(&rollback), message);
    let change = change.counters(counters).deployment(&id, Some(rollback.clone())).event(told);
    Some((change, rollback))
}

/// The deployments of the same job that came after `undone`, oldest first.
fn later<'a>(
    deployments: &'a BTreeMap<DeploymentId, Deployment>,
    undone: &Deployment,
) -> Vec<&'a Deployment> {
    let is_later = |other: &&Deployment| {
        other.job_name() == undone.job_name()
            && other.id.ordinal() > undone.id.ordinal()
            && other.has_begun()
    };
    let mut later: Vec<_> = deployments.values().filter(is_later).collect();
    later.sort_by_key(|other| other.id.ordinal());
    later
}

/// The rollback of `id` and all that came after it, as a person asks for it.
pub fn requested(state: &State, id: &DeploymentId) -> Result<(Change, Deployment), Refused> {
    let deployments = &state.records.deployments;
    let undone = deployments.get(id).ok_or_else(|| Refused::Unknown(id.clone()))?;
    if !state.records.jobs.contains_key(undone.job_name()) {
        return Err(Refused::Deleted(id.clone()));
    }
    if let (true, Some(before)) = (undone.state.is_running(), &undone.rolls_back) {
        return Err(Refused::UnderWay { id: id.clone(), undone: before.clone() });
    }
    if undone.state.is_queued() {
        return Err(Refused::Queued(id.clone()));
    }
    let earlier = last_success_before(deployments, undone)
        .ok_or_else(|| Refused::NothingBefore(id.clone()))?;
    let begun = begin(state, Change::default(), undone, earlier);
    let (change, rollback) = begun.ok_or_else(|| Refused::Awaited(id.clone()))?;
    Ok((supersede(state, change, &rollback, |it| it.is_running()), rollback))
}

/// Adds to `change` the end of those deployments of the same job that are `meant`: `by` takes their
/// place.
pub fn supersede(
    state: &State,
    mut change: Change,
    by: &Deployment,
    meant: impl Fn(&DeploymentState) -> bool,
) -> Change {
    let ends = |it: &&Deployment| it.job_name() == by.job_name() && meant(&it.state);
    for earlier in state.records.deployments.values().filter(ends) {
        let message =
            format!("{} of {} ends: {} takes its place", earlier.id, by.job_name(), by.id);
        let told = event(EventKind::DeploymentSuperseded, about_deployment(earlier), message);
        let superseded = DeploymentState::Superseded { by: by.id.clone() };
        let ended = Deployment { state: superseded, ..earlier.clone() };
        change = change.deployment(&earlier.id, Some(ended)).event(told);
    }
    change
}
