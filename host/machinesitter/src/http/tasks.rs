//! Tasks as resources.

use super::answer::{Body, Path, Query, Refusal};
use crate::agent::Agent;
use crate::{own, sitters, task_view};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use cerebro_api::machine::{MachineTask, TaskOwner};
use cerebro_model::{InstanceId, TaskConfiguration};
use cerebro_tasksitter::protocol::Request;
use nix::sys::signal::Signal;
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;

type Shared = State<Arc<Agent>>;

/// A task that the machine has.
pub enum Known {
    /// Of the machine's own.
    Own(String),
    /// An instance.
    Instance(InstanceId),
}

impl Known {
    /// The task of this name: one that a table knows, never a path from a request.
    pub fn find(agent: &Agent, name: &str) -> Result<Self, Refusal> {
        if agent.own.has(name) {
            return Ok(Self::Own(name.to_owned()));
        }
        let id = name.parse::<InstanceId>().ok();
        let id = id.filter(|id| agent.table.read(id, |_| ()).is_some());
        id.map(Self::Instance).ok_or_else(|| Refusal::unknown(name))
    }

    /// Its directory.
    pub fn dir(&self, agent: &Agent) -> PathBuf {
        match self {
            Self::Own(name) => agent.own.dir(name),
            Self::Instance(id) => agent.disk.task_dir(id),
        }
    }

    fn view(&self, agent: &Agent) -> Option<MachineTask> {
        match self {
            Self::Own(name) => agent.own.view(name),
            Self::Instance(id) => agent.table.read(id, instance),
        }
    }
}

fn instance(entry: &crate::table::Entry) -> MachineTask {
    let status = entry.status();
    let (phase, message) = (status.phase, status.message.clone());
    let owner = TaskOwner::Controller;
    let view = task_view::of(status.id.as_str(), owner, phase, message, entry.task.as_ref());
    MachineTask { instance: Some(status), ..view }
}

/// Every task of the machine, whoever decides whether it runs.
pub fn all(agent: &Agent) -> Vec<MachineTask> {
    let mut tasks = agent.own.views();
    tasks.extend(agent.table.map(instance));
    tasks
}

/// Every task.
pub async fn list(State(agent): Shared) -> Json<Vec<MachineTask>> {
    Json(all(&agent))
}

/// One task.
pub async fn one(
    State(agent): Shared,
    Path(name): Path<String>,
) -> Result<Json<MachineTask>, Refusal> {
    let view = Known::find(&agent, &name)?.view(&agent);
    view.map(Json).ok_or_else(|| Refusal::unknown(&name))
}

/// Whether a task is to be started as soon as it is defined.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    #[serde(default)]
    start: bool,
}

/// Defines a task.
pub async fn define(
    State(agent): Shared,
    Query(query): Query<Definition>,
    Body(task): Body<TaskConfiguration>,
) -> Result<(StatusCode, Json<MachineTask>), Refusal> {
    let name = task.name.clone();
    own::define(&agent, task)?;
    if query.start {
        own::start(&agent, &name).await?;
    }
    let view = agent.own.view(&name).ok_or_else(|| Refusal::unknown(&name))?;
    Ok((StatusCode::CREATED, Json(view)))
}

/// What becomes of a task that runs when it is defined anew.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    #[serde(default)]
    restart: bool,
}

/// Defines a task anew, or for the first time.
pub async fn replace(
    State(agent): Shared,
    Path(name): Path<String>,
    Query(query): Query<Replacement>,
    Body(task): Body<TaskConfiguration>,
) -> Result<(StatusCode, Json<MachineTask>), Refusal> {
    if task.name != name {
        let detail = format!("the definition's `name` is `{}`: expected `{name}`", task.name);
        return Err(Refusal::new(StatusCode::BAD_REQUEST, detail));
    }
    let is_new = own::replace(&agent, task).await?;
    if query.restart {
        own::restart(&agent, &name).await?;
    }
    let view = agent.own.view(&name).ok_or_else(|| Refusal::unknown(&name))?;
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(view)))
}

/// Stops and forgets a task.
pub async fn remove(State(agent): Shared, Path(name): Path<String>) -> Result<StatusCode, Refusal> {
    match Known::find(&agent, &name)? {
        Known::Own(name) => own::remove(&agent, &name).await?,
        Known::Instance(id) => return Err(controllers(&id, "remove")),
    }
    Ok(StatusCode::NO_CONTENT)
}

fn controllers(id: &InstanceId, verb: &str) -> Refusal {
    let detail = format!(
        "`{id}` is an instance of a job, which only its controller can {verb}: change the job there"
    );
    Refusal::new(StatusCode::CONFLICT, detail)
}

/// What can be done with a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    Start,
    Stop,
    Restart,
    Reload,
    Signal,
}

/// Which signal.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    signal: Option<String>,
}

/// Does something with a task.
pub async fn act(
    State(agent): Shared,
    Path((name, verb)): Path<(String, Verb)>,
    Query(which): Query<Which>,
) -> Result<Json<MachineTask>, Refusal> {
    perform(&agent, &name, verb, which.signal.as_deref()).await
}

/// The same, by whatever way it was asked for.
pub async fn perform(
    agent: &Arc<Agent>,
    name: &str,
    verb: Verb,
    which: Option<&str>,
) -> Result<Json<MachineTask>, Refusal> {
    let task = Known::find(agent, name)?;
    match (&task, verb) {
        (Known::Own(name), Verb::Start) => own::start(agent, name).await?,
        (Known::Own(name), Verb::Stop) => own::stop(agent, name).await?,
        (Known::Instance(id), Verb::Start) => return Err(controllers(id, "start")),
        (Known::Instance(id), Verb::Stop) => return Err(controllers(id, "stop")),
        (Known::Own(name), Verb::Restart) => own::restart(agent, name).await?,
        (Known::Instance(_), Verb::Restart) => ask(agent, &task, name, Request::Restart).await?,
        (_, Verb::Reload) => ask(agent, &task, name, Request::Reload).await?,
        (_, Verb::Signal) => {
            let signal = signal(which)?;
            ask(agent, &task, name, Request::Signal(signal as i32)).await?;
        }
    }
    task.view(agent).map(Json).ok_or_else(|| Refusal::unknown(name))
}

async fn ask(
    agent: &Arc<Agent>,
    task: &Known,
    name: &str,
    request: Request,
) -> Result<(), Refusal> {
    sitters::ask(&task.dir(agent), request).await.map_err(|error| {
        let detail = format!("`{name}` does not run: its task sitter does not answer: {error}");
        Refusal::new(StatusCode::CONFLICT, detail)
    })
}

/// By name, with or without `SIG`, or by number.
fn signal(which: Option<&str>) -> Result<Signal, Refusal> {
    let by_number = |text: &str| Signal::try_from(text.parse::<i32>().ok()?).ok();
    let by_name = |text: &str| {
        let name = text.to_ascii_uppercase();
        let name = name.strip_prefix("SIG").unwrap_or(&name);
        format!("SIG{name}").parse::<Signal>().ok()
    };
    let found = which.and_then(|text| by_number(text).or_else(|| by_name(text)));
    found.ok_or_else(|| {
        let given = which.unwrap_or_default();
        let detail = format!("`{given}` is no signal: expected `?signal=`, such as `HUP` or `1`");
        Refusal::new(StatusCode::BAD_REQUEST, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for text in ["HUP", "hup", "SIGHUP", "1"] {
            assert_eq!(signal(Some(text)).unwrap(), Signal::SIGHUP);
        }
        for bad in [None, Some(""), Some("0"), Some("999"), Some("NOPE")] {
            assert!(signal(bad).is_err(), "{bad:?}");
        }
    }
}
