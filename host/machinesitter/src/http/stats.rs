//! What tasks and the machine use.

use super::answer::{Path, Query, Refusal};
use super::tasks::{self, Known};
use crate::agent::Agent;
use crate::machine::stats;
use crate::sitters;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use cerebro_api::machine::{MachineReport, MachineTask, TaskUse};
use cerebro_tasksitter::protocol::TaskStats;
use futures::StreamExt;
use serde::Deserialize;
use std::sync::Arc;

/// Task sitters that are asked at a time.
const ASKED_AT_A_TIME: usize = 32;

/// How much is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Depth {
    /// The proportional set size too, which is slow to find out.
    #[serde(default)]
    pss: bool,
    /// Whether each task is asked.
    #[serde(default = "yes")]
    tasks: bool,
}

const fn yes() -> bool {
    true
}

/// What one task uses.
pub async fn of_task(
    State(agent): State<Arc<Agent>>,
    Path(name): Path<String>,
    Query(depth): Query<Depth>,
) -> Result<Json<TaskStats>, Refusal> {
    let dir = Known::find(&agent, &name)?.dir(&agent);
    sitters::stats(&dir, depth.pss).await.map(Json).map_err(|error| {
        let detail = format!("`{name}` does not run: its task sitter does not answer: {error}");
        Refusal::new(StatusCode::CONFLICT, detail)
    })
}

/// How the machine is doing, and what each task uses.
pub async fn of_machine(
    State(agent): State<Arc<Agent>>,
    Query(depth): Query<Depth>,
) -> Result<Json<MachineReport>, Refusal> {
    let measuring = {
        let agent = agent.clone();
        tokio::task::spawn_blocking(move || stats::report(&agent))
    };
    let mut report = measuring.await.map_err(|error| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot measure: {error}"))
    })?;
    if depth.tasks {
        let uses = tasks::all(&agent).into_iter().map(|task| of(agent.clone(), task, depth.pss));
        report.tasks = futures::stream::iter(uses).buffered(ASKED_AT_A_TIME).collect().await;
    }
    Ok(Json(report))
}

async fn of(agent: Arc<Agent>, task: MachineTask, pss: bool) -> TaskUse {
    let uses = match (task.sitter, Known::find(&agent, &task.name)) {
        (Some(_), Ok(known)) => sitters::stats(&known.dir(&agent), pss).await.ok(),
        _ => None,
    };
    TaskUse { task, uses: uses.and_then(|uses| serde_json::to_value(uses).ok()) }
}
