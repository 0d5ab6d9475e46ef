//! Artifacts, and the bytes of everything that was uploaded.

use super::extract::Path;
use super::{Answer, Refusal, Shared};
use crate::cluster::on_disk;
use axum::Json;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use cerebro_api::body::Artifact;
use cerebro_api::{MAX_UPLOAD, Problem, paths};
use cerebro_model::Digest;
use cerebro_store::Blobs;
use futures::StreamExt;
use std::io::SeekFrom;
use tokio::io::AsyncSeekExt;
use tokio_util::io::ReaderStream;

/// Uploads an artifact; its digest is its name.
#[utoipa::path(post, path = paths::ARTIFACTS,
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = Artifact), (status = 413, body = Problem)))]
pub async fn upload(cluster: Shared, body: Body) -> Answer<Json<Artifact>> {
    let (digest, size) = keep(&cluster.blobs, body, MAX_UPLOAD).await?;
    Ok(Json(Artifact { digest, size }))
}

/// The bytes of a component or artifact: all, or without the first ones if the header `Range` asks so.
#[utoipa::path(get, path = "/v1/blobs/{digest}", params(("digest" = String, Path)),
    responses((status = 200, content_type = "application/octet-stream"),
        (status = 206, content_type = "application/octet-stream"),
        (status = 404, body = Problem), (status = 416, body = Problem)))]
pub async fn download(
    cluster: Shared,
    Path(digest): Path<Digest>,
    asked: HeaderMap,
) -> Answer<Response> {
    let missing = || {
        Refusal::not_found(format!("nothing with the digest {digest} was uploaded to this cluster"))
    };
    let mut file =
        tokio::fs::File::open(cluster.blobs.path(&digest)).await.map_err(|_| missing())?;
    let size = file.metadata().await.map_err(|_| missing())?.len();
    let from = from(&asked).unwrap_or(0);
    if from > 0 && from >= size {
        let why = format!("{digest} has {size} bytes: none are left behind {from}");
        return Err(Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, why));
    }
    file.seek(SeekFrom::Start(from)).await.map_err(|_| missing())?;
    let mut headers = vec![
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, (size - from).to_string()),
    ];
    let mut status = StatusCode::OK;
    if from > 0 {
        status = StatusCode::PARTIAL_CONTENT;
        headers.push((header::CONTENT_RANGE, format!("bytes {from}-{}/{size}", size - 1)));
    }
    let body = Body::from_stream(ReaderStream::with_capacity(file, 64 << 10));
    Ok((status, AppendHeaders(headers), body).into_response())
}

/// Where it is to begin, if it asks for all from there on; other ranges may be ignored.
fn from(asked: &HeaderMap) -> Option<u64> {
    asked.get(header::RANGE)?.to_str().ok()?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}

/// Writes a body to the store as it comes, and stops at the limit.
pub async fn keep(blobs: &Blobs, body: Body, limit: u64) -> Answer<(Digest, u64)> {
    let mut writer = blobs.writer(limit)?;
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let broken =
            |error| Refusal::new(StatusCode::BAD_REQUEST, format!("the upload broke off: {error}"));
        let piece = piece.map_err(broken)?;
        on_disk(|| writer.write(&piece))?;
    }
    Ok(on_disk(|| writer.finish())?)
}
