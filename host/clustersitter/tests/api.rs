//! The API over a real socket with a real store: what it takes, and what it refuses in which words.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use async_trait::async_trait;
use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use cerebro_api::body::{DeployRequest, Heartbeat, JoinRequest, PauseRequest};
use cerebro_api::look::{LOOK, LookAnswer, LookRequest};
use cerebro_api::{Client, ClientError, Problem, paths};
use cerebro_clustersitter::clock::{Clock, WallClock};
use cerebro_clustersitter::cluster::Cluster;
use cerebro_clustersitter::executor::Executor;
use cerebro_clustersitter::http;
use cerebro_clustersitter::probe::HttpProbe;
use cerebro_machines::{CreateMachine, Intent, MachineProvider, Presence, ProviderError};
use cerebro_model::{
    Capacity, Cores, EventKind, Job, MachineId, MachineStats, Megabytes, PauseScope, Secret,
};
use cerebro_planner::cluster::{Limits, Policy, ZonePolicy};
use cerebro_store::{
    Batch, Blobs, CommitError, Committed, Entry, Fence, SqliteStore, Store, StoreError, StoredEvent,
};
use futures::StreamExt;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

/// Remembers what it was asked to create, and creates nothing.
#[derive(Default)]
struct Recorder {
    made: Mutex<Vec<(MachineId, String)>>,
    /// Whether all that it made is gone.
    gone: AtomicBool,
    destroyed: Mutex<Vec<MachineId>>,
    restarted: Mutex<Vec<MachineId>>,
}

impl Recorder {
    fn created(&self) -> Vec<(MachineId, String)> {
        self.made.lock().unwrap().clone()
    }
}

#[async_trait]
impl MachineProvider for Recorder {
    fn name(&self) -> &str {
        "recorder"
    }
    async fn create(&self, machine: &CreateMachine) -> Result<(), ProviderError> {
        self.made.lock().unwrap().push((machine.id.clone(), machine.join_token.clone()));
        Ok(())
    }
    async fn describe(&self, _: &MachineId) -> Result<Presence, ProviderError> {
        match self.gone.load(Relaxed) {
            true => Ok(Presence::Gone { why: "its power is off".to_owned() }),
            false => Ok(Presence::Running),
        }
    }
    async fn list(&self) -> Result<Vec<MachineId>, ProviderError> {
        Ok(Vec::new())
    }
    async fn restart_agent(&self, machine: &MachineId) -> Result<(), ProviderError> {
        self.restarted.lock().unwrap().push(machine.clone());
        Ok(())
    }
    fn calls(&self) -> cerebro_machines::Calls {
        [(("Remember", "done"), self.made.lock().unwrap().len() as u64)].into()
    }
    async fn destroy(&self, machine: &MachineId, _: Option<&Intent>) -> Result<(), ProviderError> {
        self.destroyed.lock().unwrap().push(machine.clone());
        Ok(())
    }
}

/// A store whose disk can be full.
struct Failing {
    store: SqliteStore,
    full: Arc<AtomicBool>,
}

impl Store for Failing {
    fn commit(&self, fence: Fence, batch: Batch) -> Result<Committed, CommitError> {
        match self.full.load(Relaxed) {
            true => Err(StoreError::Absent { path: "/full".to_owned() }.into()),
            false => self.store.commit(fence, batch),
        }
    }
    fn holds(&self, fence: Fence) -> Result<(), CommitError> {
        self.store.holds(fence)
    }
    fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.store.get(key)
    }
    fn secret(&self, key: &str) -> Result<Option<Secret>, StoreError> {
        self.store.secret(key)
    }
    fn scan(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        self.store.scan(prefix)
    }
    fn take_term(&self) -> Result<Fence, StoreError> {
        self.store.take_term()
    }
    fn events(&self, after: u64, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        self.store.events(after, limit)
    }
    fn last_event(&self) -> Result<u64, StoreError> {
        self.store.last_event()
    }
    fn backup(&self, target: &Path) -> Result<(), StoreError> {
        self.store.backup(target)
    }
}

struct Served {
    client: Client,
    http: reqwest::Client,
    provider: Arc<Recorder>,
    /// Whether the store takes nothing, as on a full disk.
    full: Arc<AtomicBool>,
    running: tokio::task::JoinSet<()>,
}

impl Served {
    async fn start(data: &Path, machines: u32) -> Self {
        let full = Arc::<AtomicBool>::default();
        // One that was stopped lets go of it when its last connection has ended.
        let opened = || async { SqliteStore::open(data).ok() };
        let store = until("the store can be opened", opened).await;
        let store = Arc::new(Failing { store, full: full.clone() });
        let blobs = Blobs::open(&data.join("blobs")).unwrap();
        let provider = Arc::new(Recorder::default());
        let policy = Policy {
            zones: BTreeMap::from([("z-1".parse().unwrap(), ZonePolicy::new(machines, machines))]),
            machine_capacity: Capacity {
                cpu: Cores::from_millis(1000),
                mem: Megabytes::new(1000),
                disk: Megabytes::new(1000),
            },
            started_at: WallClock.now(),
            suspect_after: Duration::from_secs(3),
            join_within: Duration::from_secs(60),
            breaker_percent: 30,
            limits: Limits::default(),
            publishes: false,
        };
        let cluster = Arc::new(Cluster::open(store, blobs, provider.clone(), policy).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let mut running = tokio::task::JoinSet::new();
        let executor = Executor::new(cluster.clone(), base.clone(), Arc::new(HttpProbe::new()));
        running.spawn(async move { drop(executor.run().await) });
        running.spawn(async move { drop(axum::serve(listener, http::router(cluster)).await) });
        Self {
            client: Client::new(base).unwrap(),
            http: reqwest::Client::new(),
            provider,
            full,
            running,
        }
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
async fn what_can_be_counted_is() {
    let data = tempfile::tempdir().unwrap();
    let served = Served::start(data.path(), 2).await;
    served.client.put_job(&job("true"), None).await.unwrap();
    let created = || async { (served.provider.created().len() == 2).then_some(()) };
    until("machines are made", created).await;
    let answer = served.http.get(served.url(paths::METRICS)).send().await.unwrap();
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let text = answer.text().await.unwrap();
    for line in [
        "# TYPE cerebro_machines gauge",
        "cerebro_machines{zone=\"z-1\",state=\"pending\"} 2",
        "cerebro_machines_silent{zone=\"z-1\"} 0",
        "cerebro_jobs 1",
        "# TYPE cerebro_provider_calls counter",
        "cerebro_provider_calls_total{provider=\"recorder\",call=\"Remember\",outcome=\"done\"} 2",
        "# EOF",
    ] {
        assert!(text.lines().any(|it| it == line), "no `{line}` in:\n{text}");
    }
    assert!(text.contains("cerebro_controller{version="), "{text}");
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
async fn what_was_uploaded_can_be_had_from_any_byte_on() {
    let data = tempfile::tempdir().unwrap();
    let served = Served::start(data.path(), 0).await;
    let content: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    let digest = served.client.post_artifact(content.clone()).await.unwrap().digest;
    for from in [0, 1, 150_000, 199_999] {
        let (left_out, pieces) = served.client.blob_from(&digest, from).await.unwrap();
        let pieces: Vec<_> = pieces.map(Result::unwrap).collect().await;
        assert_eq!(left_out, from);
        assert!(pieces.concat() == content[usize::try_from(from).unwrap()..], "from {from}");
    }
    let none = served.client.blob_from(&digest, 200_000).await.map(drop).unwrap_err();
    assert_eq!(none.status(), Some(416), "{none}");
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
    let request = DeployRequest::new("1".parse().unwrap(), Default::default());
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
        own_token: None,
        address: "127.0.0.1".parse().unwrap(),
        also_at: Vec::new(),
        port: 1,
        pid: 7,
        version: "0".to_owned(),
        term: 0,
        runs: Vec::new(),
    };
    assert_eq!(refused(served.client.join(&id, &join("stolen".to_owned())).await).status, 401);
    // Until it has joined it is neither heard nor told anything: it may run what this store has lost.
    let beat = Heartbeat { token: token.clone(), pid: 7, stats: MachineStats::default() };
    assert_eq!(refused(served.client.heartbeat(&id, &beat).await).status, 409);
    let early = served.client.desired(&id, &token, None, Duration::ZERO).await;
    assert_eq!(refused(early).status, 409);
    served.client.join(&id, &join(token.clone())).await.unwrap();
    assert_eq!(served.client.machines().await.unwrap().len(), 1, "one machine, not two");

    // It is told nothing to run, then waits; and a stranger is told nothing at all.
    let desired = served.client.desired(&id, &token, None, Duration::ZERO).await.unwrap();
    assert_eq!(desired.assignments, []);
    let stranger = served.client.desired(&"m-99".parse().unwrap(), "x", None, Duration::ZERO).await;
    assert_eq!(refused(stranger).status, 404);
    let thief = served.client.desired(&id, "stolen", None, Duration::ZERO).await;
    assert_eq!(refused(thief).status, 401);
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
        "/v1/machines/{id}/drain",
        "/v1/zones/{zone}",
        "/v1/tasks/{id}/logs",
        "/v1/pauses",
        "/v1/status",
        "/v1/tombstones",
        "/v1/proposals",
        "/v1/repair-mode",
    ] {
        assert!(description["paths"].get(path).is_some(), "{path}");
    }
    let page = get("/").await.unwrap();
    assert!(
        page.headers()["content-security-policy"].to_str().unwrap().contains("script-src 'self'")
    );
    assert!(page.text().await.unwrap().contains("All is well"));
}

fn pause(scope: PauseScope, reason: &str, seconds: u64) -> PauseRequest {
    PauseRequest { scope, author: "eva".to_owned(), reason: reason.to_owned(), seconds }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_outlives_the_controller_and_ends_when_it_is_told_to_or_by_itself() {
    let data = tempfile::tempdir().unwrap();
    let served = Served::start(data.path(), 0).await;
    let day = 24 * 3600;
    for (request, words) in [
        (pause(PauseScope::Cluster, " ", 60), "`reason`"),
        (pause(PauseScope::Cluster, "why", 0), "1 second to 30 days"),
        (pause(PauseScope::Cluster, "why", 31 * day), "1 second to 30 days"),
        (pause(PauseScope::Job("a.b".parse().unwrap()), "why", 60), "no job a.b"),
        (pause(PauseScope::Zone("z-9".parse().unwrap()), "why", 60), "no zone z-9"),
    ] {
        let problem = refused(served.client.pause(&request).await);
        assert!(problem.status == 422 && problem.detail.contains(words), "{problem}");
    }
    assert_eq!(refused(served.client.resume(&PauseScope::Cluster, "eva").await).status, 404);
    served.client.pause(&pause(PauseScope::Cluster, "the disks are changed", 3600)).await.unwrap();
    served.stop().await;

    // It should have a machine now, and makes none.
    let served = Served::start(data.path(), 1).await;
    let said = |served: &Served| {
        let client = served.client.clone();
        async move { client.status().await.unwrap() }
    };
    until("it says why it does nothing", || async {
        said(&served)
            .await
            .faults
            .iter()
            .any(|it| it.contains("the disks are changed"))
            .then_some(())
    })
    .await;
    assert_eq!(served.provider.created(), []);
    assert_eq!(served.client.pauses().await.unwrap().len(), 1);
    let page = served.http.get(served.url("/")).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("What stands still") && page.contains("the disks are changed"));
    served.client.resume(&PauseScope::Cluster, "eva").await.unwrap();
    until("a machine is made", || async { served.provider.created().pop() }).await;

    served
        .client
        .pause(&pause(PauseScope::Zone("z-1".parse().unwrap()), "briefly", 1))
        .await
        .unwrap();
    let ended = || async {
        let events = served.client.events(100).await.unwrap();
        let of = |kind| events.iter().filter(|it| it.kind == kind).count();
        (of(EventKind::AutomationResumed) == 2).then(|| of(EventKind::AutomationPaused))
    };
    assert_eq!(until("it ends by itself", ended).await, 2);
    assert_eq!(said(&served).await.pauses, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_fails_it_says_so_and_afterwards_it_listens_first() {
    let data = tempfile::tempdir().unwrap();
    let served = Served::start(data.path(), 1).await;
    until("a machine is made", || async { served.provider.created().pop() }).await;
    served.full.store(true, Relaxed);
    let problem = refused(served.client.put_job(&job("true"), None).await);
    assert!(problem.status == 503, "{problem}");
    let faults = served.client.status().await.unwrap().faults;
    assert!(faults.iter().any(|it| it.contains("the controller's store fails")), "{faults:?}");
    served.full.store(false, Relaxed);
    let kinds = || async {
        let events = served.client.events(100).await.unwrap();
        events.into_iter().map(|event| event.kind).collect::<Vec<_>>()
    };
    let told = until("it goes on", || async {
        let kinds = kinds().await;
        kinds.contains(&EventKind::ControllerSure).then_some(kinds)
    })
    .await;
    assert_eq!(told.iter().filter(|it| **it == EventKind::ControllerInDoubt).count(), 1);
    assert!(served.client.status().await.unwrap().faults.iter().all(|it| !it.contains("store")));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_observes_does_what_is_approved_and_remembers_it() {
    let data = tempfile::tempdir().unwrap();
    let served = Served::start(data.path(), 1).await;
    let (id, token) =
        until("a machine is made", || async { served.provider.created().pop() }).await;
    let (address, port) = ("127.0.0.1".parse().unwrap(), 1);
    let join = JoinRequest {
        token,
        own_token: None,
        address,
        also_at: Vec::new(),
        port,
        pid: 7,
        version: "0".to_owned(),
        term: 0,
        runs: Vec::new(),
    };
    served.client.join(&id, &join).await.unwrap();
    let problem = refused(served.client.approve("give-up-m-1", "eva").await);
    assert!(problem.status == 404 && problem.detail.contains("cerebro repair list"), "{problem}");
    served.client.observe_only(true, "eva").await.unwrap();
    assert!(served.client.status().await.unwrap().observe_only);
    // It is never heard again, and its provider says that it is gone.
    served.provider.gone.store(true, Relaxed);
    let proposal =
        until("it is proposed", || async { served.client.proposals().await.unwrap().pop() }).await;
    assert_eq!((proposal.id.as_str(), proposal.approved), ("give-up-m-1", false));
    assert_eq!(*served.provider.destroyed.lock().unwrap(), []);
    assert!(served.client.approve(&proposal.id, "eva").await.unwrap().approved);
    until("nothing is left of it", || async { served.provider.destroyed.lock().unwrap().pop() })
        .await;
    let buried = until("its end is confirmed", || async {
        served.client.tombstones().await.unwrap().pop().filter(|it| it.gone_at.is_some())
    })
    .await;
    let certificate = buried.certificate.unwrap();
    assert_eq!((buried.machine, certificate.provider.as_str()), (id, "its power is off"));
    assert_eq!(served.client.proposals().await.unwrap(), []);
    let events = served.client.events(100).await.unwrap();
    let approved = events.iter().find(|it| it.kind == EventKind::RepairApproved).unwrap();
    assert!(approved.message.starts_with("eva approved give-up-m-1: no heartbeat"), "{approved:?}");
    served.stop().await;
    let served = Served::start(data.path(), 1).await;
    assert!(served.client.status().await.unwrap().observe_only);
    assert_eq!(served.client.tombstones().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_does_not_answer_is_started_again_and_its_machine_stays() {
    let data = tempfile::tempdir().unwrap();
    let served = Served::start(data.path(), 1).await;
    let (id, token) =
        until("a machine is made", || async { served.provider.created().pop() }).await;
    let (address, port) = ("127.0.0.1".parse().unwrap(), 1);
    let join = JoinRequest {
        token,
        own_token: None,
        address,
        also_at: Vec::new(),
        port,
        pid: 7,
        version: "0".to_owned(),
        term: 0,
        runs: Vec::new(),
    };
    served.client.join(&id, &join).await.unwrap();
    let restarted = async {
        while served.provider.restarted.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    // It is given a quarter of a minute to come back by itself.
    tokio::time::timeout(Duration::from_secs(60), restarted).await.unwrap();
    let view = served.client.machine(&id).await.unwrap();
    assert!(view.machine.state.is_active() && view.attempts.len() == 1, "{view:?}");
    assert!(view.attempts[0].why.contains("but the provider says: the machine runs"), "{view:?}");
    assert_eq!(*served.provider.destroyed.lock().unwrap(), []);
}

/// An agent that looks at others for the controller, and does nothing else.
async fn looking(
    token: String,
    answered: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<LookRequest>>>,
) -> u16 {
    let look = move |headers: HeaderMap, Json(request): Json<LookRequest>| {
        let shown = headers.get("authorization").and_then(|it| it.to_str().ok());
        let is_ours = shown == Some(&format!("Bearer {token}"));
        asked.lock().unwrap().push(request);
        let (answered, said) = (answered.load(Relaxed), "so it was".to_owned());
        std::future::ready(match is_ours {
            true => Ok(Json(LookAnswer { answered, said })),
            false => Err(StatusCode::UNAUTHORIZED),
        })
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let served = axum::Router::new().route(LOOK, axum::routing::post(look));
        drop(axum::serve(listener, served).await);
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn another_machine_is_asked_to_look_at_one_that_does_not_answer_and_its_word_is_shown() {
    let data = tempfile::tempdir().unwrap();
    let served = Served::start(data.path(), 2).await;
    let made = until("machines are made", || async {
        Some(served.provider.created()).filter(|made| made.len() == 2)
    })
    .await;
    let [(silent, silents), (peer, peers)] = &made[..] else { panic!("{made:?}") };
    let (answered, asked) = (Arc::new(AtomicBool::new(true)), Arc::default());
    let port = looking(peers.clone(), answered.clone(), Arc::clone(&asked)).await;
    for (id, token, port) in [(silent, silents, 1), (peer, peers, port)] {
        let (address, token) = ("127.0.0.1".parse().unwrap(), token.clone());
        let join = JoinRequest {
            token,
            own_token: None,
            address,
            also_at: Vec::new(),
            port,
            pid: 7,
            version: "0".to_owned(),
            term: 0,
            runs: Vec::new(),
        };
        served.client.join(id, &join).await.unwrap();
    }
    let stats = MachineStats::default();
    let heartbeat = Heartbeat { token: peers.clone(), pid: 7, stats };
    let told = async |words: &str| {
        until(words, || async {
            served.client.heartbeat(peer, &heartbeat).await.unwrap();
            let faults = served.client.status().await.unwrap().faults;
            faults.into_iter().find(|it| it.contains(words))
        })
        .await
    };
    let why = told(&format!("but {peer} reaches its agent")).await;
    assert!(why.contains("nothing is done that would end them"), "{why}");
    let request = asked.lock().unwrap()[0].clone();
    assert_eq!((request.machine, request.port), (silent.clone(), 1));
    // Once it does not reach it either, that is said; and what speaks for the first attempt.
    answered.store(false, Relaxed);
    told(&format!("{peer} does not reach it either (so it was)")).await;
    let view = served.client.machine(silent).await.unwrap();
    assert!(view.machine.state.is_active(), "{view:?}");
    assert_eq!(*served.provider.destroyed.lock().unwrap(), []);
}
