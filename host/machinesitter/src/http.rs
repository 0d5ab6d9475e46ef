//! What the agent answers: whether it is there, how its tasks are, and their logs.

use crate::agent::Agent;
use crate::logs::Reader;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use cerebro_api::body::AgentHealth;
use cerebro_api::{PROBLEM_JSON, Problem, paths};
use cerebro_model::{InstanceId, InstanceStatus};
use serde::Deserialize;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Lines that are shown unless the request says how many.
const TAIL: usize = 100;

/// Serves until the agent ends.
pub async fn serve(agent: Arc<Agent>, listener: TcpListener) {
    let router = Router::new()
        .route(paths::HEALTHZ, get(health))
        .route(paths::TASKS, get(tasks))
        .route("/v1/tasks/{id}/logs", get(logs))
        .fallback(|| async { refuse(404, "the agent has nothing there") })
        .with_state(agent);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the agent's HTTP server ended");
    }
}

async fn health(State(agent): State<Arc<Agent>>) -> Json<AgentHealth> {
    let machine = agent.settings.machine.clone();
    Json(AgentHealth { machine, pid: std::process::id() })
}

async fn tasks(State(agent): State<Arc<Agent>>) -> Json<Vec<InstanceStatus>> {
    Json(agent.table.statuses())
}

/// Which part of which log.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    stream: Option<Stream>,
    tail: Option<usize>,
    follow: Option<bool>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stream {
    #[default]
    Stdout,
    Stderr,
    Recipe,
}

impl Stream {
    /// Below the task's directory.
    fn file(self) -> &'static str {
        match self {
            Self::Stdout => "logs/stdout.log",
            Self::Stderr => "logs/stderr.log",
            Self::Recipe => "recipe.log",
        }
    }
}

async fn logs(
    State(agent): State<Arc<Agent>>,
    Path(id): Path<String>,
    part: Result<Query<Part>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let Query(part) = match part {
        Ok(part) => part,
        Err(error) => return refuse(400, &error.body_text()),
    };
    // A name that the table knows, never a path from the request.
    let known = id.parse::<InstanceId>().ok();
    let Some(id) = known.filter(|id| agent.table.read(id, |_| ()).is_some()) else {
        return refuse(404, &format!("this machine has no task `{id}`"));
    };
    let path = agent.disk.task_dir(&id).join(part.stream.unwrap_or_default().file());
    let reader = Reader::from_tail(path, part.tail.unwrap_or(TAIL)).await;
    let follow = part.follow.unwrap_or(false);
    let pieces = futures::stream::unfold(reader, move |mut reader| async move {
        let piece = reader.next(follow).await?;
        Some((Ok::<_, Infallible>(piece), reader))
    });
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (kind, Body::from_stream(pieces)).into_response()
}

fn refuse(status: u16, detail: &str) -> Response {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = [(header::CONTENT_TYPE, PROBLEM_JSON)];
    (code, kind, Json(Problem::new(status, detail))).into_response()
}
