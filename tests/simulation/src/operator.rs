//! The people: they define jobs and deploy versions, through the controller's real API.

use anyhow::{Context, Result, ensure};
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use cerebro_api::paths;
use cerebro_model::MachineId;
use fastrand::Rng;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::agent::{BAD, BROKEN};

/// The zones, named as the original's.
pub const ZONES: [&str; 4] =
    ["aws-us-east-1a", "aws-us-east-1b", "aws-us-west-2a", "aws-us-west-2b"];

/// How jobs are called of which there must never be two.
pub const ALONE: &str = "alone";

/// What people have in mind.
pub struct Operator {
    jobs: Vec<Wanted>,
    /// The number of the next version.
    version: u32,
}

struct Wanted {
    name: String,
    definition: Value,
}

/// An answer of the API's.
pub struct Answer {
    pub status: StatusCode,
    pub body: Vec<u8>,
}

/// Asks the API, as over HTTP, without a socket.
pub async fn ask(api: &axum::Router, method: Method, path: &str, body: Vec<u8>) -> Result<Answer> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body))?;
    let response = api.clone().oneshot(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes().to_vec();
    Ok(Answer { status, body })
}

impl Operator {
    /// Who wants so many jobs, for so many machines in each zone.
    pub fn new(rng: &mut Rng, jobs: usize, machines: u32) -> Self {
        let per_zone = machines / ZONES.len() as u32;
        let jobs = (0..jobs)
            .map(|n| {
                let batch = rng.u32(1..6);
                // Most go as most jobs do; of some there must never be two, and some are deployed beside
                // what runs.
                let (name, strategy, moves) = match n % 4 {
                    3 => (ALONE, "rolling", "stop-first"),
                    2 => ("job", "blue-green", "start-first"),
                    _ => ("job", "rolling", "start-first"),
                };
                let name = format!("{name}-{n}.example.com");
                let mut layout = serde_json::Map::new();
                for zone in ZONES {
                    if rng.u8(0..3) > 0 {
                        let count = rng.u32(1..=(per_zone / 4).max(1));
                        layout.insert(zone.to_owned(), json!({ "mem": 100, "count": count }));
                    }
                }
                if layout.is_empty() {
                    layout.insert(ZONES[0].to_owned(), json!({ "mem": 100, "count": 1 }));
                }
                // Of some, other zones stand in for one that is silent.
                let failover = n % 4 == 1 && layout.len() > 1;
                let failover = failover.then(|| json!({ "after": 120 }));
                let mut definition = json!({
                    "dns_basename": name,
                    "deployment_recipe": "recipe",
                    "deployment_layout": layout,
                    "task_configuration": {
                        "name": name, "command": "true",
                        "cpu": f64::from(rng.u32(1..8)) / 4.0, "mem": rng.u32(50..1500),
                    },
                    "rollout": { "strategy": strategy, "batch": batch, "deadline": 90 },
                    "placement": { "moves": moves },
                });
                if let Some(failover) = failover {
                    definition["placement"]["failover"] = failover;
                }
                Wanted { name, definition }
            })
            .collect();
        Self { jobs, version: 1 }
    }

    /// Puts everything there, and deploys it.
    pub async fn begin(&mut self, api: &axum::Router, component: &[u8]) -> Result<()> {
        let name = "recipe".parse().context("a name")?;
        expect(ask(api, Method::PUT, &paths::recipe(&name), component.to_vec()).await?)?;
        for job in 0..self.jobs.len() {
            self.define(api, job).await?;
            self.deploy(api, job, "").await?;
        }
        Ok(())
    }

    async fn define(&self, api: &axum::Router, job: usize) -> Result<()> {
        let Wanted { name, definition } = &self.jobs[job];
        let path = paths::job(&name.parse().context("a name")?);
        expect(ask(api, Method::PUT, &path, serde_json::to_vec(definition)?).await?)
    }

    async fn deploy(&mut self, api: &axum::Router, job: usize, kind: &str) -> Result<()> {
        let version = format!("{}.0{kind}", self.version);
        self.version += 1;
        let path = format!("/v1/jobs/{}/deployments", self.jobs[job].name);
        let body = serde_json::to_vec(&json!({ "version": version }))?;
        expect(ask(api, Method::POST, &path, body).await?)
    }

    /// Does one of the things that people do; answers the machine of which something was asked that is to
    /// be taken back. An error is the API's, which may be away, or refuse.
    pub async fn act(
        &mut self,
        api: &axum::Router,
        rng: &mut Rng,
        machine: Option<MachineId>,
    ) -> Result<Option<MachineId>> {
        let job = rng.usize(0..self.jobs.len());
        match rng.u8(0..100) {
            0..45 => self.deploy(api, job, "").await?,
            45..58 => self.deploy(api, job, &format!("-{BAD}")).await?,
            58..65 => self.deploy(api, job, &format!("-{BROKEN}")).await?,
            65..85 => {
                let Some(id) = machine else { return Ok(None) };
                self.ask_of(api, rng, &id).await?;
                return Ok(Some(id));
            }
            _ => {
                let layout = self.jobs[job].definition["deployment_layout"].as_object_mut();
                for zone in layout.into_iter().flat_map(serde_json::Map::values_mut) {
                    let count = zone["count"].as_u64().unwrap_or(1);
                    let other = (count + rng.u64(0..3)).saturating_sub(1).max(1);
                    zone["count"] = json!(other);
                }
                self.define(api, job).await?;
                self.deploy(api, job, "").await?;
            }
        }
        Ok(None)
    }

    /// Asks something of a machine.
    async fn ask_of(&self, api: &axum::Router, rng: &mut Rng, id: &MachineId) -> Result<()> {
        let because = json!({ "reason": "a person" });
        let (method, path, body) = match rng.u8(0..4) {
            0 => (Method::PUT, paths::machine_drain(id), because),
            1 => (Method::PUT, paths::machine_lock(id), because),
            2 => {
                let lasts = rng.u32(60..900);
                let body = json!({ "reason": "a person", "lasts": lasts, "drain": rng.bool() });
                (Method::PUT, paths::machine_maintenance(id), body)
            }
            _ => (Method::DELETE, paths::machine(id), because),
        };
        expect(ask(api, method, &path, serde_json::to_vec(&body)?).await?)
    }

    /// Takes back what was asked of a machine, as far as it was and still can be.
    pub async fn undo(&self, api: &axum::Router, id: &MachineId) {
        for path in
            [paths::machine_lock(id), paths::machine_drain(id), paths::machine_maintenance(id)]
        {
            // Refused where it does not apply, and where the machine is gone.
            let _ = ask(api, Method::DELETE, &path, Vec::new()).await;
        }
    }
}

fn expect(answer: Answer) -> Result<()> {
    let Answer { status, body } = answer;
    ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
    Ok(())
}
