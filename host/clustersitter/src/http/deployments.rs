//! Deployments.

use super::extract::{Json as Body, Path};
use super::{Answer, Refusal, Shared, events, held, jobs};
use crate::cluster::course::{self, NotNow};
use crate::cluster::{Cluster, State, rollback, wanted, wants};
use axum::Json;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cerebro_api::body::{DeployRequest, PauseDeploymentRequest};
use cerebro_api::{Problem, paths};
use cerebro_model::{
    ComponentKind, Course, Deployment, DeploymentId, DeploymentState, Digest, Event, EventKind,
    Job, JobName, RecipeName,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Every deployment that is kept, newest first.
#[utoipa::path(get, path = paths::DEPLOYMENTS, responses((status = 200, body = Vec<Deployment>)))]
pub async fn list(cluster: Shared) -> Json<Vec<Deployment>> {
    Json(cluster.deployments())
}

/// One deployment.
#[utoipa::path(get, path = "/v1/deployments/{id}", params(("id" = String, Path)),
    responses((status = 200, body = Deployment), (status = 404, body = Problem)))]
pub async fn get(cluster: Shared, Path(id): Path<DeploymentId>) -> Answer<Json<Deployment>> {
    find(&cluster, &id).map(Json)
}

pub fn find(cluster: &Cluster, id: &DeploymentId) -> Answer<Deployment> {
    let found = cluster.state().records.deployments.get(id).cloned();
    found.ok_or_else(|| Refusal::not_found(format!("there is no deployment `{id}`")))
}

/// Deploys a version of a job as it is defined now. What becomes of it while another one is on its way,
/// `when_busy` says: that of the request, or else of the job's rollout; 409 if that refuses it. With
/// `apply_plan` it does what was planned, or nothing: 409 if that is not what it would do now.
#[utoipa::path(post, path = "/v1/jobs/{job}/deployments", params(("job" = String, Path)),
    request_body = DeployRequest,
    responses((status = 202, body = Deployment), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn trigger(
    cluster: Shared,
    Path(name): Path<JobName>,
    Body(request): Body<DeployRequest>,
) -> Answer<Response> {
    let when_busy = request.when_busy;
    let report = match &request.apply_plan {
        Some(held) => {
            let report = held::read(&cluster, held).await?;
            let deployment = held::prepare(&cluster.state(), &name, request.clone(), &report)?;
            held::check_places(&cluster, &report, &deployment)?;
            Some(report)
        }
        None => None,
    };
    let deployment = cluster.change(|state| {
        let deployment = match &report {
            Some(report) => held::prepare(state, &name, request, report)?,
            None => prepare(state, &name, request)?,
        };
        let when_busy = when_busy.unwrap_or(deployment.job.rollout.when_busy);
        let (change, deployment) = course::ask(state, deployment, when_busy, |deployment| {
            let id = &deployment.id;
            let mut message = format!("{id} begins: {name} goes to {}", deployment.version);
            if let Some(held) = &deployment.held_to {
                let beyond = if held.beyond { ", and may go beyond it" } else { "" };
                message.push_str(&format!(", held to plan {}{beyond}", held.plans.short()));
            }
            message
        })?;
        let change = match deployment.state.is_queued() {
            true => change,
            false => rollback::supersede(state, change, &deployment, |it| !it.has_ended()),
        };
        Ok::<_, Refusal>((change, deployment))
    })?;
    Ok(accepted(deployment))
}

/// The deployment that a request is for, of the number that the next one gets.
pub fn prepare(state: &State, name: &JobName, request: DeployRequest) -> Answer<Deployment> {
    let record = state.records.jobs.get(name).ok_or_else(|| jobs::unknown(name))?;
    let mut job = record.job.clone();
    job.recipe_options.extend(request.options);
    Ok(Deployment {
        id: DeploymentId::nth(state.records.counters.deployment),
        revision: record.revision,
        recipe: component(state, &job, &job.deployment_recipe, ComponentKind::Recipe)?,
        checks: checks(state, &job)?,
        wants: wants(&state.records, &job),
        version: request.version,
        job,
        rolls_back: None,
        restores: None,
        held_to: request.apply_plan,
        state: DeploymentState::Running,
        created_at: state.now,
        course: Course::default(),
    })
}

/// Takes a job's newest deployment back: the job goes to what its last deployment that succeeded
/// before it brought.
#[utoipa::path(post, path = "/v1/deployments/{id}/rollback", params(("id" = String, Path)),
    responses((status = 202, body = Deployment), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn roll_back(cluster: Shared, Path(id): Path<DeploymentId>) -> Answer<Response> {
    let rollback = cluster.change(|state| Ok::<_, Refusal>(rollback::requested(state, &id)?))?;
    Ok(accepted(rollback))
}

impl From<rollback::Refused> for Refusal {
    fn from(refused: rollback::Refused) -> Self {
        match refused {
            rollback::Refused::Unknown(_) => Self::not_found(refused.to_string()),
            _ => Self::new(StatusCode::CONFLICT, refused.to_string()),
        }
    }
}

impl From<NotNow> for Refusal {
    fn from(refused: NotNow) -> Self {
        match refused {
            NotNow::Unknown(_) => Self::not_found(refused.to_string()),
            NotNow::NoReason => Self::invalid(refused.to_string()),
            _ => Self::new(StatusCode::CONFLICT, refused.to_string()),
        }
    }
}

/// Holds a deployment that is on its way: what it has not reached stays as it is, and its deadlines do
/// not run.
#[utoipa::path(post, path = "/v1/deployments/{id}/pause", params(("id" = String, Path)),
    request_body = PauseDeploymentRequest,
    responses((status = 200, body = Deployment), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn pause(
    cluster: Shared,
    Path(id): Path<DeploymentId>,
    Body(request): Body<PauseDeploymentRequest>,
) -> Answer<Json<Deployment>> {
    let paused =
        cluster.change(|state| Ok::<_, Refusal>(course::pause(state, &id, request.clone())?))?;
    Ok(Json(paused))
}

/// Lets a paused deployment go on.
#[utoipa::path(post, path = "/v1/deployments/{id}/resume", params(("id" = String, Path)),
    responses((status = 200, body = Deployment), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn resume(cluster: Shared, Path(id): Path<DeploymentId>) -> Answer<Json<Deployment>> {
    let why = "a person resumed it";
    let resumed = cluster.change(|state| Ok::<_, Refusal>(course::resume(state, &id, why)?))?;
    Ok(Json(resumed))
}

/// Lets a deployment go on from its canary to the other instances; 409 while that is not well.
#[utoipa::path(post, path = "/v1/deployments/{id}/promote", params(("id" = String, Path)),
    responses((status = 200, body = Deployment), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn promote(cluster: Shared, Path(id): Path<DeploymentId>) -> Answer<Json<Deployment>> {
    let promoted = cluster.change(|state| Ok::<_, Refusal>(course::promote(state, &id)?))?;
    Ok(Json(promoted))
}

/// Takes a deployment out of the queue.
#[utoipa::path(post, path = "/v1/deployments/{id}/cancel", params(("id" = String, Path)),
    responses((status = 200, body = Deployment), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn cancel(cluster: Shared, Path(id): Path<DeploymentId>) -> Answer<Json<Deployment>> {
    let cancelled = cluster.change(|state| Ok::<_, Refusal>(course::cancel(state, &id)?))?;
    Ok(Json(cancelled))
}

fn accepted(deployment: Deployment) -> Response {
    let location = [(header::LOCATION, paths::deployment(&deployment.id))];
    (StatusCode::ACCEPTED, location, Json(deployment)).into_response()
}

fn checks(state: &State, job: &Job) -> Answer<BTreeMap<RecipeName, Digest>> {
    let named = job.health_checks.iter().map(|check| &check.check);
    named
        .map(|name| Ok((name.clone(), component(state, job, name, ComponentKind::HealthCheck)?)))
        .collect()
}

/// The component of that name, if it is of that kind and imports only what the job grants.
fn component(state: &State, job: &Job, name: &RecipeName, kind: ComponentKind) -> Answer<Digest> {
    let recipe = state.records.recipes.get(name).ok_or_else(|| {
        let command = format!("cerebro recipe push {name} FILE.wasm");
        Refusal::invalid(format!(
            "no component was uploaded as `{name}`: upload it with `{command}`"
        ))
    })?;
    if recipe.kind != kind {
        return Err(Refusal::invalid(format!(
            "`{name}` is a {}, where the job needs a {kind}",
            recipe.kind
        )));
    }
    cerebro_recipe_inspect::check_grants(&recipe.imports, &job.grants).map_err(|error| {
        Refusal::invalid(format!("`{name}` cannot be used by this job: {error}"))
    })?;
    let missing = wanted(&state.records, job, recipe);
    if !missing.is_empty() {
        let lines: String = missing.iter().map(|line| format!("\n+ {line}")).collect();
        return Err(Refusal::invalid(format!(
            "`{name}` wants more than when this job was deployed last, and the job does not grant it; \
             add to the job what it may have:{lines}"
        )));
    }
    Ok(recipe.digest)
}

/// What happens to a deployment, from its beginning; the stream ends with it.
#[utoipa::path(get, path = "/v1/deployments/{id}/events",
    params(("id" = String, Path), ("Last-Event-ID" = Option<u64>, Header)),
    responses((status = 200, content_type = "text/event-stream"), (status = 404, body = Problem)))]
pub async fn events(
    cluster: Shared,
    Path(id): Path<DeploymentId>,
    headers: HeaderMap,
) -> Answer<Response> {
    find(&cluster, &id)?;
    let cluster: Arc<Cluster> = cluster.0;
    let after = events::last_event_id(&headers).unwrap_or(0);
    let (wanted, of) = (id.clone(), id);
    let is_ours = move |event: &Event| event.subject.deployment.as_ref() == Some(&wanted);
    let is_end = move |event: &Event| {
        use EventKind::{
            DeploymentCancelled, DeploymentFailed, DeploymentSucceeded, DeploymentSuperseded,
        };
        let kind = event.kind;
        event.subject.deployment.as_ref() == Some(&of)
            && (matches!(kind, DeploymentSucceeded | DeploymentFailed)
                || matches!(kind, DeploymentSuperseded | DeploymentCancelled))
    };
    Ok(events::stream(cluster, after, is_ours, is_end).into_response())
}
