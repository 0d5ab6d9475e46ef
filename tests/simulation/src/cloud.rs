//! Whoever has the machines, and whoever answers for names: what outlives every controller, and is called by each.

use crate::dns::SimulatedDns;
use crate::effects::Effects;
use crate::provider::SimulatedProvider;
use crate::store::Life;
use anyhow::Result;
use async_trait::async_trait;
use cerebro_dns::testing::MemoryDns;
use cerebro_dns::{DnsProvider, Group};
use cerebro_machines::MachineProvider;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

/// A cloud.
#[async_trait]
pub trait Cloud: Send + Sync {
    /// The way of a controller of that life to its machines.
    async fn machines(&self, life: &Arc<Life>) -> Result<Arc<dyn MachineProvider>>;

    /// The same, to its names.
    async fn names(&self, life: &Arc<Life>) -> Result<Arc<dyn DnsProvider>>;

    /// What the world has done to machines is so here too.
    fn follow(&self) {}

    /// What is answered to whoever asks for the name of a group.
    fn addresses(&self, group: &Group) -> BTreeSet<IpAddr>;

    /// The groups of which anything is published.
    fn published(&self) -> BTreeSet<String>;

    /// What is wrong in the end, and only seen here.
    fn wrong(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The plainest: calls do what they say, and names are in memory.
pub struct Plain {
    effects: Effects,
    names: Arc<MemoryDns>,
}

impl Plain {
    /// One without anything.
    pub fn new(effects: Effects) -> Self {
        let times = effects.clone();
        Self { effects, names: Arc::new(MemoryDns::new(move || times.right_time())) }
    }
}

#[async_trait]
impl Cloud for Plain {
    async fn machines(&self, life: &Arc<Life>) -> Result<Arc<dyn MachineProvider>> {
        let (effects, life) = (self.effects.clone(), life.clone());
        Ok(Arc::new(SimulatedProvider { effects, life }))
    }

    async fn names(&self, life: &Arc<Life>) -> Result<Arc<dyn DnsProvider>> {
        let (world, clock) = (self.effects.world.clone(), self.effects.clock.clone());
        let (memory, life) = (self.names.clone(), life.clone());
        Ok(Arc::new(SimulatedDns { memory, world, clock, life }))
    }

    fn addresses(&self, group: &Group) -> BTreeSet<IpAddr> {
        self.names.addresses(group, &group.name())
    }

    fn published(&self) -> BTreeSet<String> {
        let all = self.names.now().into_iter();
        all.filter(|(_, found)| !found.records.is_empty()).map(|(group, _)| group.name()).collect()
    }
}
