//! A controller over a real socket, and agents that keep the contract without doing anything.

use async_trait::async_trait;
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use cerebro_api::body::{DeployRequest, Heartbeat, JoinRequest, Report};
use cerebro_api::call::{self, CallReport, CallState, EffectReport, Provenance};
use cerebro_api::{Client, PROBLEM_JSON, Problem};
use cerebro_clustersitter::cluster::{Cluster, now};
use cerebro_clustersitter::executor::Executor;
use cerebro_clustersitter::http;
use cerebro_machines::{CreateMachine, MachineProvider, Presence, ProviderError};
use cerebro_model::{
    Action, Assignment, Capacity, Cores, Deployment, DeploymentId, Effect, InstanceId,
    InstanceStatus, Job, Kept, MachineId, MachineStats, Megabytes, Phase, Plan, PlanEnd, PlanLine,
    Sureness,
};
use cerebro_planner::cluster::{Policy, ZonePolicy};
use cerebro_store::{Blobs, SqliteStore};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Remembers what it was asked to create, and creates nothing.
#[derive(Default)]
struct Machines(Mutex<BTreeMap<MachineId, String>>);

#[async_trait]
impl MachineProvider for Machines {
    fn name(&self) -> &str {
        "recorder"
    }
    async fn create(&self, machine: &CreateMachine) -> Result<(), ProviderError> {
        self.0.lock().unwrap().insert(machine.id.clone(), machine.join_token.clone());
        Ok(())
    }
    async fn describe(&self, _: &MachineId) -> Result<Presence, ProviderError> {
        Ok(Presence::Running)
    }
    async fn list(&self) -> Result<Vec<MachineId>, ProviderError> {
        Ok(Vec::new())
    }
    async fn destroy(&self, _: &MachineId) -> Result<(), ProviderError> {
        Ok(())
    }
}

/// What all agents do.
#[derive(Default)]
pub struct Ways {
    /// The version that never becomes healthy.
    pub bad: Mutex<String>,
    /// A machine whose agent shuts the door on whoever asks it.
    pub rude: Mutex<Option<MachineId>>,
    /// Whether agents neither look at what should run nor tell what does.
    pub deaf: AtomicBool,
    /// What ran where, and whether it was taken back.
    calls: Mutex<BTreeMap<(InstanceId, DeploymentId), CallState>>,
}

struct Agent {
    id: MachineId,
    token: String,
    ways: Arc<Ways>,
}

/// A controller with `machines` agents in one zone that may have one machine more.
pub struct Fleet {
    pub client: Client,
    pub ways: Arc<Ways>,
    machines: Arc<Machines>,
    /// Ends what it runs when it is dropped.
    running: JoinSet<()>,
}

impl Fleet {
    pub async fn start(data: &Path, machines: u32) -> Self {
        let store = Arc::new(SqliteStore::open(data).unwrap());
        let blobs = Blobs::open(&data.join("blobs")).unwrap();
        let provider = Arc::new(Machines::default());
        let zone = ("z-1".parse().unwrap(), ZonePolicy { min: machines, max: machines + 1 });
        let policy = Policy {
            zones: BTreeMap::from([zone]),
            machine_capacity: Capacity { cpu: Cores::from_millis(2000), mem: Megabytes::new(1000) },
            started_at: now(),
            suspect_after: Duration::from_secs(30),
            join_within: Duration::from_secs(60),
            breaker_percent: 30,
        };
        let cluster = Arc::new(Cluster::open(store, blobs, provider.clone(), policy).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let mut running = JoinSet::new();
        let executor = Executor::new(cluster.clone(), base.clone());
        running.spawn(async move { drop(executor.run().await) });
        running.spawn(async move { drop(axum::serve(listener, http::router(cluster)).await) });
        let client = Client::new(base).unwrap();
        let mut fleet = Self { client, ways: Arc::default(), machines: provider, running };
        let made = || async {
            let made = fleet.machines.0.lock().unwrap().clone();
            (made.len() == machines as usize).then_some(made)
        };
        for (id, token) in until("machines are made", made).await {
            fleet.join(id, token).await;
        }
        fleet.client.put_recipe(&"r".parse().unwrap(), recipe()).await.unwrap();
        fleet
    }

    async fn join(&mut self, id: MachineId, token: String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let request = JoinRequest {
            token: token.clone(),
            address: "127.0.0.1".parse().unwrap(),
            port: listener.local_addr().unwrap().port(),
            pid: 7,
            version: "0".to_owned(),
        };
        self.client.join(&id, &request).await.unwrap();
        let agent = Arc::new(Agent { id, token, ways: self.ways.clone() });
        let served = contract(agent.clone());
        self.running.spawn(async move { drop(axum::serve(listener, served).await) });
        let client = self.client.clone();
        self.running.spawn(async move {
            loop {
                agent.turn(&client).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }

    pub async fn define(&self, job: &Job) {
        let before = self.client.job(&job.dns_basename).await.ok();
        self.client.put_job(job, before.map(|view| view.record.revision)).await.unwrap();
    }

    pub async fn deploy(&self, version: &str) -> Deployment {
        self.client.deploy(&"a.b".parse().unwrap(), &request(version)).await.unwrap()
    }

    pub async fn ended(&self, id: &DeploymentId) -> Deployment {
        until("it ends", || async {
            self.client.deployment(id).await.ok().filter(|now| !now.state.is_running())
        })
        .await
    }

    pub async fn succeed(&self, version: &str) -> Deployment {
        let deployment = self.deploy(version).await;
        let ended = self.ended(&deployment.id).await;
        assert_eq!(ended.state.word(), "succeeded", "{:?}", ended.state);
        ended
    }
}

impl Agent {
    /// One look at what should run: it does at once, or fails.
    async fn turn(&self, client: &Client) {
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
        let is_bad = deployment.version.as_str() == *self.ways.bad.lock().unwrap();
        let mut calls = self.ways.calls.lock().unwrap();
        if let Some(undone) = &deployment.rolls_back {
            let before = calls.get_mut(&(instance.id.clone(), undone.clone()));
            before.map(|state| *state = CallState::RolledBack);
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
            since: now(),
        }
    }

    /// A refusal, if the token is not this machine's, or if it has been told to be rude.
    fn guard(&self, headers: &HeaderMap) -> Result<(), Response> {
        let expected = format!("Bearer {}", self.token);
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if shown != Some(&expected) {
            return Err(problem(401, "not the token of this machine"));
        }
        match self.ways.rude.lock().unwrap().as_ref() == Some(&self.id) {
            true => Err(problem(500, "the agent is upside down")),
            false => Ok(()),
        }
    }
}

fn contract(agent: Arc<Agent>) -> Router {
    Router::new()
        .route(call::PLAN, post(plan))
        .route(call::WHY, get(why))
        .route(call::DRIFT, get(drift))
        .route("/v1/instances/{instance}/calls/{deployment}", get(calls))
        .route("/v1/instances/{instance}/calls/{deployment}/recording", get(recording))
        .with_state(agent)
}

type Answer = Result<Response, Response>;

fn problem(status: u16, detail: &str) -> Response {
    let body = serde_json::to_vec(&Problem::new(status, detail)).unwrap();
    let status = StatusCode::from_u16(status).unwrap();
    (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], body).into_response()
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
    UrlPath((instance, deployment)): UrlPath<(InstanceId, DeploymentId)>,
) -> Answer {
    agent.guard(&headers)?;
    let key = (instance.clone(), deployment.clone());
    let state = agent.ways.calls.lock().unwrap().get(&key).copied();
    let Some(state) = state else { return Err(problem(404, "it never ran here")) };
    let undone = state == CallState::RolledBack;
    let effect = |n, effect, undone, kept| EffectReport {
        n,
        call: n,
        at: now(),
        took: Some(1200),
        error: None,
        effect,
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
        at: now(),
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
        at: now(),
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
        _ => Err(problem(404, "Cerebro never wrote that path")),
    }
}

async fn drift(State(agent): State<Arc<Agent>>, headers: HeaderMap) -> Answer {
    agent.guard(&headers)?;
    Ok(Json(vec![provenance("/etc/app.conf")]).into_response())
}

pub fn request(version: &str) -> DeployRequest {
    DeployRequest { version: version.parse().unwrap(), options: Default::default() }
}

/// A job with as many instances, of which one machine takes two.
pub fn job(count: u32) -> Job {
    serde_json::from_value(serde_json::json!({
        "dns_basename": "a.b",
        "deployment_recipe": "r",
        "deployment_layout": { "z-1": { "mem": 1, "count": count } },
        "task_configuration": { "name": "t", "command": "true", "cpu": 1, "mem": 100 },
    }))
    .unwrap()
}

fn recipe() -> Vec<u8> {
    let text = r#"(component
        (core module $m
            (memory (export "memory") 1)
            (func (export "f") (result i32) i32.const 0)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable))
        (core instance $i (instantiate $m))
        (func $f (result (result (error string))) (canon lift (core func $i "f")
            (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
        (export "deploy" (func $f)) (export "undeploy" (func $f)))"#;
    wat::parse_str(text).unwrap()
}

pub async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> T {
    let patience = async {
        loop {
            if let Some(found) = condition().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), patience)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"))
}
