//! Agents that keep the contract, and do nothing.

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use cerebro_api::body::{Heartbeat, Report};
use cerebro_api::call::{self, CallReport, CallState, EffectReport, Provenance};
use cerebro_api::{Client, PROBLEM_JSON, Problem};
use cerebro_clustersitter::clock::{Clock, WallClock};
use cerebro_model::{
    Action, Assignment, DeploymentId, Effect, InstanceId, InstanceStatus, Kept, Life, MachineId,
    MachineStats, Phase, Plan, PlanEnd, PlanLine, Sureness,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What all agents do.
#[derive(Default)]
pub struct Ways {
    /// The version that never becomes healthy.
    pub bad: Mutex<String>,
    /// A machine whose agent shuts the door on whoever asks it.
    pub rude: Mutex<Option<MachineId>>,
    /// Whether agents neither look at what should run nor tell what does.
    pub deaf: AtomicBool,
    /// Which deployments agents were told of, each with whether it is held to a plan.
    pub told: Mutex<BTreeSet<(DeploymentId, bool)>>,
    /// What ran where, and whether it was taken back.
    calls: Mutex<BTreeMap<(InstanceId, DeploymentId), CallState>>,
}

pub struct Agent {
    pub id: MachineId,
    pub token: String,
    pub ways: Arc<Ways>,
}

impl Agent {
    /// One look at what should run: it does at once, or fails.
    pub async fn turn(&self, client: &Client) {
        let beat = Heartbeat { token: self.token.clone(), pid: 7, stats: MachineStats::default() };
        let _ = client.heartbeat(&self.id, &beat).await;
        if self.ways.deaf.load(Relaxed) {
            return;
        }
        let desired = client.desired(&self.id, &self.token, None, Duration::ZERO).await;
        let Ok(desired) = desired else { return };
        let instances = desired.assignments.iter().map(|told| self.run(told)).collect();
        let report = Report { token: self.token.clone(), instances, events: Vec::new() };
        let _ = client.report(&self.id, &report).await;
    }

    fn run(&self, Assignment { instance, deployment, .. }: &Assignment) -> InstanceStatus {
        let is_held = deployment.held_to.is_some();
        self.ways.told.lock().unwrap().insert((deployment.id.clone(), is_held));
        let is_bad = deployment.version.as_str() == *self.ways.bad.lock().unwrap();
        let mut calls = self.ways.calls.lock().unwrap();
        if let Some(undone) = &deployment.rolls_back {
            let before = calls.get_mut(&(instance.id.clone(), undone.clone()));
            if let Some(state) = before {
                *state = CallState::RolledBack;
            }
        }
        let state = if is_bad { CallState::Failed } else { CallState::Succeeded };
        calls.insert((instance.id.clone(), deployment.id.clone()), state);
        InstanceStatus {
            id: instance.id.clone(),
            placement: instance.placement,
            deployment: Some(deployment.id.clone()),
            phase: if is_bad { Phase::Failed } else { Phase::Healthy },
            pid: Some(8),
            restarts: 0,
            message: if is_bad { "code 7: no database".to_owned() } else { String::new() },
            since: WallClock.now(),
            life: Life::default(),
        }
    }

    /// A refusal, if the token is not this machine's, or if it has been told to be rude.
    fn guard(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let expected = format!("Bearer {}", self.token);
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if shown != Some(&expected) {
            return Err(Refusal(401, "not the token of this machine"));
        }
        match self.ways.rude.lock().unwrap().as_ref() == Some(&self.id) {
            true => Err(Refusal(500, "the agent is upside down")),
            false => Ok(()),
        }
    }
}

pub fn contract(agent: Arc<Agent>) -> Router {
    Router::new()
        .route(call::PLAN, post(plan))
        .route(call::WHY, get(why))
        .route(call::DRIFT, get(drift))
        .route("/v1/instances/{instance}/calls/{deployment}", get(calls))
        .route("/v1/instances/{instance}/calls/{deployment}/recording", get(recording))
        .with_state(agent)
}

type Answer = Result<Response, Refusal>;

struct Refusal(u16, &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&Problem::new(self.0, self.1)).unwrap();
        let status = StatusCode::from_u16(self.0).unwrap();
        (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], body).into_response()
    }
}

fn write(path: &str) -> Effect {
    Effect::of(Action::Write { path: path.to_owned(), secrets: Vec::new() })
}

/// The same on every machine, but for the first instance.
async fn plan(
    State(agent): State<Arc<Agent>>,
    headers: HeaderMap,
    Json(Assignment { instance, deployment, .. }): Json<Assignment>,
) -> Answer {
    agent.guard(&headers)?;
    let line = |path: String, sure| PlanLine {
        call: 1,
        sure,
        effect: write(&path),
        over_unknown: false,
        diff: None,
        notes: Vec::new(),
    };
    let mut lines = vec![line(format!("/opt/{}", deployment.version), Sureness::Certain)];
    if instance.number == 0 {
        lines.push(line("/opt/first".to_owned(), Sureness::Bounded));
    }
    let component = deployment.recipe.to_string();
    Ok(Json(Plan { component, lines, end: PlanEnd::Whole }).into_response())
}

async fn calls(
    State(agent): State<Arc<Agent>>,
    headers: HeaderMap,
    Path((instance, deployment)): Path<(InstanceId, DeploymentId)>,
) -> Answer {
    agent.guard(&headers)?;
    let key = (instance.clone(), deployment.clone());
    let state = agent.ways.calls.lock().unwrap().get(&key).copied();
    let Some(state) = state else { return Err(Refusal(404, "it never ran here")) };
    let undone = state == CallState::RolledBack;
    let effect = |n, effect, undone, kept| EffectReport {
        n,
        call: n,
        at: WallClock.now(),
        took: Some(1200),
        error: None,
        effect,
        site: Vec::new(),
        diff: None,
        undone,
        kept,
    };
    let run = Action::Run {
        argv: vec!["migrate".to_owned()],
        user: None,
        undo: None,
        irreversible: false,
        contained: false,
    };
    let effects = vec![
        effect(1, write("/etc/app.conf"), undone, None),
        effect(2, Effect::of(run), false, undone.then_some(Kept::Opaque)),
    ];
    let error = (state != CallState::Succeeded).then(|| "no database".to_owned());
    let component = "c".repeat(64);
    let report = CallReport {
        instance,
        deployment,
        attempt: 1,
        component,
        at: WallClock.now(),
        state,
        error,
        torn: None,
        effects,
    };
    Ok(Json(report).into_response())
}

async fn recording(State(agent): State<Arc<Agent>>, headers: HeaderMap) -> Answer {
    agent.guard(&headers)?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], vec![0u8, 1, 2, 255]).into_response())
}

fn provenance(path: &str) -> Provenance {
    Provenance {
        path: path.to_owned(),
        instance: "0.z-1.a.b".parse().unwrap(),
        deployment: DeploymentId::nth(1),
        component: "c".repeat(64),
        call: 3,
        at: WallClock.now(),
        effect: write(path),
        drift: Some("the mode is 0777, and was left 0644".to_owned()),
    }
}

async fn why(
    State(agent): State<Arc<Agent>>,
    headers: HeaderMap,
    Query(query): Query<BTreeMap<String, String>>,
) -> Answer {
    agent.guard(&headers)?;
    match query["path"].as_str() {
        "/etc/a b&c" => Ok(Json(provenance("/etc/a b&c")).into_response()),
        _ => Err(Refusal(404, "Cerebro never wrote that path")),
    }
}

async fn drift(State(agent): State<Arc<Agent>>, headers: HeaderMap) -> Answer {
    agent.guard(&headers)?;
    Ok(Json(vec![provenance("/etc/app.conf")]).into_response())
}
