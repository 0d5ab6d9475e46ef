//! Machines that are joined by hand, and what their agents are made of.

use super::extract::{Json as Body, Path};
use super::{Answer, Refusal, Shared};
use crate::cluster::{JoinError, on_disk};
use crate::executor::chain;
use axum::Json;
use axum::body::Body as Bytes;
use axum::http::{StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use cerebro_api::join::{AgentKit, JoinOrder, JoinOrderRequest};
use cerebro_api::{Problem, paths};
use cerebro_model::Digest;
use tokio_util::io::ReaderStream;

impl From<JoinError> for Refusal {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::NoZone { .. } => Self::not_found(error.to_string()),
            JoinError::Words(_) => Self::invalid(error.to_string()),
            JoinError::Closed => Self::new(StatusCode::CONFLICT, error.to_string()),
            JoinError::Programs(error) => Self::new(StatusCode::SERVICE_UNAVAILABLE, chain(&error)),
            JoinError::Change(error) => error.into(),
        }
    }
}

/// Has a machine expected that an operator joins by hand: it is used, and never terminated. The token in the answer is
/// told once.
#[utoipa::path(post, path = paths::MACHINES, request_body = JoinOrderRequest,
    responses((status = 200, body = JoinOrder), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub async fn order(
    cluster: Shared,
    Body(request): Body<JoinOrderRequest>,
) -> Answer<Json<JoinOrder>> {
    Ok(Json(cluster.order_join(&request)?))
}

/// What an agent on another machine is made of.
#[utoipa::path(get, path = paths::AGENT,
    responses((status = 200, body = AgentKit), (status = 409, body = Problem)))]
pub async fn kit(cluster: Shared) -> Answer<Json<AgentKit>> {
    let joining = cluster.joining().ok_or(JoinError::Closed)?;
    let programs = on_disk(|| joining.programs.list()).map_err(JoinError::from)?;
    Ok(Json(AgentKit { controller: joining.controller.clone(), programs }))
}

/// The bytes of one of the agent's programs.
#[utoipa::path(get, path = "/v1/agent/{digest}", params(("digest" = String, Path)),
    responses((status = 200, content_type = "application/octet-stream"), (status = 404, body = Problem)))]
pub async fn program(cluster: Shared, Path(digest): Path<Digest>) -> Answer<Response> {
    let joining = cluster.joining().ok_or(JoinError::Closed)?;
    let missing = || {
        Refusal::not_found(format!(
            "the agent has no program with the digest {digest}: it may have been replaced; {} lists those that it has",
            paths::AGENT
        ))
    };
    let found = on_disk(|| joining.programs.find(&digest)).map_err(JoinError::from)?;
    let file = tokio::fs::File::open(found.ok_or_else(missing)?).await.map_err(|_| missing())?;
    let size = file.metadata().await.map_err(|_| missing())?.len();
    let headers = AppendHeaders([
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, size.to_string()),
    ]);
    let bytes = Bytes::from_stream(ReaderStream::with_capacity(file, 64 << 10));
    Ok((headers, bytes).into_response())
}
