//! The course of a deployment beside its instances: its turn, its pauses, its canary.

use super::{State, about_deployment, event};
use crate::records::Change;
use cerebro_api::body::PauseDeploymentRequest;
use cerebro_model::{
    CanaryStage, Deployment, DeploymentId, DeploymentPause, DeploymentState, EventKind, JobName,
    Timestamp, WhenBusy,
};
use cerebro_planner::cluster::{CanaryStanding, last_success_before};

/// Why a deployment is not made, held, let go on or taken out of the queue.
#[derive(Debug, thiserror::Error)]
pub enum NotNow {
    /// There is none.
    #[error("there is no deployment `{0}`")]
    Unknown(DeploymentId),
    /// Another one is on its way.
    #[error(
        "{job} is not deployed: {other} is {word}, and the job takes one deployment at a time \
         (`rollout.when_busy`); wait for its end, or ask for `queue` or `replace`"
    )]
    Busy {
        /// The job.
        job: JobName,
        /// The other one.
        other: DeploymentId,
        /// How far that is.
        word: &'static str,
    },
    /// It is not on its way.
    #[error("{id} is {word}: only a deployment that is on its way can be {verb}")]
    NotRunning {
        /// Which.
        id: DeploymentId,
        /// How far it is.
        word: &'static str,
        /// What was asked for.
        verb: &'static str,
    },
    /// It is paused already.
    #[error("{id} is paused already, since {at} ({reason}): resume it first")]
    Paused {
        /// Which.
        id: DeploymentId,
        /// Since when.
        at: Timestamp,
        /// Why.
        reason: String,
    },
    /// It is not paused.
    #[error("{0} is not paused: there is nothing to resume")]
    NotPaused(DeploymentId),
    /// Nobody would know why.
    #[error("a pause needs a reason for those who find it: give `reason`")]
    NoReason,
    /// It has no canary out.
    #[error("{0} has no canary that waits: there is nothing to promote")]
    NoCanary(DeploymentId),
    /// Its canary is not well.
    #[error(
        "the canary of {id} is not well everywhere ({}): wait for that, or roll it back",
        .doubtful.join(", ")
    )]
    Doubtful {
        /// Which.
        id: DeploymentId,
        /// Where it is not.
        doubtful: Vec<String>,
    },
    /// It is not in the queue.
    #[error(
        "{id} is {word}: only a deployment that waits in the queue is cancelled; one that has begun is \
         taken back by `cerebro deployment rollback {id}`"
    )]
    NotQueued {
        /// Which.
        id: DeploymentId,
        /// How far it is.
        word: &'static str,
    },
}

/// Adds to `change` the beginning of a deployment that is asked for, or its place in the queue, by
/// what is on its way of the same job. `told` tells what begins.
pub fn ask(
    state: &State,
    mut deployment: Deployment,
    when_busy: WhenBusy,
    told: impl FnOnce(&Deployment) -> String,
) -> Result<(Change, Deployment), NotNow> {
    let mut counters = state.records.counters;
    let others = state.records.deployments.values();
    let others = others.filter(|it| it.job_name() == deployment.job_name());
    let other = others.filter(|it| !it.state.has_ended()).max_by_key(|it| it.id.ordinal());
    if let (Some(other), WhenBusy::Refuse) = (other, when_busy) {
        let (job, other, word) = (deployment.job_name().clone(), other.id.clone(), other.word());
        return Err(NotNow::Busy { job, other, word });
    }
    if let (Some(other), WhenBusy::Queue) = (other, when_busy) {
        // The number before its own is kept for the rollback of the one before it.
        deployment.id = DeploymentId::nth(counters.deployment + 1);
        deployment.state = DeploymentState::Queued;
        counters.deployment += 2;
        let (id, job) = (&deployment.id, deployment.job_name());
        let message = format!(
            "{id} of {job} to {} waits for the end of {} ({})",
            deployment.version,
            other.id,
            other.word()
        );
        let told = event(EventKind::DeploymentQueued, about_deployment(&deployment), message);
        let change = Change::default()
            .counters(counters)
            .deployment(id, Some(deployment.clone()))
            .event(told);
        return Ok((change, deployment));
    }
    counters.deployment += 1;
    deployment.course.canary = canary_of(state, &deployment);
    let message = told(&deployment);
    let told = event(EventKind::DeploymentStarted, about_deployment(&deployment), message);
    let change = Change::default()
        .counters(counters)
        .deployment(&deployment.id, Some(deployment.clone()))
        .event(told);
    Ok((change, deployment))
}

/// A deployment begins with its canary if there is a version that the other instances go on with.
fn canary_of(state: &State, deployment: &Deployment) -> Option<CanaryStage> {
    let wants = deployment.job.rollout.canary.is_some() && deployment.rolls_back.is_none();
    let has_base = last_success_before(&state.records.deployments, deployment).is_some();
    (wants && has_base).then_some(CanaryStage::Out)
}

fn find<'a>(state: &'a State, id: &DeploymentId) -> Result<&'a Deployment, NotNow> {
    state.records.deployments.get(id).ok_or_else(|| NotNow::Unknown(id.clone()))
}

fn running<'a>(
    state: &'a State,
    id: &DeploymentId,
    verb: &'static str,
) -> Result<&'a Deployment, NotNow> {
    let found = find(state, id)?;
    match found.state.is_running() {
        true => Ok(found),
        false => Err(NotNow::NotRunning { id: id.clone(), word: found.word(), verb }),
    }
}

fn changed(deployment: Deployment, kind: EventKind, message: String) -> (Change, Deployment) {
    let told = event(kind, about_deployment(&deployment), message);
    let change = Change::default().deployment(&deployment.id, Some(deployment.clone())).event(told);
    (change, deployment)
}

/// Holds a deployment: what it has not reached stays as it is.
pub fn pause(
    state: &State,
    id: &DeploymentId,
    request: PauseDeploymentRequest,
) -> Result<(Change, Deployment), NotNow> {
    let mut deployment = running(state, id, "paused")?.clone();
    if let Some(pause) = deployment.pause() {
        let (at, reason) = (pause.at, pause.reason.clone());
        return Err(NotNow::Paused { id: id.clone(), at, reason });
    }
    let reason = request.reason.trim().to_owned();
    if reason.is_empty() {
        return Err(NotNow::NoReason);
    }
    let at = state.now;
    let until = request.lasts.map(|lasts| at.after(lasts.duration()));
    let end = until.map_or_else(String::new, |until| format!(" until {until}"));
    let message = format!("{id} of {} is paused{end}: {reason}", deployment.job_name());
    deployment.course.pauses.push(DeploymentPause { at, reason, until, ended_at: None });
    Ok(changed(deployment, EventKind::DeploymentPaused, message))
}

/// Lets a paused deployment go on.
pub fn resume(state: &State, id: &DeploymentId, why: &str) -> Result<(Change, Deployment), NotNow> {
    let mut deployment = running(state, id, "resumed")?.clone();
    match deployment.course.pauses.last_mut() {
        Some(pause) if pause.ended_at.is_none() => pause.ended_at = Some(state.now),
        _ => return Err(NotNow::NotPaused(id.clone())),
    }
    let message = format!("{id} of {} goes on: {why}", deployment.job_name());
    Ok(changed(deployment, EventKind::DeploymentResumed, message))
}

/// Lets a deployment go on from its canary, as a person asks for it.
pub fn promote(state: &State, id: &DeploymentId) -> Result<(Change, Deployment), NotNow> {
    let deployment = running(state, id, "promoted")?;
    match CanaryStanding::of(state.kept.fleet(), deployment, state.now) {
        None => Err(NotNow::NoCanary(id.clone())),
        Some(CanaryStanding::Doubtful(doubtful)) => {
            Err(NotNow::Doubtful { id: id.clone(), doubtful })
        }
        Some(CanaryStanding::Bakes(left)) => {
            let why =
                format!("a person promoted it, {} s before its bake was over", left.as_secs());
            Ok(promoted(deployment, &why, state.now))
        }
        Some(CanaryStanding::Ready) => Ok(promoted(deployment, "a person promoted it", state.now)),
    }
}

fn promoted(deployment: &Deployment, why: &str, at: Timestamp) -> (Change, Deployment) {
    let mut deployment = deployment.clone();
    deployment.course.canary = Some(CanaryStage::Promoted { at });
    let (id, job) = (&deployment.id, deployment.job_name());
    let message = format!("{id} of {job} goes on from its canary to the other instances: {why}");
    changed(deployment, EventKind::DeploymentPromoted, message)
}

/// Takes a deployment out of the queue.
pub fn cancel(state: &State, id: &DeploymentId) -> Result<(Change, Deployment), NotNow> {
    let mut deployment = find(state, id)?.clone();
    if !deployment.state.is_queued() {
        return Err(NotNow::NotQueued { id: id.clone(), word: deployment.word() });
    }
    deployment.state = DeploymentState::Cancelled { at: state.now };
    let message = format!("{id} of {} is taken out of the queue", deployment.job_name());
    Ok(changed(deployment, EventKind::DeploymentCancelled, message))
}

/// What the planner decides of a deployment's course.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    /// Its turn has come.
    Begin,
    /// It goes on from its canary.
    Promote,
    /// Its pause is over.
    Resume,
}

/// Carries that out; nothing if it has changed since the planner looked.
pub fn carry_out(state: &State, id: &DeploymentId, what: Decided, reason: &str) -> Change {
    let Some(deployment) = state.records.deployments.get(id) else { return Change::default() };
    match what {
        Decided::Begin => begin(state, deployment),
        Decided::Promote if deployment.is_canary() && deployment.pause().is_none() => {
            promoted(deployment, reason, state.now).0
        }
        Decided::Resume => resume(state, id, reason).map_or_else(|_| Change::default(), |it| it.0),
        Decided::Promote => Change::default(),
    }
}

fn begin(state: &State, queued: &Deployment) -> Change {
    let job = queued.job_name();
    let is_in_its_way = |it: &&Deployment| it.job_name() == job && it.state.is_running();
    if !queued.state.is_queued() || state.records.deployments.values().any(|it| is_in_its_way(&it))
    {
        return Change::default();
    }
    let mut begun = queued.clone();
    begun.state = DeploymentState::Running;
    begun.course.begun_at = Some(state.now);
    begun.course.canary = canary_of(state, &begun);
    let (id, version) = (&begun.id, &begun.version);
    let message = format!("{id} begins, as its turn has come: {job} goes to {version}");
    changed(begun, EventKind::DeploymentStarted, message).0
}
