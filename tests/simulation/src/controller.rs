//! A controller: the real state, executor and API, on simulated ways.

use crate::clock::SimulatedClock;
use crate::cloud::Cloud;
use crate::effects::Effects;
use crate::provider::SimulatedProbe;
use crate::store::{Life, SimulatedStore};
use crate::world::Shared;
use anyhow::Result;
use cerebro_clustersitter::clock::Clock;
use cerebro_clustersitter::cluster::{Cluster, Dns};
use cerebro_clustersitter::decisions::{DecisionLog, LogLimits};
use cerebro_clustersitter::executor::Executor;
use cerebro_clustersitter::{http, sweep};
use cerebro_dns::advice::Via;
use cerebro_model::{Capacity, Cores, MachineId, Megabytes};
use cerebro_planner::cluster::{Limits, Note, Policy, ZonePolicy};
use cerebro_store::{Blobs, SqliteStore};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::operator::ZONES;

/// What outlives every controller.
pub struct Ground {
    pub world: Shared,
    pub clock: Arc<SimulatedClock>,
    pub committed: Arc<SqliteStore>,
    pub blobs: Blobs,
    /// Whoever has the machines, and answers for names.
    pub cloud: Arc<dyn Cloud>,
    /// Where controllers keep what they decide, if they do.
    pub decisions: Option<PathBuf>,
    /// How many machines there are to be in each zone.
    pub per_zone: u32,
}

impl Ground {
    /// In a directory that is memory, below this cloud.
    pub fn new(
        seed: u64,
        machines: u32,
        directory: &Path,
        cloud: impl FnOnce(Effects) -> Result<Arc<dyn Cloud>>,
    ) -> Result<Self> {
        let (clock, world) = (Arc::new(SimulatedClock::new()), Shared::new(seed));
        let committed = Arc::new(SqliteStore::open(&directory.join("store"))?);
        let effects =
            Effects { world: world.clone(), clock: clock.clone(), committed: committed.clone() };
        Ok(Self {
            world,
            clock,
            cloud: cloud(effects)?,
            committed,
            blobs: Blobs::open(&directory.join("blobs"))?,
            decisions: None,
            per_zone: machines / ZONES.len() as u32,
        })
    }
}

/// A controller that leads, or that did.
pub struct Controller {
    pub cluster: Arc<Cluster>,
    pub executor: Executor,
    pub api: axum::Router,
    pub life: Arc<Life>,
    pub changed: watch::Receiver<u64>,
    news: BTreeMap<MachineId, watch::Receiver<()>>,
    /// Ends with it.
    _sweeps: JoinSet<()>,
}

impl Controller {
    /// Starts one, which takes the lead.
    pub async fn start(ground: &Ground) -> Result<Self> {
        let life = Arc::new(Life::default());
        let (world, clock) = (ground.world.clone(), ground.clock.clone());
        let store = Arc::new(SimulatedStore::new(
            ground.committed.clone(),
            world.clone(),
            clock.clone(),
            life.clone(),
        ));
        let provider = ground.cloud.machines(&life).await?;
        let cluster = Cluster::open(store, ground.blobs.clone(), provider, policy(ground))?;
        let cluster = match &ground.decisions {
            Some(directory) => {
                cluster.with_decisions(DecisionLog::open(directory, LogLimits::default())?)
            }
            None => cluster,
        };
        let (names, name) = (ground.cloud.names(&life).await?, "simulated".parse()?);
        let cluster = cluster.with_dns(Dns { provider: names, cluster: name, via: Via::Zone });
        let cluster = Arc::new(cluster.with_clock(clock.clone()));
        let probing = Arc::new(SimulatedProbe { world, clock });
        let executor = Executor::new(cluster.clone(), "http://10.0.0.1:30000".to_owned(), probing);
        let (api, changed) = (http::router(cluster.clone()), cluster.changed());
        let mut sweeps = JoinSet::new();
        sweeps.spawn(sweep::run(cluster.clone()));
        let news = BTreeMap::new();
        Ok(Self { cluster, executor, api, life, changed, news, _sweeps: sweeps })
    }

    /// Whether people, a brake or a doubt of its own keep it from acting.
    pub fn is_held(&self) -> bool {
        let holds = |note: &Note| {
            matches!(note, Note::Paused { .. } | Note::Doubt { .. } | Note::BreakerOpen { .. })
        };
        self.cluster.notes().iter().any(holds)
    }

    /// Whether there is news for a machine since this was asked last.
    pub fn has_news_for(&mut self, id: &MachineId) -> bool {
        match self.news.get_mut(id) {
            Some(news) => {
                let is_new = news.has_changed().unwrap_or(false);
                news.mark_unchanged();
                is_new
            }
            None => {
                self.news.insert(id.clone(), self.cluster.news_of(id));
                true
            }
        }
    }
}

fn policy(ground: &Ground) -> Policy {
    let zone = ZonePolicy::new(ground.per_zone, ground.per_zone + ground.per_zone / 4 + 2);
    let zones = ZONES.iter().filter_map(|name| Some((name.parse().ok()?, zone)));
    Policy {
        zones: zones.collect(),
        machine_capacity: capacity(),
        started_at: ground.clock.now(),
        suspect_after: SUSPECT_AFTER,
        join_within: Duration::from_secs(60),
        breaker_percent: BREAKER_PERCENT,
        limits: Limits::default(),
        publishes: true,
    }
}

/// Silence that counts.
pub const SUSPECT_AFTER: Duration = Duration::from_millis(2500);
/// The share of a zone above which nothing there is given up.
pub const BREAKER_PERCENT: u32 = 30;

/// What each machine has to give.
pub fn capacity() -> Capacity {
    let mem = Megabytes::new(16_384);
    Capacity { cpu: Cores::from_millis(8000), mem, disk: Megabytes::new(100_000) }
}
