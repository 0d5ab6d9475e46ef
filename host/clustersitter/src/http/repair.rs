//! Repairs that wait for a person.

use super::extract::{Json as Body, Path};
use super::{Answer, Shared};
use axum::Json;
use axum::http::StatusCode;
use cerebro_api::body::{Approval, RepairModeRequest};
use cerebro_api::{Problem, paths};
use cerebro_model::Proposal;

/// The repairs that are decided and wait for a person: all of them in observe-only mode, else those
/// that the breaker of a zone holds.
#[utoipa::path(get, path = paths::PROPOSALS, responses((status = 200, body = Vec<Proposal>)))]
pub async fn list(cluster: Shared) -> Json<Vec<Proposal>> {
    Json(cluster.proposals())
}

/// Approves a repair: it is done at once, if it still applies.
#[utoipa::path(post, path = "/v1/proposals/{id}/approval", params(("id" = String, Path)), request_body = Approval,
    responses((status = 200, body = Proposal), (status = 404, body = Problem)))]
pub async fn approve(
    cluster: Shared,
    Path(id): Path<String>,
    Body(approval): Body<Approval>,
) -> Answer<Json<Proposal>> {
    Ok(Json(cluster.approve(&id, &approval.author)?))
}

/// Has repairs only proposed, or done without being asked.
#[utoipa::path(put, path = paths::REPAIR_MODE, request_body = RepairModeRequest, responses((status = 204)))]
pub async fn mode(cluster: Shared, Body(request): Body<RepairModeRequest>) -> Answer<StatusCode> {
    cluster.observe_only(request.observe_only, &request.author)?;
    Ok(StatusCode::NO_CONTENT)
}
