//! Artifacts, and the bytes of everything that was uploaded.

use super::extract::Path;
use super::{Answer, Refusal, Shared};
use axum::Json;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use cerebro_api::body::Artifact;
use cerebro_api::{MAX_UPLOAD, Problem, paths};
use cerebro_model::Digest;
use cerebro_store::Blobs;
use futures::StreamExt;
use tokio_util::io::ReaderStream;

/// Uploads an artifact; its digest is its name.
#[utoipa::path(post, path = paths::ARTIFACTS,
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = Artifact), (status = 413, body = Problem)))]
pub async fn upload(cluster: Shared, body: Body) -> Answer<Json<Artifact>> {
    let (digest, size) = keep(&cluster.blobs, body, MAX_UPLOAD).await?;
    Ok(Json(Artifact { digest, size }))
}

/// The bytes of a component or artifact.
#[utoipa::path(get, path = "/v1/blobs/{digest}", params(("digest" = String, Path)),
    responses((status = 200, content_type = "application/octet-stream"), (status = 404, body = Problem)))]
pub async fn download(cluster: Shared, Path(digest): Path<Digest>) -> Answer<Response> {
    let missing = || {
        Refusal::not_found(format!("nothing with the digest {digest} was uploaded to this cluster"))
    };
    let file = tokio::fs::File::open(cluster.blobs.path(&digest)).await.map_err(|_| missing())?;
    let size = file.metadata().await.map_err(|_| missing())?.len();
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, size.to_string()),
    ];
    Ok((headers, Body::from_stream(ReaderStream::with_capacity(file, 64 << 10))).into_response())
}

/// Writes a body to the store as it comes, and stops at the limit.
pub async fn keep(blobs: &Blobs, body: Body, limit: u64) -> Answer<(Digest, u64)> {
    let mut writer = blobs.writer(limit)?;
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let broken =
            |error| Refusal::new(StatusCode::BAD_REQUEST, format!("the upload broke off: {error}"));
        let piece = piece.map_err(broken)?;
        tokio::task::block_in_place(|| writer.write(&piece))?;
    }
    Ok(tokio::task::block_in_place(|| writer.finish())?)
}
