//! How the cluster is.

use super::Shared;
use axum::Json;
use cerebro_api::body::Status;
use cerebro_api::paths;

/// What is not as it should be, and what holds Cerebro back.
#[utoipa::path(get, path = paths::STATUS, responses((status = 200, body = Status)))]
pub async fn get(cluster: Shared) -> Json<Status> {
    let (term, faults) = (cluster.term(), cluster.faults());
    let (pauses, observe_only) = (cluster.pauses(), cluster.observes_only());
    Json(Status { term, faults, pauses, observe_only })
}
