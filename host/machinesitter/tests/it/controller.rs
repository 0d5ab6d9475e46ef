//! A controller as far as an agent can see.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use cerebro_api::body::{Report, ReportedEvent, Term};
use cerebro_model::{
    Assignment, Course, Deployment, DeploymentId, DeploymentState, Digest, EventKind, Instance,
    InstanceId, InstanceStatus, MachineDesired, Timestamp,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// What has come from the agent, and what it is told.
#[derive(Default)]
pub struct Seen {
    pub statuses: Vec<InstanceStatus>,
    pub events: Vec<ReportedEvent>,
    pub queries: u64,
    desired: Option<MachineDesired>,
    index: u64,
}

type Shared = Arc<(Mutex<Seen>, Mutex<HashMap<String, Vec<u8>>>)>;

pub struct Controller {
    runtime: Option<Runtime>,
    shared: Shared,
    address: SocketAddr,
    recipe: Digest,
    check: Digest,
    script: Digest,
}

fn component(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../recipes-wasm/target/wasm32-wasip2/release")
        .join(format!("{name}.wasm"));
    let hint = "run `cargo xtask build` first";
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; {hint}", path.display()))
}

impl Controller {
    pub fn start() -> Self {
        let components = [component("misbehave"), component("tcp_check"), component("script")];
        let [recipe, check, script] = [0, 1, 2].map(|n: usize| Digest::of(&components[n]));
        let blobs = components.map(|bytes| (Digest::of(&bytes).to_string(), bytes));
        let shared: Shared = Arc::new((Mutex::default(), Mutex::new(blobs.into())));
        let runtime = Runtime::new().unwrap();
        let listening = tokio::net::TcpListener::bind("127.0.0.1:0");
        let listener = runtime.block_on(listening).unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/v1/machines/{id}/join", post(heard))
            .route("/v1/machines/{id}/heartbeat", post(heard))
            .route("/v1/machines/{id}/report", post(report))
            .route("/v1/machines/{id}/desired", get(desired))
            .route("/v1/blobs/{digest}", get(blob))
            .with_state(shared.clone());
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { runtime: Some(runtime), shared, address, recipe, check, script }
    }

    /// As a crash would: connections end too.
    pub fn stop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }

    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Tells what should run; answers how many queries had come by then.
    pub fn desire(&self, term: u64, assignments: Vec<Assignment>) -> u64 {
        let mut seen = self.shared.0.lock().unwrap();
        seen.index += 1;
        let machine = "m-1".parse().unwrap();
        let index = seen.index;
        seen.desired =
            Some(MachineDesired { machine, term, index, assignments, peers: Vec::new() });
        seen.queries
    }

    /// The instance, with deployment number `n`. Its recipe writes a file unless told otherwise.
    pub fn assignment(&self, n: u64, command: &str, options: Value) -> Assignment {
        let options = match options.as_object() {
            Some(given) if !given.is_empty() => options,
            _ => json!({ "do": "write", "path": format!("/made-{n}"), "text": "here" }),
        };
        let job = json!({
            "dns_basename": "sleeper",
            "deployment_recipe": "r",
            "deployment_layout": { "z-1": { "mem": 1, "count": 1 } },
            "recipe_options": options,
            "grants": { "write": ["/"], "commands": ["/bin/true"] },
            "task_configuration": { "name": "t", "command": command, "stop_grace": 1 },
        });
        let deployment = Deployment {
            id: DeploymentId::nth(n),
            revision: 1,
            job: serde_json::from_value(job).unwrap(),
            version: format!("{n}.0").parse().unwrap(),
            recipe: self.recipe,
            checks: BTreeMap::from([("tcp".parse().unwrap(), self.check)]),
            wants: BTreeMap::new(),
            rolls_back: None,
            restores: None,
            held_to: None,
            state: DeploymentState::Running,
            created_at: Timestamp::from_millis(0),
            course: Course::default(),
        };
        let (zone, job) = ("z-1".parse().unwrap(), "sleeper".parse().unwrap());
        let instance = Instance {
            id: InstanceId::new(0, &zone, &job),
            job,
            zone,
            number: 0,
            machine: "m-1".parse().unwrap(),
            placement: 1,
            ports: BTreeMap::new(),
            deployment: deployment.id.clone(),
            since: Timestamp::from_millis(0),
            beside: Vec::new(),
            leaving: None,
        };
        Assignment { instance, deployment, previous_version: None }
    }

    /// The same, with a recipe that takes these steps.
    pub fn scripted(&self, n: u64, command: &str, steps: Value) -> Assignment {
        let mut assignment = self.assignment(n, command, json!({ "steps": steps }));
        assignment.deployment.recipe = self.script;
        let grants = json!({
            "write": ["/"], "commands": ["/bin/true", "/bin/sleep **"], "secrets": ["none"],
        });
        assignment.deployment.job.grants = serde_json::from_value(grants).unwrap();
        assignment
    }

    /// Keeps something that agents may fetch.
    pub fn keep(&self, bytes: Vec<u8>) -> Digest {
        let digest = Digest::of(&bytes);
        self.shared.1.lock().unwrap().insert(digest.to_string(), bytes);
        digest
    }

    /// The messages of all events that hold `part`.
    pub fn told(&self, part: &str) -> Vec<String> {
        let seen = self.shared.0.lock().unwrap();
        let messages = seen.events.iter().map(|event| event.message.clone());
        messages.filter(|message| message.contains(part)).collect()
    }

    pub fn wait(&self, what: &str, condition: impl Fn(&Seen) -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let seen = self.shared.0.lock().unwrap();
            if condition(&seen) {
                return;
            }
            assert!(Instant::now() < end, "not within a minute: {what}; {:?}", seen.events);
            drop(seen);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The message of the first event of this kind, once there is one.
    pub fn event(&self, kind: EventKind) -> String {
        self.wait(&kind.to_string(), |seen| seen.events.iter().any(|event| event.kind == kind));
        let seen = self.shared.0.lock().unwrap();
        seen.events.iter().find(|event| event.kind == kind).unwrap().message.clone()
    }
}

async fn heard(State(shared): State<Shared>, _: Json<Value>) -> Json<Term> {
    let seen = shared.0.lock().unwrap();
    Json(Term { term: seen.desired.as_ref().map_or(0, |desired| desired.term) })
}

async fn report(State(shared): State<Shared>, Json(report): Json<Report>) -> Json<Term> {
    let mut seen = shared.0.lock().unwrap();
    seen.statuses = report.instances;
    seen.events.extend(report.events);
    Json(Term { term: seen.desired.as_ref().map_or(0, |desired| desired.term) })
}

async fn desired(
    State(shared): State<Shared>,
    Query(query): Query<HashMap<String, u64>>,
) -> Result<Json<MachineDesired>, StatusCode> {
    shared.0.lock().unwrap().queries += 1;
    let known = query.get("term").copied().zip(query.get("index").copied());
    for _ in 0..3000 {
        let desired = shared.0.lock().unwrap().desired.clone();
        if let Some(desired) = desired.filter(|d| Some((d.term, d.index)) != known) {
            return Ok(Json(desired));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(StatusCode::SERVICE_UNAVAILABLE)
}

async fn blob(
    State(shared): State<Shared>,
    Path(digest): Path<String>,
) -> Result<Vec<u8>, StatusCode> {
    shared.1.lock().unwrap().get(&digest).cloned().ok_or(StatusCode::NOT_FOUND)
}
