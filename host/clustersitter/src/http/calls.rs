//! What recipes did on machines: collected from the agents, who keep it, and passed on.

use super::extract::{Path, Query};
use super::{Answer, Refusal, Shared, deployments};
use crate::agent::{Agents, AskError, bounded};
use crate::cluster::Cluster;
use axum::Json;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use cerebro_api::Problem;
use cerebro_api::call::{self, CallReport, Provenance};
use cerebro_api::deployment::{DeploymentCalls, Silent};
use cerebro_model::{Deployment, DeploymentId, Instance, InstanceId, MachineId};
use futures::StreamExt;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::IntoParams;

/// How long an agent may take to tell what it has kept.
const WITHIN: Duration = Duration::from_secs(15);
/// How long one may take to look at all that it wrote, or to send a recording.
const LONGER: Duration = Duration::from_secs(120);

/// What a deployment's recipe did, for each instance that it came to. Agents that do not answer are
/// told of; what an instance did on a machine that it has left is not to be had any more.
#[utoipa::path(get, path = "/v1/deployments/{id}/calls", params(("id" = String, Path), call::Wanted),
    responses((status = 200, body = DeploymentCalls), (status = 404, body = Problem)))]
pub async fn list(
    cluster: Shared,
    Path(id): Path<DeploymentId>,
    Query(wanted): Query<call::Wanted>,
) -> Answer<Json<DeploymentCalls>> {
    let deployment = deployments::find(&cluster, &id)?;
    Ok(Json(collect(&cluster, deployment, wanted).await))
}

/// Asks the agents of all instances of its job: which of them it came to, they know.
pub async fn collect(
    cluster: &Cluster,
    deployment: Deployment,
    wanted: call::Wanted,
) -> DeploymentCalls {
    let of_job: Vec<Instance> = {
        let state = cluster.state();
        let all = state.records.instances.values();
        all.filter(|instance| instance.job == *deployment.job_name()).cloned().collect()
    };
    let (agents, id) = (Agents::new(), &deployment.id);
    let answers = bounded(of_job, |Instance { id: instance, machine, .. }| {
        let agents = &agents;
        async move {
            let path = call::call(&instance, id);
            let answer: Result<CallReport, _> =
                agents.json(cluster, &machine, Method::GET, &path, &wanted, WITHIN).await;
            answer.map_err(|error| (instance, machine, error))
        }
    });
    let (mut calls, mut silent) = (Vec::new(), Vec::new());
    for answer in answers.collect::<Vec<_>>().await {
        match answer {
            Ok(call) => calls.push(call),
            // It never came there.
            Err((_, _, AskError::Refused(problem))) if problem.status == 404 => {}
            Err((instance, machine, error)) => {
                silent.push(Silent { instance, machine, why: error.to_string() });
            }
        }
    }
    calls.sort_by(|one, other| one.instance.cmp(&other.instance));
    silent.sort_by(|one, other| one.instance.cmp(&other.instance));
    DeploymentCalls { deployment, calls, silent }
}

/// The recording of what a deployment's recipe did for one instance, to be run again elsewhere.
#[utoipa::path(get, path = "/v1/deployments/{id}/calls/{instance}/recording",
    params(("id" = String, Path), ("instance" = String, Path)),
    responses((status = 200, content_type = "application/octet-stream"), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn recording(
    cluster: Shared,
    Path((id, instance)): Path<(DeploymentId, InstanceId)>,
) -> Answer<Response> {
    deployments::find(&cluster, &id)?;
    let machine = {
        let state = cluster.state();
        state.records.instances.get(&instance).map(|found| found.machine.clone())
    };
    let machine =
        machine.ok_or_else(|| Refusal::not_found(format!("there is no instance `{instance}`")))?;
    let path = call::recording(&instance, &id);
    let answer = Agents::new().ask(&cluster, &machine, Method::GET, &path, &(), LONGER).await?;
    Ok(passed_on(answer))
}

/// Which path.
#[derive(Debug, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The path, as the machine has it.
    path: String,
}

/// Who wrote a path of a machine last, and whether it was changed since.
#[utoipa::path(get, path = "/v1/machines/{id}/why", params(("id" = String, Path), Wanted),
    responses((status = 200, body = Provenance), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn why(
    cluster: Shared,
    Path(id): Path<MachineId>,
    Query(wanted): Query<Wanted>,
) -> Answer<Response> {
    let agents = Agents::new();
    Ok(passed_on(agents.ask(&cluster, &id, Method::GET, call::WHY, &wanted, WITHIN).await?))
}

/// What has changed on a machine since Cerebro wrote it.
#[utoipa::path(get, path = "/v1/machines/{id}/drift", params(("id" = String, Path)),
    responses((status = 200, body = Vec<Provenance>), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn drift(cluster: Shared, Path(id): Path<MachineId>) -> Answer<Response> {
    let agents = Agents::new();
    Ok(passed_on(agents.ask(&cluster, &id, Method::GET, call::DRIFT, &(), LONGER).await?))
}

/// An agent's answer as it comes.
fn passed_on(answer: reqwest::Response) -> Response {
    let kind = answer.headers().get(header::CONTENT_TYPE).cloned();
    let kind = kind.unwrap_or_else(|| header::HeaderValue::from_static("application/octet-stream"));
    // What a machine sends is nothing for a browser to guess at.
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff")),
    ];
    (headers, Body::from_stream(answer.bytes_stream())).into_response()
}

impl From<AskError> for Refusal {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Unknown(_) => Self::not_found(error.to_string()),
            AskError::Refused(problem) => Self(problem),
            _ => Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        }
    }
}
