//! Machines that no record tells of.

use super::extract::{Json as Body, Path};
use super::{Answer, Refusal, Shared};
use crate::cluster::StrayError;
use axum::Json;
use axum::http::StatusCode;
use cerebro_api::body::{Because, StrayView};
use cerebro_api::{Problem, paths};
use cerebro_model::MachineId;

/// Machines that the provider has for this cluster, and that no record tells of: they are left alone.
#[utoipa::path(get, path = paths::STRAYS, responses((status = 200, body = Vec<StrayView>)))]
pub async fn list(cluster: Shared) -> Json<Vec<StrayView>> {
    Json(cluster.strays())
}

/// Ends one of them for good.
#[utoipa::path(delete, path = "/v1/strays/{id}", params(("id" = String, Path)), request_body = Because,
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem), (status = 503, body = Problem)))]
pub async fn end(
    cluster: Shared,
    Path(id): Path<MachineId>,
    Body(Because { reason }): Body<Because>,
) -> Answer<StatusCode> {
    let reason = if reason.is_empty() { "a person wants that" } else { reason.as_str() };
    cluster.end_stray(&id, reason).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<StrayError> for Refusal {
    fn from(error: StrayError) -> Self {
        let status = match error {
            StrayError::Known(_) => StatusCode::CONFLICT,
            StrayError::NotThere { .. } => StatusCode::NOT_FOUND,
            StrayError::Provider { .. } => StatusCode::SERVICE_UNAVAILABLE,
            StrayError::Change(error) => return error.into(),
        };
        Self::new(status, error.to_string())
    }
}
