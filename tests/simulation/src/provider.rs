//! The provider of machines, and the way to their agents.

use crate::clock::SimulatedClock;
use crate::store::Life;
use crate::world::{Host, HostState, Shared, Time, Wedged, World};
use async_trait::async_trait;
use cerebro_clustersitter::cluster::Cluster;
use cerebro_clustersitter::probe::Probing;
use cerebro_machines::{CreateMachine, MachineProvider, Presence, ProviderError};
use cerebro_model::{Machine, MachineId, MachineState, Sight};
use cerebro_store::{SqliteStore, Store};
use std::sync::Arc;
use std::time::Duration;

/// What a call takes, at the least and at the most.
const TAKES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(1500));
/// What a machine takes to start.
const BOOTS: (Duration, Duration) = (Duration::from_secs(8), Duration::from_secs(35));
/// Of a hundred machines, how many never join.
const NEVER_JOIN: u8 = 2;
/// How long a probe waits.
const PROBE_WAITS: Duration = Duration::from_millis(800);

/// One controller's way to the provider.
#[derive(Clone)]
pub struct SimulatedProvider {
    pub world: Shared,
    pub clock: Arc<SimulatedClock>,
    pub life: Arc<Life>,
    /// What is committed, beside whatever controller.
    pub committed: Arc<SqliteStore>,
}

impl SimulatedProvider {
    /// The way there. Who has asked may be dead when it has been gone.
    async fn reach(&self) -> Result<(), ProviderError> {
        if self.life.is_over() {
            return Err(unavailable("the controller is dead"));
        }
        let takes = self.world.lock().between(TAKES.0, TAKES.1);
        tokio::time::sleep(takes).await;
        match self.clock.elapsed() < self.world.lock().broken.provider {
            true => Err(unavailable("the provider cannot be reached")),
            false => Ok(()),
        }
    }

    /// The way back.
    fn answered(&self) -> Result<(), ProviderError> {
        let mut world = self.world.lock();
        let (until, of_ten) = world.broken.lost_answers;
        let lost = self.clock.elapsed() < until && world.rng.u8(0..10) < of_ten;
        match lost || self.life.ends_in_call(false) {
            true => Err(unavailable("the provider's answer was lost")),
            false => Ok(()),
        }
    }

    async fn make(&self, order: &CreateMachine) -> Result<(), ProviderError> {
        self.reach().await?;
        if self.life.ends_in_call(true) {
            return Err(unavailable("the controller died"));
        }
        let (recorded, now) = (self.recorded(&order.id), self.clock.elapsed());
        {
            let mut world = self.world.lock();
            if recorded.is_none() && !world.hosts.contains_key(&order.id) {
                world.violated(now, format!("{} is made, and no record says so", order.id));
            }
            make(&mut world, order, now);
        }
        self.answered()
    }

    async fn end(&self, machine: &MachineId) -> Result<(), ProviderError> {
        self.reach().await?;
        if self.life.ends_in_call(true) {
            return Err(unavailable("the controller died"));
        }
        let (recorded, now) = (self.recorded(machine), self.clock.elapsed());
        {
            let mut world = self.world.lock();
            let is_given_up = recorded.as_ref().is_some_and(|state| !is_kept(state));
            if world.foreign.contains(machine) {
                world.violated(now, format!("{machine} is ended, and is not the cluster's"));
            }
            let there = world.hosts.get(machine).is_some_and(Host::exists);
            if there && !is_given_up {
                world.violated(now, format!("{machine} is ended, and is recorded as {recorded:?}"));
            }
            if let Some(host) = world.hosts.get_mut(machine) {
                host.state = HostState::Ended;
                host.agent().end();
                world.ended += u64::from(there);
            }
        }
        self.answered()
    }

    /// All that runs there ends, and it boots, if it does.
    async fn boot(&self, machine: &MachineId) -> Result<(), ProviderError> {
        self.reach().await?;
        if self.life.ends_in_call(true) {
            return Err(unavailable("the controller died"));
        }
        let (attempted, now) = (self.attempted(machine), self.clock.elapsed());
        {
            let mut world = self.world.lock();
            let must_doubt = world.controller_must_doubt(now);
            let boots = now + world.between(BOOTS.0, BOOTS.1);
            let Some(host) = world.hosts.get_mut(machine).filter(|host| host.exists()) else {
                return Err(unavailable("there is no such machine"));
            };
            let lives = host.must_be_known_to_live(now);
            // What nothing cures takes no notice, and its tasks go on.
            if host.wedged != Wedged::ForEver {
                host.agent().rebooted();
                host.state = HostState::Boots(Some(boots));
                host.hung_until = host.hung_until.min(now);
                host.wedged = Wedged::No;
            }
            world.rebooted += 1;
            if lives {
                world.violated(now, format!("{machine} is rebooted, and others reach it"));
            }
            if must_doubt {
                world.violated(
                    now,
                    format!("{machine} is rebooted by a controller that is cut off"),
                );
            }
            if !attempted {
                world.violated(now, format!("{machine} is rebooted, and no record says so"));
            }
        }
        self.answered()
    }

    /// Whether it is committed that a machine is rebooted.
    fn attempted(&self, id: &MachineId) -> bool {
        let record = self.record(id);
        let attempts = record.as_ref().and_then(|record| record.get("attempts")?.as_array());
        let reboots = |it: &serde_json::Value| it.get("rung").is_some_and(|rung| rung == "reboot");
        attempts.is_some_and(|all| all.iter().any(reboots))
    }

    fn record(&self, id: &MachineId) -> Option<serde_json::Value> {
        let entry = self.committed.get(&format!("machine/{id}")).ok()??;
        serde_json::from_slice(&entry.value).ok()
    }

    /// Where a machine stands by what is committed, if it is there.
    fn recorded(&self, id: &MachineId) -> Option<MachineState> {
        let record = self.record(id)?;
        let machine: Machine = serde_json::from_value(record.get("machine")?.clone()).ok()?;
        Some(machine.state)
    }
}

fn unavailable(why: &str) -> ProviderError {
    let why = format!("{why}: it is tried again");
    ProviderError::Unavailable { doing: "ask the provider".to_owned(), why }
}

/// A machine begins. Asked for again it is the same one.
fn make(world: &mut World, order: &CreateMachine, now: Time) {
    if world.hosts.contains_key(&order.id) {
        return;
    }
    let joins = !world.chance(NEVER_JOIN);
    let at = now + world.between(BOOTS.0, BOOTS.1);
    let host = Host::new(order.clone(), joins.then_some(at));
    world.hosts.insert(order.id.clone(), host);
    world.made += 1;
}

#[async_trait]
impl MachineProvider for SimulatedProvider {
    fn name(&self) -> &str {
        "simulated"
    }

    async fn create(&self, machine: &CreateMachine) -> Result<(), ProviderError> {
        let (this, machine) = (self.clone(), machine.clone());
        in_flight(async move { this.make(&machine).await }).await
    }

    async fn describe(&self, machine: &MachineId) -> Result<Presence, ProviderError> {
        self.reach().await?;
        let presence = match self.world.lock().hosts.get(machine) {
            Some(host) if host.exists() => Presence::Running,
            Some(_) => Presence::Gone { why: "the provider has ended it".to_owned() },
            None => Presence::Gone { why: "the provider has none of that id".to_owned() },
        };
        self.answered().map(|()| presence)
    }

    /// Often short: a listing proves nothing.
    async fn list(&self) -> Result<Vec<MachineId>, ProviderError> {
        self.reach().await?;
        let mut world = self.world.lock();
        let share = world.rng.u8(0..=100);
        let ids: Vec<_> = world.hosts.keys().chain(&world.foreign).cloned().collect();
        Ok(ids.into_iter().filter(|_| world.chance(share)).collect())
    }

    /// Half of the agents that hang go on then.
    async fn restart_agent(&self, machine: &MachineId) -> Result<(), ProviderError> {
        self.reach().await?;
        {
            let mut world = self.world.lock();
            let (now, helps) = (self.clock.elapsed(), world.chance(50));
            if let Some(host) = world.hosts.get_mut(machine).filter(|_| helps) {
                host.hung_until = host.hung_until.min(now);
            }
        }
        self.answered()
    }

    async fn reboot(&self, machine: &MachineId) -> Result<(), ProviderError> {
        let (this, machine) = (self.clone(), machine.clone());
        in_flight(async move { this.boot(&machine).await }).await
    }

    async fn destroy(&self, machine: &MachineId) -> Result<(), ProviderError> {
        let (this, machine) = (self.clone(), machine.clone());
        in_flight(async move { this.end(&machine).await }).await
    }
}

/// What was asked for goes on, also if who asked does not live to hear of it.
async fn in_flight(
    call: impl Future<Output = Result<(), ProviderError>> + Send + 'static,
) -> Result<(), ProviderError> {
    let ended = tokio::spawn(call).await;
    ended.unwrap_or_else(|_| Err(unavailable("the provider broke down")))
}

/// Whether a machine is one that the cluster has and keeps.
fn is_kept(state: &MachineState) -> bool {
    state.is_pending() || state.runs()
}

/// The way from the controller to agents, and between these.
pub struct SimulatedProbe {
    pub world: Shared,
    pub clock: Arc<SimulatedClock>,
}

#[async_trait]
impl Probing for SimulatedProbe {
    async fn probe(&self, machine: &Machine) -> Result<(), String> {
        self.way_to(&machine.id).await
    }

    async fn ask_peer(&self, _: &Cluster, peer: &MachineId, machine: &Machine) -> (Sight, String) {
        if let Err(why) = self.way_to(peer).await {
            return (Sight::Unknown, why);
        }
        let (now, world) = (self.clock.elapsed(), self.world.clone());
        let answers = |id| world.lock().hosts.get(id).is_some_and(|host| host.answers_peers(now));
        match answers(&machine.id) {
            true => (Sight::Answered, "it answers".to_owned()),
            false => {
                tokio::time::sleep(PROBE_WAITS).await;
                // It may have gone itself meanwhile.
                match answers(peer) {
                    true => (Sight::Silent, "no answer in time".to_owned()),
                    false => (Sight::Unknown, "the answer broke off".to_owned()),
                }
            }
        }
    }
}

impl SimulatedProbe {
    async fn way_to(&self, id: &MachineId) -> Result<(), String> {
        let takes = {
            let (now, mut world) = (self.clock.elapsed(), self.world.lock());
            let is_cut = now < world.broken.machines;
            let answers = world.hosts.get(id).is_some_and(|host| host.answers(now));
            (answers && !is_cut)
                .then(|| world.between(Duration::from_millis(2), Duration::from_millis(80)))
        };
        match takes {
            Some(takes) => {
                tokio::time::sleep(takes).await;
                Ok(())
            }
            None => {
                tokio::time::sleep(PROBE_WAITS).await;
                Err("no answer in time".to_owned())
            }
        }
    }
}
