//! The provider of machines, and the way to their agents.

use crate::clock::SimulatedClock;
use crate::effects::Effects;
use crate::store::Life;
use crate::world::Shared;
use async_trait::async_trait;
use cerebro_clustersitter::cluster::Cluster;
use cerebro_clustersitter::probe::Probing;
use cerebro_machines::{CreateMachine, Intent, MachineProvider, Presence, ProviderError};
use cerebro_model::{Machine, MachineId, Sight};
use std::sync::Arc;
use std::time::Duration;

/// What a call takes, at the least and at the most.
const TAKES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(1500));
/// How long a probe waits.
const PROBE_WAITS: Duration = Duration::from_millis(800);

/// One controller's way to the provider.
#[derive(Clone)]
pub struct SimulatedProvider {
    pub effects: Effects,
    pub life: Arc<Life>,
}

impl SimulatedProvider {
    /// The way there. Who has asked may be dead when it has been gone.
    async fn reach(&self) -> Result<(), ProviderError> {
        if self.life.is_over() {
            return Err(unavailable("the controller is dead"));
        }
        let takes = self.effects.world.lock().between(TAKES.0, TAKES.1);
        tokio::time::sleep(takes).await;
        match self.effects.clock.elapsed() < self.effects.world.lock().broken.provider {
            true => Err(unavailable("the provider cannot be reached")),
            false => Ok(()),
        }
    }

    /// The way back.
    fn answered(&self) -> Result<(), ProviderError> {
        let mut world = self.effects.world.lock();
        let (until, of_ten) = world.broken.lost_answers;
        let lost = self.effects.clock.elapsed() < until && world.rng.u8(0..10) < of_ten;
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
        let is_full = {
            let (world, now) = (self.effects.world.lock(), self.effects.clock.elapsed());
            !world.hosts.contains_key(&order.id)
                && world.broken.full.get(&order.zone).is_some_and(|until| now < *until)
        };
        if is_full {
            let (machine, zone) = (order.id.clone(), order.zone.clone());
            return Err(ProviderError::NoCapacity { machine, zone, why: "it is full".to_owned() });
        }
        self.effects.made(order);
        self.answered()
    }

    async fn end(&self, machine: &MachineId) -> Result<(), ProviderError> {
        self.reach().await?;
        if self.life.ends_in_call(true) {
            return Err(unavailable("the controller died"));
        }
        self.effects.ended(machine);
        self.answered()
    }

    async fn boot(&self, machine: &MachineId) -> Result<(), ProviderError> {
        self.reach().await?;
        if self.life.ends_in_call(true) {
            return Err(unavailable("the controller died"));
        }
        match self.effects.booted(machine) {
            true => self.answered(),
            false => Err(unavailable("there is no such machine")),
        }
    }
}

fn unavailable(why: &str) -> ProviderError {
    let why = format!("{why}: it is tried again");
    ProviderError::Unavailable { doing: "ask the provider".to_owned(), why }
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
        let presence = match self.effects.world.lock().hosts.get(machine) {
            Some(host) if host.exists() => Presence::Running,
            Some(_) => Presence::Gone { why: "the provider has ended it".to_owned() },
            None => Presence::Gone { why: "the provider has none of that id".to_owned() },
        };
        self.answered().map(|()| presence)
    }

    /// Often short: a listing proves nothing. And with much in it that is others'.
    async fn list(&self) -> Result<Vec<MachineId>, ProviderError> {
        self.reach().await?;
        let mut world = self.effects.world.lock();
        let share = world.rng.u8(0..=100);
        let there = world.hosts.iter().filter(|(_, host)| host.exists()).map(|(id, _)| id);
        let there: Vec<_> = there.cloned().collect();
        let mut listed: Vec<_> = there.into_iter().filter(|_| world.chance(share)).collect();
        listed.extend(world.foreign.iter().cloned());
        Ok(listed)
    }

    async fn is_made_by(
        &self,
        machine: &MachineId,
        intent: &Intent,
    ) -> Result<bool, ProviderError> {
        self.reach().await?;
        let made = match self.effects.world.lock().hosts.get(machine) {
            Some(host) => Intent::of(&host.order.join_token) == *intent,
            None => {
                let (machine, known) = (machine.clone(), "others".to_owned());
                return Err(ProviderError::Unknown { machine, known });
            }
        };
        self.answered().map(|()| made)
    }

    /// Half of the agents that hang go on then.
    async fn restart_agent(&self, machine: &MachineId) -> Result<(), ProviderError> {
        self.reach().await?;
        {
            let mut world = self.effects.world.lock();
            let (now, helps) = (self.effects.clock.elapsed(), world.chance(50));
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

    async fn destroy(&self, machine: &MachineId, _: Option<&Intent>) -> Result<(), ProviderError> {
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
