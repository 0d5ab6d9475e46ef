//! What would be if something happened.

use super::extract::Json as Body;
use super::{Answer, Refusal, Shared};
use axum::Json;
use axum::http::StatusCode;
use cerebro_api::{Problem, paths};
use cerebro_model::{Foreseen, WhatIf};
use cerebro_planner::cluster::{NotThere, what_if};
use tokio::sync::Semaphore;

/// Questions that are answered at a time: each drives the whole fleet ahead, and a controller has better
/// things to do.
static ASKED: Semaphore = Semaphore::const_new(1);

impl From<NotThere> for Refusal {
    fn from(error: NotThere) -> Self {
        Self::not_found(error.to_string())
    }
}

/// What would be hit, for how long, and what would be done, if something happened now: the planner is driven
/// ahead by up to an hour, in a copy of the fleet. Nothing is changed.
#[utoipa::path(post, path = paths::WHAT_IF, request_body = WhatIf,
    responses((status = 200, body = Foreseen), (status = 404, body = Problem), (status = 422, body = Problem),
        (status = 429, body = Problem)))]
pub async fn ask(cluster: Shared, Body(event): Body<WhatIf>) -> Answer<Json<Foreseen>> {
    let Ok(turn) = ASKED.try_acquire() else {
        let detail = "another what-if question is being answered: ask again when it is";
        return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, detail));
    };
    let (fleet, policy, now) = (cluster.fleet(), cluster.policy(), cluster.now());
    let foreseen = tokio::task::spawn_blocking(move || {
        // It is let go when the answer is there, also if nobody waits for it any more.
        let _turn = turn;
        what_if(&fleet, &policy, &event, now)
    })
    .await;
    let failed = |error: tokio::task::JoinError| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("no answer came: {error}"))
    };
    Ok(Json(foreseen.map_err(failed)??))
}
