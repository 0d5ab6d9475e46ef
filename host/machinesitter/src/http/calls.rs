//! What recipes did here, and what they would do: for whoever shows the machine's token.

use super::answer::{Body, Path as Part, Query, Refusal};
use crate::agent::Agent;
use crate::calls::{Calls, Kept};
use crate::disk::chain;
use crate::recipes;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use cerebro_api::call::{CallReport, CallState, EffectReport, Provenance, Wanted};
use cerebro_model::{Action, Assignment, DeploymentId, InstanceId, Plan, Timestamp};
use cerebro_recipe_engine::{Drift, End, Entry, Journal, Record};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
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
    Part((instance, deployment)): Part<(InstanceId, DeploymentId)>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<CallReport>, Refusal> {
    let call = match find(&agent, &instance, &deployment) {
        Err(unknown) => {
            return nothing_done(&agent, instance, deployment).map(Json).ok_or(unknown);
        }
        Ok(call) => call,
    };
    let directory = call.directory.clone();
    let report = tokio::task::spawn_blocking(move || report(instance, call));
    let mut report = report.await.map_err(|error| broken(&error))??;
    if wanted.sites {
        let calls: BTreeSet<u32> = report.effects.iter().map(|effect| effect.call).collect();
        let sites = recipes::call_sites(&agent, directory, calls).await.map_err(|error| {
            let why = format!("from where the component made its calls: {}", chain(&error));
            Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, why)
        })?;
        for effect in &mut report.effects {
            effect.site = sites.get(&effect.call).cloned().unwrap_or_default();
        }
    }
    Ok(Json(report))
}

/// Its recording.
pub async fn recording(
    State(agent): State<Arc<Agent>>,
    Part((instance, deployment)): Part<(InstanceId, DeploymentId)>,
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
    // As it was asked for, and else by the way that the links before it lead, or it too.
    let root = agent.settings.root.clone();
    let whole = root.join(asked.path.trim_start_matches('/'));
    let above = whole.parent().and_then(|above| above.canonicalize().ok());
    let above = above.zip(whole.file_name()).map(|(above, name)| above.join(name));
    let real = [above, whole.canonicalize().ok()].into_iter().flatten();
    let real = real.filter_map(|real| Some(real.strip_prefix(&root).ok()?.to_owned()));
    let real = real.map(|real| format!("/{}", real.display()));
    for path in [asked.path].into_iter().chain(real) {
        let found = written(agent.clone(), move |action| decides(action, &path)).await?;
        // Of a directory and what is in it, what came last decided.
        if let Some(last) = found.into_iter().max_by_key(|found| found.at) {
            return Ok(Json(last));
        }
    }
    Err(Refusal::new(StatusCode::NOT_FOUND, missing))
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
        site: Vec::new(),
        diff: entry.moment.diff.clone(),
        undone,
        kept,
    }
}

/// The last effect on each path that `is_asked` for, with how the path differs from it now.
async fn written(
    agent: Arc<Agent>,
    is_asked: impl Fn(&Action) -> bool + Send + 'static,
) -> Result<Vec<Provenance>, Refusal> {
    let look = move || {
        let mut calls = Vec::new();
        for instance in agent.table.map(|entry| entry.record.id().clone()) {
            for call in Calls::of(&agent, &instance).all() {
                if let Ok(Some(journal)) = Journal::open(&call.directory) {
                    calls.push((instance.clone(), call, journal));
                }
            }
        }
        let mut last: BTreeMap<&str, (&InstanceId, &Kept, &Journal, Entry<'_>)> = BTreeMap::new();
        // What our effects changed, and when.
        let mut ours: Vec<(i64, &str)> = Vec::new();
        for (instance, call, journal) in &calls {
            for entry in journal.effects() {
                let is_undone = matches!(entry.undone, Some(Record::Undone { kept: None, .. }));
                let Some(path) = leaves(&entry.effect.action).filter(|_| !is_undone) else {
                    continue;
                };
                let from = entry.effect.action.path().into_iter();
                ours.extend(from.chain([path]).map(|path| (entry.at, path)));
                let is_later = last.get(path).is_none_or(|(.., before)| before.at <= entry.at);
                if is_later && is_asked(&entry.effect.action) {
                    last.insert(path, (instance, call, journal, entry));
                }
            }
        }
        // Only what came last is looked at: what it replaced is no longer there.
        let drift = Drift::new(&agent.settings.root);
        let told = last.into_iter().map(|(path, (instance, call, journal, entry))| {
            // A directory is another once something in it is.
            let is_ours = |changed: &str| {
                let is_later = |(at, by): &(i64, &str)| {
                    *at >= entry.at && *by != path && Path::new(by).starts_with(changed)
                };
                ours.iter().any(is_later)
            };
            let differs = drift.of(journal, &call.directory, &entry, is_ours);
            Provenance {
                path: path.to_owned(),
                instance: instance.clone(),
                deployment: call.deployment.clone(),
                component: journal.begin().map(|begin| begin.component.clone()).unwrap_or_default(),
                call: entry.call,
                at: at(entry.at),
                effect: entry.effect.clone().told(),
                drift: differs.unwrap_or_else(|error| Some(error.to_string())),
            }
        });
        told.collect()
    };
    tokio::task::spawn_blocking(look).await.map_err(|error| broken(&error))
}

/// The path at which something is once this was done.
fn leaves(action: &Action) -> Option<&str> {
    match action {
        Action::Rename { to, .. } => Some(to),
        action => action.path(),
    }
}

/// Whether this decided what is at `path`: it wrote there, or put there or took away what that is in.
fn decides(action: &Action, path: &str) -> bool {
    let is_in = |above: &str| Path::new(path).starts_with(above);
    match action {
        Action::Unpack { path, .. } | Action::Remove { path } => is_in(path),
        Action::Rename { path: from, to } => is_in(to) || is_in(from),
        action => action.path() == Some(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decided_what_is_at_a_path_wrote_there_or_moved_what_that_is_in() {
        let text = |text: &str| text.to_owned();
        let unpack = Action::Unpack { path: text("/opt/a"), artifact: text("0") };
        assert!(decides(&unpack, "/opt/a") && decides(&unpack, "/opt/a/lib/b"));
        assert!(!decides(&unpack, "/opt/ab") && !decides(&unpack, "/opt"));
        let rename = Action::Rename { path: text("/srv/a"), to: text("/srv/b") };
        assert!(decides(&rename, "/srv/b/c") && decides(&rename, "/srv/a/c"));
        let directory = Action::Directory { path: text("/opt/a") };
        assert!(decides(&directory, "/opt/a") && !decides(&directory, "/opt/a/lib"));
    }
}
