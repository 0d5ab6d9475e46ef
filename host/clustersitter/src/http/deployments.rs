//! Deployments.

use super::extract::{Json as Body, Path};
use super::{Answer, Refusal, Shared, events, jobs};
use crate::cluster::{Cluster, State, about_deployment, event, now, rollback, wanted, wants};
use crate::records::Change;
use axum::Json;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cerebro_api::body::DeployRequest;
use cerebro_api::{Problem, paths};
use cerebro_model::{
    ComponentKind, Deployment, DeploymentId, DeploymentState, Digest, Event, EventKind, Job,
    JobName, RecipeName,
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

/// Deploys a version of a job as it is defined now. One that is on its way is superseded.
#[utoipa::path(post, path = "/v1/jobs/{job}/deployments", params(("job" = String, Path)),
    request_body = DeployRequest,
    responses((status = 202, body = Deployment), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn trigger(
    cluster: Shared,
    Path(name): Path<JobName>,
    Body(request): Body<DeployRequest>,
) -> Answer<Response> {
    let deployment = cluster.change(|state| {
        let deployment = prepare(state, &name, request)?;
        let id = &deployment.id;
        let mut counters = state.records.counters;
        counters.deployment += 1;
        let message = format!("{id} begins: {name} goes to {}", deployment.version);
        let told = event(EventKind::DeploymentStarted, about_deployment(&deployment), message);
        let change = Change::default()
            .counters(counters)
            .deployment(id, Some(deployment.clone()))
            .event(told);
        Ok::<_, Refusal>((rollback::supersede(state, change, &deployment), deployment))
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
        state: DeploymentState::Running,
        created_at: now(),
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
        use EventKind::{DeploymentFailed, DeploymentSucceeded, DeploymentSuperseded};
        event.subject.deployment.as_ref() == Some(&of)
            && matches!(event.kind, DeploymentSucceeded | DeploymentFailed | DeploymentSuperseded)
    };
    Ok(events::stream(cluster, after, is_ours, is_end).into_response())
}
