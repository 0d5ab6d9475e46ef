//! Machines, as people see them.

use super::extract::{Json as Body, Path};
use super::{Answer, Refusal, Shared};
use crate::cluster::{about_machine, event};
use crate::records::Change;
use axum::Json;
use axum::http::StatusCode;
use cerebro_api::body::MachineView;
use cerebro_api::{Problem, paths};
use cerebro_model::{EventKind, Labels, Machine, MachineId, Tombstone};

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

/// Machines that were given up lately: by whose word, and what was on them. The newest first.
#[utoipa::path(get, path = paths::TOMBSTONES, responses((status = 200, body = Vec<Tombstone>)))]
pub async fn tombstones(cluster: Shared) -> Json<Vec<Tombstone>> {
    Json(cluster.tombstones())
}

pub(super) fn unknown(id: &MachineId) -> Refusal {
    Refusal::not_found(format!("there is no machine `{id}`"))
}

/// Sets the labels of a machine, all of them: what the `placement` of jobs goes by.
#[utoipa::path(put, path = "/v1/machines/{id}/labels", params(("id" = String, Path)),
    request_body = HashMap<String, String>,
    responses((status = 200, body = MachineView), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn label(
    cluster: Shared,
    Path(id): Path<MachineId>,
    Body(labels): Body<Labels>,
) -> Answer<Json<MachineView>> {
    if labels.keys().any(|label| label.as_str() == Machine::OWN_LABEL) {
        let detail = format!(
            "`{}` is the label that every machine has, its id: choose another name",
            Machine::OWN_LABEL
        );
        return Err(Refusal::invalid(detail));
    }
    cluster.change(|state| {
        let mut record = state.records.machines.get(&id).cloned().ok_or_else(|| unknown(&id))?;
        if record.machine.labels == labels {
            return Ok::<_, Refusal>((Change::default(), ()));
        }
        let words: Vec<_> =
            labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
        let message = match words.is_empty() {
            true => format!("{id} has no labels any more"),
            false => format!("{id} is labelled {}", words.join(", ")),
        };
        record.machine.labels = labels;
        let told = event(EventKind::MachineLabelled, about_machine(&id), message);
        Ok((Change::default().machine(&id, Some(record)).event(told), ()))
    })?;
    get(cluster, Path(id)).await
}

/// Ends a local machine at once, as a power cut would, to see the cluster heal.
#[utoipa::path(post, path = "/v1/machines/{id}/kill", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn kill(cluster: Shared, Path(id): Path<MachineId>) -> Answer<StatusCode> {
    let is_made = {
        let state = cluster.state();
        let record = state.records.machines.get(&id).ok_or_else(|| unknown(&id))?;
        record.machine.origin.is_provisioned()
    };
    let Some(local) = cluster.local.as_ref().filter(|_| is_made) else {
        let detail = format!("{id} is no machine of this host: only those can be killed on demand");
        return Err(Refusal::new(StatusCode::CONFLICT, detail));
    };
    let failed = |error| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{id} was not killed: {error}"))
    };
    local.kill(&id).await.map_err(failed)?;
    Ok(StatusCode::NO_CONTENT)
}
