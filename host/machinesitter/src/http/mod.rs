//! What the agent answers over HTTP: its tasks and what can be done with them, their logs, and how
//! the machine is doing.

mod aliases;
mod answer;
mod calls;
mod guard;
mod logs;
mod look;
mod stats;
mod tasks;

use crate::agent::Agent;
use answer::Refusal;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router, middleware};
use cerebro_api::body::{AgentHealth, ReportedEvent};
use cerebro_api::look::LOOK;
use cerebro_api::{call, paths};
pub use look::Looks;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Serves until the agent ends.
pub async fn serve(agent: Arc<Agent>, listener: TcpListener) {
    let reads = Router::new()
        .route(paths::HEALTHZ, get(health))
        .route(paths::TASKS, get(tasks::list))
        .route("/v1/tasks/{name}", get(tasks::one))
        .route("/v1/tasks/{name}/stats", get(stats::of_task))
        .route("/v1/tasks/{name}/logs", get(logs::of_task))
        .route(paths::LOGS, get(logs::list))
        .route(paths::STATS, get(stats::of_machine))
        .route(paths::EVENTS, get(events))
        .route("/stats", get(stats::of_machine))
        .route("/logs", get(logs::list))
        .route("/logfile", get(aliases::logfile));
    let changes = Router::new()
        .route(paths::TASKS, post(tasks::define))
        .route("/v1/tasks/{name}", delete(tasks::remove).put(tasks::replace))
        .route("/v1/tasks/{name}/{verb}", post(tasks::act))
        .route("/add_task", post(tasks::define))
        .route("/start_task", aliases::verb(tasks::Verb::Start))
        .route("/stop_task", aliases::verb(tasks::Verb::Stop))
        .route("/restart_task", aliases::verb(tasks::Verb::Restart))
        .route("/remove_task", get(aliases::remove).post(aliases::remove))
        .route_layer(middleware::from_fn_with_state(agent.clone(), guard::guard));
    // What is in files is not for everyone.
    let told = Router::new()
        .route(call::PLAN, post(calls::plan))
        .route(call::WHY, get(calls::why))
        .route(call::DRIFT, get(calls::drift))
        .route(LOOK, post(look::look))
        .route("/v1/instances/{instance}/calls/{deployment}", get(calls::one))
        .route("/v1/instances/{instance}/calls/{deployment}/recording", get(calls::recording))
        .route_layer(middleware::from_fn_with_state(agent.clone(), guard::guard_of_controller));
    let router = reads
        .merge(told)
        .merge(changes)
        .fallback(|| async { Refusal::new(StatusCode::NOT_FOUND, "the agent has nothing there") })
        .method_not_allowed_fallback(|| async {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "nothing is done there by that method")
        })
        .with_state(agent);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the agent's HTTP server ended");
    }
}

async fn health(State(agent): State<Arc<Agent>>) -> Json<AgentHealth> {
    let machine = agent.settings.machine.clone();
    Json(AgentHealth { machine, pid: std::process::id() })
}

/// What the agent saw, newest first.
async fn events(State(agent): State<Arc<Agent>>) -> Json<Vec<ReportedEvent>> {
    Json(agent.events.latest())
}
