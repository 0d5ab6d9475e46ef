//! Agents that run nothing.

use crate::connection::Connection;
use anyhow::{Context, Result};
use cerebro_api::body::{AgentHealth, Heartbeat, Report};
use cerebro_api::paths;
use cerebro_model::{
    Capacity, Cores, Machine, MachineDesired, MachineId, MachineStats, Megabytes, Timestamp,
};
use cerebro_store::{Batch, SqliteStore, Store};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};

/// Zones that they are spread over.
pub const ZONES: u32 = 4;
/// From one heartbeat to the next.
const BEAT: Duration = Duration::from_secs(1);
/// Heartbeats for each report.
const REPORT: u64 = 10;
/// Machines that are written in one commit.
const AT_ONCE: usize = 1000;
/// What shows the controller who calls.
const TOKEN: &str = "of-a-bench";
/// Where they listen.
const PORT: u16 = 40_000;

/// The `n`th of them.
pub fn id(n: u32) -> MachineId {
    MachineId::nth(u64::from(n))
}

/// An address of its own.
fn address(n: u32) -> IpAddr {
    let [_, a, b, c] = n.to_be_bytes();
    Ipv4Addr::new(127, 100 + a, b, c).into()
}

/// Writes the store of a controller that has made them all.
pub fn prepare(data: &Path, agents: u32) -> Result<()> {
    let store = SqliteStore::open(&data.join("store"))?;
    let fence = store.take_term()?;
    let now: Timestamp = SystemTime::now().into();
    let capacity = Capacity {
        cpu: Cores::try_from(4.0)?,
        mem: Megabytes::try_from(4096.0)?,
        disk: Megabytes::ZERO,
    };
    let all: Vec<u32> = (1..=agents).collect();
    for some in all.chunks(AT_ONCE) {
        let mut batch = Batch::new();
        for &n in some {
            let zone = format!("z-{}", n % ZONES).parse()?;
            let machine = Machine {
                address: Some(address(n)),
                agent_port: Some(PORT),
                ..Machine::new(id(n), zone, capacity, now).joined(now)?
            };
            let record = json!({ "machine": machine, "token": TOKEN });
            batch = batch.put(format!("machine/{}", machine.id), serde_json::to_vec(&record)?);
        }
        store.commit(fence, batch)?;
    }
    let counters = json!({ "machine": agents + 1, "deployment": 1, "placement": 1 });
    store.commit(fence, Batch::new().put("counters", serde_json::to_vec(&counters)?))?;
    Ok(())
}

/// All of them that live.
pub struct Fleet {
    agents: BTreeMap<MachineId, JoinSet<()>>,
    late: Arc<AtomicU64>,
}

impl Fleet {
    /// Starts them, spread over a second.
    pub async fn start(agents: u32, controller: SocketAddr) -> Result<Self> {
        let (late, begun) = (Arc::new(AtomicU64::new(0)), Instant::now());
        let mut fleet = Self { agents: BTreeMap::new(), late };
        for n in 1..=agents {
            let address = address(n);
            let listener = TcpListener::bind((address, PORT)).await;
            let listener = listener.with_context(|| format!("{address}:{PORT}"))?;
            let one = Agent { id: id(n), address, controller };
            let first = begun + BEAT + BEAT * n / agents;
            let mut tasks = JoinSet::new();
            tasks.spawn(one.clone().beat(first, fleet.late.clone()));
            tasks.spawn(one.clone().obey());
            tasks.spawn(one.answer(listener));
            fleet.agents.insert(id(n), tasks);
        }
        Ok(fleet)
    }

    /// Ends one, with all its connections, as if its machine had none any longer.
    pub fn kill(&mut self, id: &MachineId) {
        self.agents.remove(id);
    }

    /// Heartbeats that the controller took more than half a second for, or did not take.
    pub fn late(&self) -> u64 {
        self.late.load(Relaxed)
    }

    /// Of the start.
    pub fn forget_late(&self) {
        self.late.store(0, Relaxed);
    }
}

#[derive(Clone)]
struct Agent {
    id: MachineId,
    address: IpAddr,
    controller: SocketAddr,
}

impl Agent {
    async fn connect(&self) -> Connection {
        loop {
            if let Ok(connection) = Connection::open(self.address, self.controller).await {
                return connection;
            }
            tokio::time::sleep(BEAT).await;
        }
    }

    async fn beat(self, first: Instant, late: Arc<AtomicU64>) {
        let stats = MachineStats { mem_total: 1 << 32, ..MachineStats::default() };
        let heartbeat = Heartbeat { token: TOKEN.to_owned(), pid: 1, stats };
        let report = Report { token: TOKEN.to_owned(), instances: Vec::new(), events: Vec::new() };
        // Of strings and numbers: they can be written.
        let (heartbeat, report) = (
            serde_json::to_vec(&heartbeat).unwrap_or_default(),
            serde_json::to_vec(&report).unwrap_or_default(),
        );
        let post = |path: String| format!("POST {path} HTTP/1.1");
        let (beat, told) =
            (post(paths::machine_heartbeat(&self.id)), post(paths::machine_report(&self.id)));
        let mut connection = self.connect().await;
        let mut ticks = interval_at(first, BEAT);
        for n in 0u64.. {
            ticks.tick().await;
            let begun = Instant::now();
            let mut answer = connection.ask(&beat, &heartbeat).await;
            if begun.elapsed() > BEAT / 2 || answer.is_err() {
                late.fetch_add(1, Relaxed);
            }
            if answer.is_ok() && n % REPORT == REPORT - 1 {
                answer = connection.ask(&told, &report).await;
            }
            if let Err(error) = answer {
                eprintln!("  {}: {error:#}", self.id);
                connection = self.connect().await;
            }
        }
    }

    async fn obey(self) {
        let mut connection = self.connect().await;
        let mut seen = String::new();
        loop {
            let path = paths::machine_desired(&self.id);
            let head =
                format!("GET {path}?wait=30{seen} HTTP/1.1\r\nauthorization: Bearer {TOKEN}");
            let answer = connection.ask(&head, &[]).await;
            let desired = answer.and_then(|body| Ok(serde_json::from_slice(&body)?));
            match desired {
                Ok(MachineDesired { term, index, .. }) => {
                    seen = format!("&term={term}&index={index}");
                }
                Err(error) => {
                    eprintln!("  {}: {error:#}", self.id);
                    tokio::time::sleep(BEAT).await;
                    connection = self.connect().await;
                }
            }
        }
    }

    /// To probes.
    async fn answer(self, listener: TcpListener) {
        let health = serde_json::to_string(&AgentHealth { machine: self.id, pid: 1 });
        let health = health.unwrap_or_default();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{health}",
            health.len()
        );
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            // Whoever asks too much, or breaks off, is no probe.
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    }
}
