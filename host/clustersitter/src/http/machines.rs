//! Machines, as people see them.

use super::extract::Path;
use super::{Answer, Refusal, Shared};
use axum::Json;
use axum::http::StatusCode;
use cerebro_api::body::MachineView;
use cerebro_api::{Problem, paths};
use cerebro_model::MachineId;

/// Every machine.
#[utoipa::path(get, path = paths::MACHINES, responses((status = 200, body = Vec<MachineView>)))]
pub async fn list(cluster: Shared) -> Json<Vec<MachineView>> {
    Json(cluster.machines())
}

/// One machine.
#[utoipa::path(get, path = "/v1/machines/{id}", params(("id" = String, Path)),
    responses((status = 200, body = MachineView), (status = 404, body = Problem)))]
pub async fn get(cluster: Shared, Path(id): Path<MachineId>) -> Answer<Json<MachineView>> {
    let found = cluster.machines().into_iter().find(|view| view.machine.id == id);
    found.map(Json).ok_or_else(|| unknown(&id))
}

fn unknown(id: &MachineId) -> Refusal {
    Refusal::not_found(format!("there is no machine `{id}`"))
}

/// Ends a local machine at once, as a power cut would, to see the cluster heal.
#[utoipa::path(post, path = "/v1/machines/{id}/kill", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn kill(cluster: Shared, Path(id): Path<MachineId>) -> Answer<StatusCode> {
    if !cluster.state().records.machines.contains_key(&id) {
        return Err(unknown(&id));
    }
    let Some(local) = &cluster.local else {
        let detail = format!("{id} is no machine of this host: only those can be killed on demand");
        return Err(Refusal::new(StatusCode::CONFLICT, detail));
    };
    let failed = |error| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{id} was not killed: {error}"))
    };
    local.kill(&id).await.map_err(failed)?;
    Ok(StatusCode::NO_CONTENT)
}
