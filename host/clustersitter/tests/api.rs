//! The API over a real socket with a real store: what it takes, and what it refuses in which words.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use async_trait::async_trait;
use cerebro_api::body::{DeployRequest, JoinRequest};
use cerebro_api::{Client, ClientError, Problem, paths};
use cerebro_clustersitter::cluster::{Cluster, now};
use cerebro_clustersitter::executor::Executor;
use cerebro_clustersitter::http;
use cerebro_machines::{CreateMachine, MachineProvider, Presence, ProviderError};
use cerebro_model::{Capacity, Cores, EventKind, Job, MachineId, Megabytes};
use cerebro_planner::cluster::{Policy, ZonePolicy};
use cerebro_store::{Blobs, SqliteStore};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

/// Remembers what it was asked to create, and creates nothing.
#[derive(Default)]
struct Recorder(Mutex<Vec<(MachineId, String)>>);

impl Recorder {
    fn created(&self) -> Vec<(MachineId, String)> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl MachineProvider for Recorder {
    fn name(&self) -> &str {
        "recorder"
    }
    async fn create(&self, machine: &CreateMachine) -> Result<(), ProviderError> {
        self.0.lock().unwrap().push((machine.id.clone(), machine.join_token.clone()));
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

struct Served {
    client: Client,
    http: reqwest::Client,
    provider: Arc<Recorder>,
    running: tokio::task::JoinSet<()>,
}

impl Served {
    async fn start(data: &Path, machines: u32) -> Self {
        let store = Arc::new(SqliteStore::open(data).unwrap());
        let blobs = Blobs::open(&data.join("blobs")).unwrap();
        let provider = Arc::new(Recorder::default());
        let policy = Policy {
            zones: BTreeMap::from([(
                "z-1".parse().unwrap(),
                ZonePolicy { min: machines, max: machines },
            )]),
            machine_capacity: Capacity { cpu: Cores::from_millis(1000), mem: Megabytes::new(1000) },
            started_at: now(),
            suspect_after: Duration::from_secs(3),
            join_within: Duration::from_secs(60),
            breaker_percent: 30,
        };
        let cluster = Arc::new(Cluster::open(store, blobs, provider.clone(), policy).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let mut running = tokio::task::JoinSet::new();
        let executor = Executor::new(cluster.clone(), base.clone());
        running.spawn(async move { drop(executor.run().await) });
        running.spawn(async move { drop(axum::serve(listener, http::router(cluster)).await) });
        Self { client: Client::new(base).unwrap(), http: reqwest::Client::new(), provider, running }
    }

    /// As a crash would, but that the store's lock goes with it.
    async fn stop(mut self) {
        self.running.shutdown().await;
    }

    async fn problem(&self, request: reqwest::RequestBuilder) -> Problem {
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        assert_eq!(answer.headers()["content-type"], cerebro_api::PROBLEM_JSON, "{status}");
        let problem: Problem = answer.json().await.unwrap();
        assert_eq!(problem.status, status);
        problem
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.client.base())
    }
}

fn job(command: &str) -> Job {
    serde_json::from_value(serde_json::json!({
        "dns_basename": "a.b",
        "deployment_recipe": "my.recipe",
        "deployment_layout": { "z-1": { "mem": 1, "count": 1 } },
        "task_configuration": { "name": "t", "command": command, "cpu": 2, "mem": 100 },
    }))
    .unwrap()
}

fn refused<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Problem {
    match result {
        Err(ClientError::Refused(problem)) => problem,
        other => panic!("expected a refusal: {other:?}"),
    }
}

async fn until<T, F: Future<Output = Option<T>>>(
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

#[tokio::test(flavor = "multi_thread")]
async fn whatever_goes_wrong_is_a_problem_with_words() {
    let data = tempfile::tempdir().unwrap();
    let served = Served::start(data.path(), 0).await;
    let http = &served.http;
    for (request, status, words) in [
        (http.get(served.url("/v2/nothing")), 404, "/v1/openapi.json"),
        (http.delete(served.url(paths::JOBS)), 405, "does not take DELETE"),
        (http.get(served.url("/v1/jobs/NOT%20A%20NAME")), 400, "lower case"),
        (http.get(served.url("/v1/events?after=x")), 400, "after"),
        (
            http.put(served.url("/v1/jobs/a.b"))
                .header("content-type", "application/json")
                .body("{"),
            400,
            "EOF",
        ),
        (http.put(served.url("/v1/jobs/a.b")).body("{}"), 415, "application/json"),
        (http.put(served.url("/v1/jobs/x.y")).json(&job("true")), 422, "must agree"),
        (http.put(served.url("/v1/recipes/r")).body("no wasm"), 422, "wasm32-wasip2"),
        (http.post(served.url("/v1/machines/m-9/kill")), 404, "no machine `m-9`"),
    ] {
        let problem = served.problem(request).await;
        assert_eq!(problem.status, status, "{problem:?}");
        assert!(problem.detail.contains(words), "{problem:?}");
    }
    let mut impossible = serde_json::to_value(job("true")).unwrap();
    impossible["task_configuration"]["mem"] = serde_json::json!(-5);
    let problem = served.problem(http.put(served.url("/v1/jobs/a.b")).json(&impossible)).await;
    assert!(problem.status == 422 && problem.detail.contains("64 TiB"), "{problem:?}");
    assert_eq!(served.client.jobs().await.unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_race_for_a_job_one_is_told() {
    let data = tempfile::tempdir().unwrap();
    let served = Served::start(data.path(), 0).await;
    let client = &served.client;
    let (one, other) = (job("one"), job("other"));
    let (first, second) = tokio::join!(client.put_job(&one, None), client.put_job(&other, None));
    let (won, lost) = if first.is_ok() { (first, second) } else { (second, first) };
    let revision = won.unwrap().record.revision;
    assert_eq!((revision, refused(lost).status), (1, 412));

    client.put_job(&job("three"), Some(1)).await.unwrap();
    let problem = refused(client.put_job(&job("four"), Some(1)).await);
    assert!(problem.status == 412 && problem.detail.contains("at revision \"2\""), "{problem:?}");
    assert_eq!(
        client.put_job(&job("three"), Some(2)).await.unwrap().record.revision,
        2,
        "the same is no change"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_over_the_limit_is_cut_off_and_leaves_nothing() {
    let data = tempfile::tempdir().unwrap();
    let served = Served::start(data.path(), 0).await;
    // 300 MB, without saying so beforehand.
    let piece = bytes::Bytes::from(vec![0u8; 1 << 20]);
    let body = futures::stream::iter((0..300).map(move |_| Ok::<_, std::io::Error>(piece.clone())));
    let request =
        served.http.post(served.url(paths::ARTIFACTS)).body(reqwest::Body::wrap_stream(body));
    // The server answers before it has read everything; a client may see that as a broken pipe.
    if let Ok(answer) = request.send().await {
        let problem: Problem = answer.json().await.unwrap();
        assert!(problem.status == 413 && problem.detail.contains("256 MiB"), "{problem:?}");
    }
    until("nothing is left of it", || async {
        (std::fs::read_dir(data.path().join("blobs/partial")).unwrap().count() == 0).then_some(())
    })
    .await;
    assert_eq!(std::fs::read_dir(data.path().join("blobs")).unwrap().count(), 1);
    served.client.healthz().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_needs_its_components() {
    let data = tempfile::tempdir().unwrap();
    let served = Served::start(data.path(), 0).await;
    let request = DeployRequest { version: "1".parse().unwrap(), options: Default::default() };
    let name = "a.b".parse().unwrap();
    assert_eq!(refused(served.client.deploy(&name, &request).await).status, 404);
    served.client.put_job(&job("true"), None).await.unwrap();
    let problem = refused(served.client.deploy(&name, &request).await);
    assert!(problem.detail.contains("cerebro recipe push my.recipe"), "{problem:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_made_from_its_record_also_after_a_crash() {
    let data = tempfile::tempdir().unwrap();
    let served = Served::start(data.path(), 1).await;
    let made =
        until("a machine is made", || async { served.provider.created().first().cloned() }).await;
    served.stop().await;

    // The next controller does not know whether the call went through: it makes the same again.
    let served = Served::start(data.path(), 1).await;
    let again =
        until("it is made again", || async { served.provider.created().first().cloned() }).await;
    assert_eq!(again, made);
    let (id, token) = made;
    let join = |token: String| JoinRequest {
        token,
        address: "127.0.0.1".parse().unwrap(),
        port: 1,
        pid: 7,
        version: "0".to_owned(),
    };
    assert_eq!(refused(served.client.join(&id, &join("stolen".to_owned())).await).status, 401);
    served.client.join(&id, &join(token.clone())).await.unwrap();
    assert_eq!(served.client.machines().await.unwrap().len(), 1, "one machine, not two");

    // It is told nothing to run, then waits; and a stranger is told to run nothing.
    let desired = served.client.desired(&id, &token, None, Duration::ZERO).await.unwrap();
    assert_eq!(desired.assignments, []);
    let stranger =
        served.client.desired(&"m-99".parse().unwrap(), "x", None, Duration::ZERO).await.unwrap();
    assert_eq!(stranger.assignments, []);
    let events = served.client.events(100).await.unwrap();
    assert!(events.iter().any(|event| event.kind == EventKind::MachineJoined));
    assert!(events.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq), "no number is left out");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_names_every_path_and_the_page_is_guarded() {
    let data = tempfile::tempdir().unwrap();
    let served = Served::start(data.path(), 0).await;
    let get = |path: &str| served.http.get(served.url(path)).send();
    let description: serde_json::Value = get(paths::OPENAPI).await.unwrap().json().await.unwrap();
    for path in [
        "/v1/jobs/{job}",
        "/v1/jobs/{job}/deployments",
        "/v1/machines/{id}/desired",
        "/v1/tasks/{id}/logs",
    ] {
        assert!(description["paths"].get(path).is_some(), "{path}");
    }
    let page = get("/").await.unwrap();
    assert!(
        page.headers()["content-security-policy"].to_str().unwrap().contains("script-src 'self'")
    );
    assert!(page.text().await.unwrap().contains("All is well"));
}
