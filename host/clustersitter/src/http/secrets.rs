//! Secrets: people set and remove them and see which there are; agents read them.

use super::extract::{Path, bearer};
use super::{Answer, Refusal, Shared};
use axum::Json;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use cerebro_api::body::SecretView;
use cerebro_api::{Problem, paths};
use cerebro_model::{InstanceId, MachineId, Secret, SecretName};
use futures::StreamExt;

/// Every secret: its name and which jobs are granted it, and never what it is.
#[utoipa::path(get, path = paths::SECRETS, responses((status = 200, body = Vec<SecretView>)))]
pub async fn list(cluster: Shared) -> Json<Vec<SecretView>> {
    Json(cluster.secrets())
}

/// Sets a secret, in place of one that had its name before. Nothing gives it back but to agents.
#[utoipa::path(put, path = "/v1/secrets/{name}", params(("name" = String, Path)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = SecretView), (status = 413, body = Problem), (status = 422, body = Problem)))]
pub async fn put(
    cluster: Shared,
    Path(name): Path<SecretName>,
    body: Body,
) -> Answer<Json<SecretView>> {
    let (mut bytes, mut pieces) = (Vec::new(), body.into_data_stream());
    while let Some(piece) = pieces.next().await {
        let broken =
            |error| Refusal::new(StatusCode::BAD_REQUEST, format!("the upload broke off: {error}"));
        bytes.extend_from_slice(&piece.map_err(broken)?);
        if bytes.len() > Secret::LARGEST {
            let largest = Secret::LARGEST;
            let detail = format!(
                "`{name}` was not set: a secret has at most {largest} bytes, and this has more"
            );
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
    }
    let secret = Secret::try_from(bytes)
        .map_err(|error| Refusal::invalid(format!("`{name}` was not set: {error}")))?;
    Ok(Json(cluster.set_secret(&name, secret)?))
}

/// Removes a secret. What was given to machines before is theirs.
#[utoipa::path(delete, path = "/v1/secrets/{name}", params(("name" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub async fn delete(cluster: Shared, Path(name): Path<SecretName>) -> Answer<StatusCode> {
    match cluster.remove_secret(&name)? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Refusal::not_found(format!("no secret is named `{name}`"))),
    }
}

/// A secret, for the agent of a machine that should run an instance of a job that grants it. The
/// machine's token is the bearer token.
#[utoipa::path(get, path = "/v1/machines/{id}/instances/{instance}/secrets/{name}",
    params(("id" = String, Path), ("instance" = String, Path), ("name" = String, Path)),
    responses((status = 200, content_type = "application/octet-stream"), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn read(
    cluster: Shared,
    Path((id, instance, name)): Path<(MachineId, InstanceId, SecretName)>,
    headers: HeaderMap,
) -> Answer<impl IntoResponse> {
    let token = bearer(&headers).unwrap_or_default();
    let secret = cluster.secret_for(&id, token, &instance, &name)?;
    let kind =
        [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((kind, secret.into_bytes()))
}
