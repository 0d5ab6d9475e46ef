//! What recipes did here, and what they would do: for whoever shows the machine's token.

use super::answer::{Body, Path, Query, Refusal};
use crate::agent::Agent;
use crate::calls::{Calls, Kept};
use crate::disk::chain;
use crate::recipes;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use cerebro_api::call::{CallReport, CallState, EffectReport, Provenance};
use cerebro_model::{Action, Assignment, DeploymentId, InstanceId, Plan, Timestamp};
use cerebro_recipe_engine::{Drift, End, Entry, Journal, Record};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What an assignment's recipe would do now.
pub async fn plan(
    State(agent): State<Arc<Agent>>,
    Body(assignment): Body<Assignment>,
) -> Result<Json<Plan>, Refusal> {
    let planned = recipes::plan(&agent, &assignment).await;
    planned.map(Json).map_err(|error| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, chain(&error)))
}

/// What the recipe of a deployment did for an instance, when it ran last.
pub async fn one(
    State(agent): State<Arc<Agent>>,
    Path((instance, deployment)): Path<(InstanceId, DeploymentId)>,
) -> Result<Json<CallReport>, Refusal> {
    let call = match find(&agent, &instance, &deployment) {
        Err(unknown) => {
            return nothing_done(&agent, instance, deployment).map(Json).ok_or(unknown);
        }
        Ok(call) => call,
    };
    let report = tokio::task::spawn_blocking(move || report(instance, call));
    let report = report.await.map_err(|error| broken(&error))?;
    report.map(Json)
}

/// Its recording.
pub async fn recording(
    State(agent): State<Arc<Agent>>,
    Path((instance, deployment)): Path<(InstanceId, DeploymentId)>,
) -> Result<impl IntoResponse, Refusal> {
    let call = find(&agent, &instance, &deployment)?;
    let bytes = tokio::fs::read(call.directory.join("recording")).await;
    let bytes = bytes.map_err(|error| {
        let why = format!("there is no recording of {deployment} for {instance}: {error}");
        Refusal::new(StatusCode::NOT_FOUND, why)
    })?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes))
}

/// Which path.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    path: String,
}

/// Who wrote a path last.
pub async fn why(
    State(agent): State<Arc<Agent>>,
    Query(asked): Query<Asked>,
) -> Result<Json<Provenance>, Refusal> {
    let missing = format!("no deployment that is still known wrote `{}`", asked.path);
    let found = written(agent, move |path| path == asked.path).await?;
    let last = found.into_iter().next();
    last.map(Json).ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, missing))
}

/// What differs from what was left.
pub async fn drift(State(agent): State<Arc<Agent>>) -> Result<Json<Vec<Provenance>>, Refusal> {
    let mut found = written(agent, |_| true).await?;
    found.retain(|path| path.drift.is_some());
    Ok(Json(found))
}

fn broken(error: &dyn std::error::Error) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, chain(error))
}

fn find(agent: &Agent, instance: &InstanceId, deployment: &DeploymentId) -> Result<Kept, Refusal> {
    let calls = Calls::of(agent, instance).all().into_iter().rev();
    calls.into_iter().find(|call| call.deployment == *deployment).ok_or_else(|| {
        let why = format!(
            "this machine knows nothing of what {deployment} did for {instance}: its recipe did \
             not run here, or that was forgotten"
        );
        Refusal::new(StatusCode::NOT_FOUND, why)
    })
}

/// A call that went well and changed nothing has left nothing but that.
fn nothing_done(
    agent: &Agent,
    instance: InstanceId,
    deployment: DeploymentId,
) -> Option<CallReport> {
    let went_well = |entry: &crate::table::Entry| {
        let last = entry.record.deployed.as_ref()?;
        let is_it = last.deployment == deployment && last.failures.is_none();
        let assigned = &entry.record.assignment.deployment;
        is_it.then(|| (assigned.recipe.to_string(), assigned.created_at))
    };
    let (component, at) = agent.table.read(&instance, went_well).flatten()?;
    let (state, error, torn, effects) = (CallState::Succeeded, None, None, Vec::new());
    Some(CallReport {
        instance,
        deployment,
        attempt: 1,
        component,
        at,
        state,
        error,
        torn,
        effects,
    })
}

fn at(microseconds: i64) -> Timestamp {
    Timestamp::from_millis(microseconds / 1000)
}

fn report(instance: InstanceId, call: Kept) -> Result<CallReport, Refusal> {
    let journal = Journal::open(&call.directory).map_err(|error| broken(&error))?;
    let Kept { deployment, attempt, directory } = call;
    let journal = journal.unwrap_or(Journal { records: Vec::new(), end: End::Whole });
    let recording = cerebro_recipe_engine::Recording::open(&directory).ok().flatten();
    let ended = journal.records.iter().find_map(|record| match record {
        Record::End { error, .. } => Some(error.clone()),
        _ => None,
    });
    // A call without an effect has no journal.
    let ended = ended.or_else(|| {
        let recording = recording.as_ref().filter(|recording| recording.is_whole())?;
        Some(recording.failure().map(str::to_owned))
    });
    let state = match &ended {
        _ if journal.is_rolled_back() => CallState::RolledBack,
        None => CallState::Open,
        Some(None) => CallState::Succeeded,
        Some(Some(_)) => CallState::Failed,
    };
    let begin = journal.begin();
    let component = begin.map(|begin| begin.component.clone());
    let component = component.or_else(|| Some(recording.as_ref()?.inputs.component.clone()));
    let since = begin.map(|begin| begin.at).or_else(|| Some(recording.as_ref()?.inputs.at));
    let torn = match &journal.end {
        End::Torn { why, .. } => Some(why.clone()),
        End::Whole => None,
    };
    let effects = journal.effects().into_iter();
    Ok(CallReport {
        instance,
        deployment,
        attempt,
        component: component.unwrap_or_default(),
        at: at(since.unwrap_or_default()),
        state,
        error: ended.flatten(),
        torn,
        effects: effects.map(|entry| effect(&entry)).collect(),
    })
}

fn effect(entry: &Entry<'_>) -> EffectReport {
    let (took, error) = match entry.done {
        Some(Record::Done { took, error, .. }) => (Some(*took), error.clone()),
        _ => (None, None),
    };
    let (undone, kept) = match entry.undone {
        Some(Record::Undone { kept, .. }) => (kept.is_none(), kept.clone()),
        _ => (false, None),
    };
    EffectReport {
        n: entry.n,
        call: entry.call,
        at: at(entry.at),
        took,
        error,
        effect: entry.effect.clone().told(),
        diff: entry.moment.diff.clone(),
        undone,
        kept,
    }
}

/// The last effect on each path that `is_asked` for, with how the path differs from it now.
async fn written(
    agent: Arc<Agent>,
    is_asked: impl Fn(&str) -> bool + Send + 'static,
) -> Result<Vec<Provenance>, Refusal> {
    let look = move || {
        let drift = Drift::new(&agent.settings.root);
        let mut last: BTreeMap<String, (i64, Provenance)> = BTreeMap::new();
        for instance in agent.table.map(|entry| entry.record.id().clone()) {
            for call in Calls::of(&agent, &instance).all() {
                let Ok(Some(journal)) = Journal::open(&call.directory) else { continue };
                let component = journal.begin().map(|begin| begin.component.clone());
                for entry in journal.effects() {
                    let is_undone = matches!(entry.undone, Some(Record::Undone { kept: None, .. }));
                    let path = match &entry.effect.action {
                        Action::Rename { to, .. } => Some(to.as_str()),
                        action => action.path(),
                    };
                    let Some(path) = path.filter(|path| is_asked(path) && !is_undone) else {
                        continue;
                    };
                    if last.get(path).is_some_and(|(at, _)| *at > entry.at) {
                        continue;
                    }
                    let drift = drift.of(&journal, &call.directory, &entry);
                    let provenance = Provenance {
                        path: path.to_owned(),
                        instance: instance.clone(),
                        deployment: call.deployment.clone(),
                        component: component.clone().unwrap_or_default(),
                        call: entry.call,
                        at: at(entry.at),
                        effect: entry.effect.clone().told(),
                        drift: drift.unwrap_or_else(|error| Some(error.to_string())),
                    };
                    last.insert(path.to_owned(), (entry.at, provenance));
                }
            }
        }
        last.into_values().map(|(_, provenance)| provenance).collect()
    };
    tokio::task::spawn_blocking(look).await.map_err(|error| broken(&error))
}
