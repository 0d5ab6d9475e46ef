//! What agents say and ask.

use super::extract::{Json as Body, Path, Query};
use super::{Answer, Shared};
use axum::Json;
use axum::http::HeaderMap;
use cerebro_api::Problem;
use cerebro_api::body::{Heartbeat, JoinRequest, Report, Term};
use cerebro_model::{MachineDesired, MachineId};
use serde::Deserialize;
use std::time::Duration;
use tokio::time::Instant;
use utoipa::IntoParams;

/// The longest that a blocking query waits.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// An agent has started.
#[utoipa::path(post, path = "/v1/machines/{id}/join", params(("id" = String, Path)), request_body = JoinRequest,
    responses((status = 200, body = Term), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub async fn join(
    cluster: Shared,
    Path(id): Path<MachineId>,
    Body(request): Body<JoinRequest>,
) -> Answer<Json<Term>> {
    cluster.joined(&id, &request)?;
    Ok(Json(Term { term: cluster.term() }))
}

/// An agent is still there.
#[utoipa::path(post, path = "/v1/machines/{id}/heartbeat", params(("id" = String, Path)), request_body = Heartbeat,
    responses((status = 200, body = Term), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub async fn heartbeat(
    cluster: Shared,
    Path(id): Path<MachineId>,
    Body(request): Body<Heartbeat>,
) -> Answer<Json<Term>> {
    cluster.beat(&id, &request)?;
    Ok(Json(Term { term: cluster.term() }))
}

/// How an agent's instances are, and what it saw.
#[utoipa::path(post, path = "/v1/machines/{id}/report", params(("id" = String, Path)), request_body = Report,
    responses((status = 200, body = Term), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub async fn report(
    cluster: Shared,
    Path(id): Path<MachineId>,
    Body(request): Body<Report>,
) -> Answer<Json<Term>> {
    cluster.reported(&id, &request)?;
    Ok(Json(Term { term: cluster.term() }))
}

/// What was seen last, and how long to wait for something else.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// The term of the last answer.
    term: Option<u64>,
    /// The index of the last answer.
    index: Option<u64>,
    /// Seconds to wait; 60 at most.
    wait: Option<u64>,
}

/// What a machine should run: at once if that is not what was seen last, else as soon as it
/// changes, or after the wait. A machine that was given up should run nothing; an agent whose machine
/// is not known here is told nothing, and goes on.
#[utoipa::path(get, path = "/v1/machines/{id}/desired",
    params(("id" = String, Path), Seen, ("Authorization" = String, Header, description = "`Bearer`, and the machine's token")),
    responses((status = 200, body = MachineDesired), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub async fn desired(
    cluster: Shared,
    Path(id): Path<MachineId>,
    Query(seen): Query<Seen>,
    headers: HeaderMap,
) -> Answer<Json<MachineDesired>> {
    let token = super::extract::bearer(&headers).unwrap_or_default();
    let wait = Duration::from_secs(seen.wait.unwrap_or(0)).min(LONGEST_WAIT);
    let (end, mut news) = (Instant::now() + wait, cluster.news_of(&id));
    loop {
        news.mark_unchanged();
        let desired = cluster.desired_by(&id, token)?;
        let is_seen = seen.term == Some(desired.term) && seen.index == Some(desired.index);
        // Whether the wait is over or the sender gone: the answer is the same.
        if !is_seen || tokio::time::timeout_at(end, news.changed()).await.is_err() {
            return Ok(Json(desired));
        }
    }
}
