//! Secrets over the API: who is given one, who is not, and where it never shows.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use async_trait::async_trait;
use cerebro_api::body::{DeployRequest, Heartbeat, JoinRequest, Report};
use cerebro_api::{Client, ClientError, Problem, paths};
use cerebro_clustersitter::clock::{Clock, WallClock};
use cerebro_clustersitter::cluster::Cluster;
use cerebro_clustersitter::executor::Executor;
use cerebro_clustersitter::http;
use cerebro_clustersitter::probe::HttpProbe;
use cerebro_machines::{CreateMachine, Intent, MachineProvider, Presence, ProviderError};
use cerebro_model::{
    Assignment, Capacity, Cores, Event, EventKind, InstanceStatus, Job, Life, MachineId,
    MachineStats, Megabytes, Phase, Secret,
};
use cerebro_planner::cluster::{Limits, Policy, ZonePolicy};
use cerebro_store::{Blobs, SqliteStore};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::net::TcpListener;

const VALUE: &str = "correct horse battery staple";

/// Remembers which machines it was asked for, and says of them what it is told.
#[derive(Default)]
struct Machines {
    created: Mutex<BTreeMap<MachineId, String>>,
    gone: Mutex<Option<MachineId>>,
}

#[async_trait]
impl MachineProvider for Machines {
    fn name(&self) -> &str {
        "recorder"
    }
    async fn create(&self, machine: &CreateMachine) -> Result<(), ProviderError> {
        self.created.lock().unwrap().insert(machine.id.clone(), machine.join_token.clone());
        Ok(())
    }
    async fn describe(&self, id: &MachineId) -> Result<Presence, ProviderError> {
        match self.gone.lock().unwrap().as_ref() == Some(id) {
            true => Ok(Presence::Gone { why: "the test says so".to_owned() }),
            false => Ok(Presence::Running),
        }
    }
    async fn list(&self) -> Result<Vec<MachineId>, ProviderError> {
        Ok(Vec::new())
    }
    async fn destroy(&self, _: &MachineId, _: Option<&Intent>) -> Result<(), ProviderError> {
        Ok(())
    }
}

/// Everything that this process logs, at every level.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn logged() -> &'static Logged {
    static LOGGED: OnceLock<Logged> = OnceLock::new();
    LOGGED.get_or_init(|| {
        let logged = Logged::default();
        let writer = logged.clone();
        tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_writer(move || writer.clone())
            .init();
        logged
    })
}

struct Served {
    client: Client,
    machines: Arc<Machines>,
    /// Ends what it runs when it is dropped.
    running: tokio::task::JoinSet<()>,
}

impl Served {
    async fn start(data: &Path) -> Self {
        logged();
        // One that was stopped lets go of it when its last connection has ended.
        let opened = || async { SqliteStore::open(data).ok() };
        let store = Arc::new(until("the store can be opened", opened).await);
        let blobs = Blobs::open(&data.join("blobs")).unwrap();
        let machines = Arc::new(Machines::default());
        let zone = ("z-1".parse().unwrap(), ZonePolicy::new(2, 3));
        let policy = Policy {
            zones: BTreeMap::from([zone]),
            machine_capacity: Capacity {
                cpu: Cores::from_millis(8000),
                mem: Megabytes::new(1000),
                disk: Megabytes::new(1000),
            },
            // Long ago, so that verdicts need not wait.
            started_at: (std::time::SystemTime::now() - Duration::from_secs(3600)).into(),
            suspect_after: Duration::from_secs(1),
            join_within: Duration::from_secs(60),
            breaker_percent: 30,
            limits: Limits::default(),
            publishes: false,
        };
        let cluster = Arc::new(Cluster::open(store, blobs, machines.clone(), policy).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let mut running = tokio::task::JoinSet::new();
        let executor = Executor::new(cluster.clone(), base.clone(), Arc::new(HttpProbe::new()));
        running.spawn(async move { drop(executor.run().await) });
        running.spawn(async move { drop(axum::serve(listener, http::router(cluster)).await) });
        Self { client: Client::new(base).unwrap(), machines, running }
    }

    async fn stop(mut self) {
        self.running.shutdown().await;
    }

    /// The agents of all machines join, and go on saying that they are there.
    async fn join(&mut self) -> BTreeMap<MachineId, String> {
        let made = || async {
            let created = self.machines.created.lock().unwrap().clone();
            (created.len() == 2).then_some(created)
        };
        let tokens = until("two machines are made", made).await;
        for (id, token) in &tokens {
            let request = JoinRequest {
                token: token.clone(),
                own_token: None,
                address: "127.0.0.1".parse().unwrap(),
                also_at: Vec::new(),
                port: 1,
                pid: 7,
                version: "0".to_owned(),
                term: 0,
                runs: Vec::new(),
            };
            self.client.join(id, &request).await.unwrap();
            let (client, machines, id) = (self.client.clone(), self.machines.clone(), id.clone());
            let beat = Heartbeat { token: token.clone(), pid: 7, stats: MachineStats::default() };
            self.running.spawn(async move {
                while machines.gone.lock().unwrap().as_ref() != Some(&id) {
                    let _ = client.heartbeat(&id, &beat).await;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            });
        }
        tokens
    }

    /// Deploys the job with these grants, and waits until a machine other than `not` is told.
    async fn deploy(
        &self,
        tokens: &BTreeMap<MachineId, String>,
        secrets: &[&str],
        version: &str,
    ) -> (MachineId, Assignment) {
        self.client.put_recipe(&"r".parse().unwrap(), recipe()).await.unwrap();
        let name = "a.b".parse().unwrap();
        let before = self.client.job(&name).await.ok().map(|view| view.record.revision);
        self.client.put_job(&job(secrets), before).await.unwrap();
        let request = DeployRequest::new(version.parse().unwrap(), Default::default());
        let deployment = self.client.deploy(&name, &request).await.unwrap().id;
        let told = || async {
            let (id, assignment) = self.assigned(tokens).await?;
            (assignment.deployment.id == deployment).then_some((id, assignment))
        };
        until("a machine is told to run it", told).await
    }

    /// From the agent: the instance serves, so that the next deployment may go on to it.
    async fn report_healthy(&self, machine: &MachineId, token: &str, assignment: &Assignment) {
        let instance = &assignment.instance;
        let status = InstanceStatus {
            id: instance.id.clone(),
            placement: instance.placement,
            deployment: Some(assignment.deployment.id.clone()),
            phase: Phase::Healthy,
            pid: Some(8),
            restarts: 0,
            message: String::new(),
            since: WallClock.now(),
            life: Life::default(),
        };
        let report =
            Report { token: token.to_owned(), instances: vec![status], events: Vec::new() };
        self.client.report(machine, &report).await.unwrap();
    }

    async fn assigned(
        &self,
        tokens: &BTreeMap<MachineId, String>,
    ) -> Option<(MachineId, Assignment)> {
        for (id, token) in tokens {
            let desired = self.client.desired(id, token, None, Duration::ZERO).await.unwrap();
            if let Some(assignment) = desired.assignments.into_iter().next() {
                return Some((id.clone(), assignment));
            }
        }
        None
    }

    async fn told(&self, kind: EventKind) -> Vec<Event> {
        let events = self.client.events(1000).await.unwrap();
        events.into_iter().filter(|event| event.kind == kind).collect()
    }
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

fn job(secrets: &[&str]) -> Job {
    serde_json::from_value(serde_json::json!({
        "dns_basename": "a.b",
        "deployment_recipe": "r",
        "deployment_layout": { "z-1": { "mem": 1, "count": 1 } },
        "task_configuration": { "name": "t", "command": "true", "cpu": 2, "mem": 100 },
        "grants": { "secrets": secrets },
    }))
    .unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::try_from(text.as_bytes().to_vec()).unwrap()
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

/// The files below `dir` that hold `text`.
fn holding(dir: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else if holds(&std::fs::read(&path).unwrap(), text) {
            found.push(path.display().to_string());
        }
    }
    found
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_set_listed_and_removed_and_never_told() {
    let data = tempfile::tempdir().unwrap();
    let served = Served::start(data.path()).await;
    let (client, name) = (&served.client, "db.password".parse().unwrap());
    let view = client.put_secret(&name, secret("one")).await.unwrap();
    assert_eq!((view.size, &*view.jobs), (3, &[][..]));
    client.put_job(&job(&["db.password"]), None).await.unwrap();
    let again = client.put_secret(&name, secret(VALUE)).await.unwrap();
    assert_eq!(again.created_at, view.created_at);
    assert_eq!((again.size, again.jobs[0].as_str()), (VALUE.len() as u64, "a.b"));

    // Also after a restart.
    served.stop().await;
    let served = Served::start(data.path()).await;
    let client = &served.client;
    assert_eq!(client.secrets().await.unwrap(), [again]);
    let plain = reqwest::Client::new();
    let at = |path: &str| format!("{}{path}", client.base());
    assert_eq!(plain.get(at(&paths::secret(&name))).send().await.unwrap().status(), 405);

    client.delete_secret(&name).await.unwrap();
    assert_eq!(client.secrets().await.unwrap(), []);
    assert_eq!(refused(client.delete_secret(&name).await).status, 404);
    assert_eq!(served.told(EventKind::SecretChanged).await.len(), 2);
    assert_eq!(served.told(EventKind::SecretRemoved).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_secret_is_refused_without_being_repeated() {
    let data = tempfile::tempdir().unwrap();
    let served = Served::start(data.path()).await;
    let put = |name: &str, body: Vec<u8>| {
        let url = format!("{}{}/{name}", served.client.base(), paths::SECRETS);
        reqwest::Client::new().put(url).body(body).send()
    };
    let large = VALUE.repeat(Secret::LARGEST / VALUE.len() + 1).into_bytes();
    for (name, body, status, words) in [
        ("a", Vec::new(), 422, "1 to 65536 bytes"),
        ("a", large, 413, "at most 65536 bytes"),
        ("a%20b", b"x".to_vec(), 400, "letters, digits"),
        ("..%2Fjobs", b"x".to_vec(), 400, "letters, digits"),
    ] {
        let answer = put(name, body).await.unwrap();
        assert_eq!(answer.status(), status, "{name}");
        let problem = answer.text().await.unwrap();
        assert!(problem.contains(words) && !problem.contains(VALUE), "{problem}");
    }
    assert_eq!(served.client.secrets().await.unwrap(), []);
    assert_eq!(put("a", vec![7; Secret::LARGEST]).await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_given_what_its_instance_is_granted_and_nothing_else() {
    let data = tempfile::tempdir().unwrap();
    let mut served = Served::start(data.path()).await;
    let tokens = served.join().await;
    let (machine, assignment) = served.deploy(&tokens, &["granted", "missing"], "1").await;
    let other = tokens.keys().find(|id| **id != machine).unwrap().clone();
    let (client, instance) = (served.client.clone(), assignment.instance.id.clone());
    for name in ["granted", "ungranted"] {
        client.put_secret(&name.parse().unwrap(), secret(VALUE)).await.unwrap();
    }
    let token = &tokens[&machine];
    let ask = async |machine: &MachineId, token: &str, name: &str| {
        client.secret_for(machine, token, &instance, name).await
    };
    for _ in 0..3 {
        assert_eq!(ask(&machine, token, "granted").await.unwrap(), VALUE.as_bytes());
    }
    let told = served.told(EventKind::SecretRead).await;
    assert_eq!(told.len(), 1, "told once: {told:?}");
    assert_eq!(told[0].subject.machine.as_ref(), Some(&machine));
    assert_eq!(told[0].subject.instance.as_ref(), Some(&instance));
    assert!(told[0].message.contains("`granted`"), "{told:?}");

    let nobody = "m-99".parse().unwrap();
    for (who, token, name, status, words) in [
        (&machine, "stolen", "granted", 401, "token"),
        (&machine, &*tokens[&other], "granted", 401, "token"),
        (&nobody, token, "granted", 401, "m-99"),
        (&other, &tokens[&other], "granted", 403, "placed elsewhere"),
        (&machine, token, "ungranted", 403, "grants.secrets"),
        (&machine, token, "neither", 403, "grants.secrets"),
        (&machine, token, "missing", 404, "cerebro secret set missing"),
        (&machine, token, "../../join", 400, "letters, digits"),
    ] {
        let problem = refused(ask(who, token, name).await);
        assert_eq!(problem.status, status, "{who} {name}: {problem:?}");
        assert!(problem.detail.contains(words), "{problem:?}");
    }
    let unknown = "7.z-1.a.b".parse().unwrap();
    let asked = client.secret_for(&machine, token, &unknown, "granted").await;
    assert_eq!(refused(asked).status, 403);

    // The next deployment is told anew, and what it does not grant is over.
    served.report_healthy(&machine, token, &assignment).await;
    let (machine, _) = served.deploy(&tokens, &["ungranted"], "2").await;
    let token = &tokens[&machine];
    assert_eq!(refused(ask(&machine, token, "granted").await).status, 403);
    assert_eq!(ask(&machine, token, "ungranted").await.unwrap(), VALUE.as_bytes());
    assert_eq!(served.told(EventKind::SecretRead).await.len(), 2);

    // Nowhere is it said: on disk, in the log, or in anything that people are shown.
    for path in ["/", "/fragment", paths::SECRETS, paths::EVENTS, paths::JOBS, paths::DEPLOYMENTS] {
        let answer = reqwest::get(format!("{}{path}?", client.base())).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert!(!answer.text().await.unwrap().contains(VALUE), "{path}");
    }
    assert_ne!(holding(data.path(), instance.as_str()), Vec::<String>::new());
    assert_eq!(holding(data.path(), VALUE), Vec::<String>::new());
    let log = logged().0.lock().unwrap().clone();
    assert!(holds(&log, "was given the secret `granted`"), "the log is looked at");
    assert!(!holds(&log, VALUE));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_moved_takes_its_secrets_along() {
    let data = tempfile::tempdir().unwrap();
    let mut served = Served::start(data.path()).await;
    let tokens = served.join().await;
    let (machine, assignment) = served.deploy(&tokens, &["granted"], "1").await;
    let (client, instance) = (served.client.clone(), assignment.instance.id.clone());
    client.put_secret(&"granted".parse().unwrap(), secret(VALUE)).await.unwrap();
    let token = &tokens[&machine];
    client.secret_for(&machine, token, &instance, "granted").await.unwrap();

    *served.machines.gone.lock().unwrap() = Some(machine.clone());
    let moved = || async {
        let (id, _) = served.assigned(&tokens).await?;
        (id != machine).then_some(id)
    };
    let now = until("the instance is placed elsewhere", moved).await;
    let late = refused(client.secret_for(&machine, token, &instance, "granted").await);
    // Given up, and soon forgotten.
    assert!(matches!(late.status, 401 | 409) && late.detail.contains("given up"), "{late:?}");
    let value = client.secret_for(&now, &tokens[&now], &instance, "granted").await.unwrap();
    assert_eq!(value, VALUE.as_bytes());
    let told = served.told(EventKind::SecretRead).await;
    let on: Vec<_> = told.iter().filter_map(|event| event.subject.machine.clone()).collect();
    assert_eq!(on, [machine, now.clone()]);

    // And where the job is deleted, nobody is given anything.
    client.delete_job(&"a.b".parse().unwrap()).await.unwrap();
    let ended = || async {
        let asked = client.secret_for(&now, &tokens[&now], &instance, "granted").await;
        asked.is_err().then(|| refused(asked))
    };
    assert_eq!(until("the instance is taken away", ended).await.status, 403);
}
