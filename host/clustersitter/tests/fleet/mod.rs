//! A controller over a real socket, and agents that keep the contract without doing anything.

mod agent;

use agent::{Agent, Ways};
use async_trait::async_trait;
use cerebro_api::Client;
use cerebro_api::body::{DeployRequest, JoinRequest};
use cerebro_clustersitter::clock::{Clock, WallClock};
use cerebro_clustersitter::cluster::{Cluster, Joining};
use cerebro_clustersitter::decisions::{DECISIONS, DecisionLog, LogLimits};
use cerebro_clustersitter::executor::Executor;
use cerebro_clustersitter::http;
use cerebro_clustersitter::probe::HttpProbe;
use cerebro_clustersitter::programs::Programs;
use cerebro_machines::{CreateMachine, Intent, MachineProvider, Made, Presence, ProviderError};
use cerebro_model::{Capacity, Cores, Deployment, DeploymentId, Digest, Job, MachineId, Megabytes};
use cerebro_planner::cluster::{Limits, Policy, ZonePolicy};
use cerebro_store::{Blobs, SqliteStore};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Remembers what it was asked to create and to keep, and creates nothing.
#[derive(Default)]
pub struct Machines(
    Mutex<BTreeMap<MachineId, CreateMachine>>,
    AtomicBool,
    Mutex<BTreeMap<MachineId, Digest>>,
);

impl Machines {
    /// Whether a machine was made and not destroyed.
    pub fn has(&self, id: &MachineId) -> bool {
        self.0.lock().unwrap().contains_key(id)
    }

    /// From now on it destroys nothing and says so, or does as it is told.
    pub fn refuse(&self, refuses: bool) {
        self.1.store(refuses, Relaxed);
    }

    /// Has a machine be made in another term.
    pub fn made_in(&self, id: &MachineId, term: u64) {
        self.0.lock().unwrap().get_mut(id).unwrap().term = term;
    }

    /// Of what a machine's agent proves itself with, once that is kept.
    pub fn proof(&self, id: &MachineId) -> Option<Digest> {
        self.2.lock().unwrap().get(id).copied()
    }

    pub fn token(&self, id: &MachineId) -> String {
        self.0.lock().unwrap()[id].join_token.clone()
    }
}

#[async_trait]
impl MachineProvider for Machines {
    fn name(&self) -> &str {
        "recorder"
    }
    async fn create(&self, machine: &CreateMachine) -> Result<(), ProviderError> {
        let mut made = self.0.lock().unwrap();
        let known = made.entry(machine.id.clone()).or_insert_with(|| machine.clone());
        match known.join_token == machine.join_token {
            true => Ok(()),
            false => Err(ProviderError::Taken { machine: machine.id.clone() }),
        }
    }
    async fn made(&self, id: &MachineId) -> Result<Made, ProviderError> {
        let made = self.0.lock().unwrap().get(id).cloned();
        let unknown = || ProviderError::Unknown { machine: id.clone(), known: String::new() };
        let CreateMachine { zone, capacity, term, join_token, .. } = made.ok_or_else(unknown)?;
        let Some(token) = self.2.lock().unwrap().get(id).copied() else {
            let (doing, why) = (format!("take {id} over"), "it never joined".to_owned());
            return Err(ProviderError::Refused { doing, why });
        };
        Ok(Made { zone, capacity, term, intent: Intent::of(&join_token), token })
    }
    fn keeps_proofs(&self) -> bool {
        true
    }
    async fn keep_proof(
        &self,
        id: &MachineId,
        intent: &Intent,
        token: &Digest,
    ) -> Result<(), ProviderError> {
        if self.is_made_by(id, intent).await? {
            self.2.lock().unwrap().insert(id.clone(), *token);
        }
        Ok(())
    }
    async fn is_made_by(&self, id: &MachineId, intent: &Intent) -> Result<bool, ProviderError> {
        let made = self.0.lock().unwrap();
        Ok(made.get(id).is_some_and(|made| Intent::of(&made.join_token) == *intent))
    }
    async fn describe(&self, _: &MachineId) -> Result<Presence, ProviderError> {
        Ok(Presence::Running)
    }
    async fn list(&self) -> Result<Vec<MachineId>, ProviderError> {
        Ok(Vec::new())
    }
    async fn destroy(&self, id: &MachineId, _: Option<&Intent>) -> Result<(), ProviderError> {
        if self.1.load(Relaxed) {
            let left = "its init is not in the mood".to_owned();
            return Err(ProviderError::NotEnded { machine: id.clone(), left });
        }
        self.0.lock().unwrap().remove(id);
        Ok(())
    }
}

/// A controller with `machines` agents in one zone that may have one machine more.
pub struct Fleet {
    pub client: Client,
    pub ways: Arc<Ways>,
    pub machines: Arc<Machines>,
    /// Ends what it runs when it is dropped.
    running: JoinSet<()>,
}

impl Fleet {
    pub async fn start(data: &Path, machines: u32) -> Self {
        let mut fleet = Self::alone(data, machines).await;
        let made = || async {
            let made = fleet.machines.0.lock().unwrap().clone();
            (made.len() == machines as usize).then_some(made)
        };
        for (id, made) in until("machines are made", made).await {
            fleet.join(id, made.join_token).await;
        }
        fleet.client.put_recipe(&"r".parse().unwrap(), recipe()).await.unwrap();
        fleet
    }

    /// The controller alone: nothing joins that has not.
    pub async fn alone(data: &Path, machines: u32) -> Self {
        Self::with(data, machines, Arc::default()).await
    }

    /// Another controller in place of this one, after a crash; agents come to it as they went to this.
    pub async fn restarted(self, data: &Path, machines: u32) -> Self {
        self.restarted_on(data, machines, |_| ()).await
    }

    /// The same, with a store that was changed in between.
    pub async fn restarted_on(
        self,
        data: &Path,
        machines: u32,
        change: impl FnOnce(&SqliteStore),
    ) -> Self {
        let (ways, provider) = (self.ways.clone(), self.machines.clone());
        self.stop().await;
        let opened = || async { SqliteStore::open(data).ok() };
        change(&until("the store can be opened", opened).await);
        let mut fleet = Self::with(data, machines, provider).await;
        fleet.ways = ways;
        let made = fleet.machines.0.lock().unwrap().clone();
        for (id, made) in made {
            fleet.join(id, made.join_token).await;
        }
        fleet
    }

    /// A controller with a store of its own in place of this one: its agents are not known there.
    pub async fn anew(self, data: &Path, machines: u32) -> Self {
        let provider = self.machines.clone();
        self.stop().await;
        Self::with(data, machines, provider).await
    }

    /// A controller on a store, for machines that are there.
    pub async fn with(data: &Path, machines: u32, provider: Arc<Machines>) -> Self {
        // One that was stopped lets go of it when its last connection has ended.
        let opened = || async { SqliteStore::open(data).ok() };
        let store = Arc::new(until("the store can be opened", opened).await);
        let blobs = Blobs::open(&data.join("blobs")).unwrap();
        let zone = ("z-1".parse().unwrap(), ZonePolicy::new(machines, machines + 1));
        let policy = Policy {
            zones: BTreeMap::from([zone]),
            machine_capacity: Capacity {
                cpu: Cores::from_millis(2000),
                mem: Megabytes::new(1000),
                disk: Megabytes::new(1000),
            },
            started_at: WallClock.now(),
            suspect_after: Duration::from_secs(30),
            join_within: Duration::from_secs(60),
            breaker_percent: 30,
            limits: Limits::default(),
            publishes: false,
        };
        let log = DecisionLog::open(&data.join(DECISIONS), LogLimits::default()).unwrap();
        let cluster = Cluster::open(store, blobs, provider.clone(), policy).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let joining = Joining { programs: programs(data), controller: base.clone() };
        let cluster = Arc::new(cluster.with_decisions(log).with_joining(joining));
        let mut running = JoinSet::new();
        let executor = Executor::new(cluster.clone(), base.clone(), Arc::new(HttpProbe::new()));
        running.spawn(async move { drop(executor.run().await) });
        running.spawn(async move { drop(axum::serve(listener, http::router(cluster)).await) });
        let client = Client::new(base).unwrap();
        Self { client, ways: Arc::default(), machines: provider, running }
    }

    /// As a crash would, but that the store's lock goes with it.
    pub async fn stop(mut self) {
        self.running.shutdown().await;
    }

    /// The agent of a machine that was joined by hand, which has a token of its own.
    pub async fn run_agent(&mut self, id: MachineId, token: String) {
        self.join(id, token).await;
    }

    async fn join(&mut self, id: MachineId, token: String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let request = JoinRequest {
            token: token.clone(),
            own_token: None,
            address: "127.0.0.1".parse().unwrap(),
            also_at: Vec::new(),
            port: listener.local_addr().unwrap().port(),
            pid: 7,
            version: "0".to_owned(),
            term: 0,
            runs: Vec::new(),
        };
        // One whose end is recorded is told so, and shows up all the same.
        let _ = self.client.join(&id, &request).await;
        let agent = Arc::new(Agent { id, token, ways: self.ways.clone() });
        let served = agent::contract(agent.clone());
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
            self.client.deployment(id).await.ok().filter(|now| now.state.has_ended())
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

/// What stands beside the controller.
fn programs(data: &Path) -> Programs {
    let directory = data.join("bin");
    std::fs::create_dir_all(&directory).unwrap();
    for name in ["machinesitter", "tasksitter"] {
        std::fs::write(directory.join(name), format!("#!/bin/sh\n# {name}\n")).unwrap();
    }
    Programs::in_directory(directory)
}

pub fn request(version: &str) -> DeployRequest {
    DeployRequest::new(version.parse().unwrap(), Default::default())
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
