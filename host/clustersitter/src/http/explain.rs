//! Why: what was decided, what that rests on, and how jobs and machines stand.

use super::extract::{Path, Query};
use super::{Answer, Refusal, Shared};
use crate::decisions::{LogError, Wanted};
use axum::Json;
use axum::http::StatusCode;
use cerebro_api::explain::{DecisionSummary, DecisionView, Explanation};
use cerebro_api::{Problem, paths};
use cerebro_model::{DecisionId, JobName, MachineId};
use serde::Deserialize;
use utoipa::IntoParams;

/// Looks that one answer holds at most.
const MOST: usize = 500;

/// Which decisions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// Those about a machine.
    #[param(value_type = Option<String>)]
    machine: Option<MachineId>,
    /// Those about a job.
    #[param(value_type = Option<String>)]
    job: Option<JobName>,
    /// At most so many looks; 20 by default.
    limit: Option<usize>,
}

impl From<LogError> for Refusal {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Unknown(_) => Self::not_found(error.to_string()),
            LogError::File { .. } | LogError::Json(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
            }
        }
    }
}

/// Has the log read where nobody else waits for it.
async fn read<T: Send + 'static>(
    look: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Answer<T> {
    let read = tokio::task::spawn_blocking(look).await;
    let failed = |error: tokio::task::JoinError| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("no answer came: {error}"))
    };
    Ok(read.map_err(failed)??)
}

/// The last looks that decided something, the newest first: what, and why.
#[utoipa::path(get, path = paths::DECISIONS, params(Which),
    responses((status = 200, body = Vec<DecisionSummary>), (status = 503, body = Problem)))]
pub async fn list(
    cluster: Shared,
    Query(which): Query<Which>,
) -> Answer<Json<Vec<DecisionSummary>>> {
    let Which { machine, job, limit } = which;
    let (wanted, limit) = (Wanted { machine, job }, limit.unwrap_or(20).min(MOST));
    let cluster = cluster.0;
    read(move || cluster.decided(&wanted, limit)).await.map(Json)
}

/// One look that decided something: what it rests on, and whether it decides the same now.
#[utoipa::path(get, path = "/v1/decisions/{id}", params(("id" = String, Path)),
    responses((status = 200, body = DecisionView), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn decision(cluster: Shared, Path(id): Path<DecisionId>) -> Answer<Json<DecisionView>> {
    let cluster = cluster.0;
    read(move || cluster.explain_decision(&id)).await.map(Json)
}

/// How a job stands, and why: what should be, what is, what stands in the way, what is decided next.
#[utoipa::path(get, path = "/v1/jobs/{job}/explanation", params(("job" = String, Path)),
    responses((status = 200, body = Explanation), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn job(cluster: Shared, Path(job): Path<JobName>) -> Answer<Json<Explanation>> {
    let unknown = Refusal::not_found(format!("there is no job `{job}`"));
    let cluster = cluster.0;
    read(move || cluster.explain_job(&job)).await?.map(Json).ok_or(unknown)
}

/// How a machine stands, and why.
#[utoipa::path(get, path = "/v1/machines/{id}/explanation", params(("id" = String, Path)),
    responses((status = 200, body = Explanation), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn machine(cluster: Shared, Path(id): Path<MachineId>) -> Answer<Json<Explanation>> {
    let unknown = super::machines::unknown(&id);
    let cluster = cluster.0;
    read(move || cluster.explain_machine(&id)).await?.map(Json).ok_or(unknown)
}
