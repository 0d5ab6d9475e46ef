//! Tasks: the instances of all jobs, and their logs.

use super::extract::{Path, Query};
use super::{Answer, Refusal, Shared};
use axum::Json;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use cerebro_api::body::TaskView;
use cerebro_api::{Problem, paths};
use cerebro_model::InstanceId;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

/// Every instance.
#[utoipa::path(get, path = paths::TASKS, responses((status = 200, body = Vec<TaskView>)))]
pub async fn list(cluster: Shared) -> Json<Vec<TaskView>> {
    Json(cluster.tasks())
}

/// Which part of which log.
#[derive(Debug, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// `stdout` (default), `stderr` or `recipe`.
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<String>,
    /// The last so many lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    tail: Option<usize>,
    /// Whether to go on with what is to come.
    #[serde(skip_serializing_if = "Option::is_none")]
    follow: Option<bool>,
}

/// A task's log, as its machine has it.
#[utoipa::path(get, path = "/v1/tasks/{id}/logs", params(("id" = String, Path), Part),
    responses((status = 200, content_type = "text/plain"), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn logs(
    cluster: Shared,
    Path(id): Path<InstanceId>,
    Query(part): Query<Part>,
) -> Answer<Response> {
    let place = {
        let state = cluster.state();
        let instance = state.records.instances.get(&id);
        let instance =
            instance.ok_or_else(|| Refusal::not_found(format!("there is no task `{id}`")))?;
        let machine = state.records.machines.get(&instance.machine).map(|record| &record.machine);
        machine
            .and_then(|machine| Some((machine.id.clone(), machine.address?, machine.agent_port?)))
    };
    let unavailable = |why: String| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why);
    let (machine, address, port) =
        place.ok_or_else(|| unavailable(format!("`{id}` has no machine at the moment")))?;
    let url =
        format!("http://{}{}", std::net::SocketAddr::new(address, port), paths::task_logs(&id));
    cerebro_api::choose_cryptography();
    let answer = reqwest::Client::new().get(url).query(&part).send().await;
    let answer = answer.map_err(|_| {
        unavailable(format!("the agent of {machine}, which has the log, does not answer"))
    })?;
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    let kind = answer.headers().get(header::CONTENT_TYPE).cloned();
    let kind = kind.unwrap_or_else(|| header::HeaderValue::from_static("text/plain"));
    Ok((status, [(header::CONTENT_TYPE, kind)], Body::from_stream(answer.bytes_stream()))
        .into_response())
}
