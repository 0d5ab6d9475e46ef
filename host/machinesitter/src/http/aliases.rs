//! The original's endpoints, beside the resources that they are of.

use super::answer::{Query, Refusal};
use super::{logs, tasks};
use crate::agent::Agent;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use cerebro_api::machine::MachineTask;
use serde::Deserialize;
use std::sync::Arc;

/// Which task.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    task_name: String,
}

/// `/VERB_task?task_name=`, by either method, as the original took it.
pub fn verb(verb: tasks::Verb) -> MethodRouter<Arc<Agent>> {
    let perform = move |State(agent): State<Arc<Agent>>, Query(which): Query<Which>| async move {
        perform(agent, which, verb).await
    };
    get(perform).post(perform)
}

async fn perform(
    agent: Arc<Agent>,
    which: Which,
    verb: tasks::Verb,
) -> Result<Json<MachineTask>, Refusal> {
    tasks::perform(&agent, &which.task_name, verb, None).await
}

/// `/remove_task?task_name=`
pub async fn remove(
    state: State<Arc<Agent>>,
    Query(which): Query<Which>,
) -> Result<StatusCode, Refusal> {
    tasks::remove(state, super::answer::Path(which.task_name)).await
}

/// Which part of which log file of which task.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogFile {
    task_name: String,
    name: Option<String>,
    head: Option<usize>,
    tail: Option<usize>,
    #[serde(default)]
    follow: bool,
}

/// `/logfile?task_name=&name=&head=&tail=`
pub async fn logfile(
    State(agent): State<Arc<Agent>>,
    Query(file): Query<LogFile>,
) -> Result<Response, Refusal> {
    let part = logs::Part::of(file.name, file.head, file.tail, file.follow);
    logs::show(&agent, &file.task_name, part).await
}
