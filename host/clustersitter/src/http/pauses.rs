//! Pauses: a person has automation stand still.

use super::extract::{Json as Body, Query};
use super::{Answer, Refusal, Shared};
use axum::Json;
use axum::http::StatusCode;
use cerebro_api::body::PauseRequest;
use cerebro_api::{Problem, paths};
use cerebro_model::{JobName, Pause, PauseScope, ZoneName};
use serde::Deserialize;
use utoipa::IntoParams;

/// The pauses that are in force.
#[utoipa::path(get, path = paths::PAUSES, responses((status = 200, body = Vec<Pause>)))]
pub async fn list(cluster: Shared) -> Json<Vec<Pause>> {
    Json(cluster.pauses())
}

/// Pauses the cluster, a zone or a job, in the place of a pause of the same that is in force: until it
/// ends, nothing is changed there, only looked at.
#[utoipa::path(put, path = paths::PAUSES, request_body = PauseRequest,
    responses((status = 200, body = Pause), (status = 422, body = Problem)))]
pub async fn put(cluster: Shared, Body(request): Body<PauseRequest>) -> Answer<Json<Pause>> {
    Ok(Json(cluster.pause(request)?))
}

/// Which pause to end: a job's, a zone's, or else the cluster's.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// The job's.
    #[param(value_type = Option<String>)]
    job: Option<JobName>,
    /// The zone's.
    #[param(value_type = Option<String>)]
    zone: Option<ZoneName>,
    /// Who ends it.
    author: Option<String>,
}

/// Ends a pause.
#[utoipa::path(delete, path = paths::PAUSES, params(Which),
    responses((status = 204), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn end(cluster: Shared, Query(which): Query<Which>) -> Answer<StatusCode> {
    let scope = match (which.job, which.zone) {
        (None, None) => PauseScope::Cluster,
        (Some(job), None) => PauseScope::Job(job),
        (None, Some(zone)) => PauseScope::Zone(zone),
        (Some(_), Some(_)) => {
            let detail = "no pause was ended: name a job or a zone, or neither for the cluster";
            return Err(Refusal::invalid(detail));
        }
    };
    let who = which.author.map_or("it was ended".to_owned(), |who| format!("{who} ended it"));
    cluster.end_pause(&scope, &who, None)?;
    Ok(StatusCode::NO_CONTENT)
}
