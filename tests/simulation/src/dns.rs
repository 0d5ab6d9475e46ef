//! Names: the strict provider in memory, behind a way that breaks.

use crate::clock::SimulatedClock;
use crate::store::Life;
use crate::world::Shared;
use async_trait::async_trait;
use cerebro_dns::testing::MemoryDns;
use cerebro_dns::{DnsError, DnsProvider, Group, Listed, Mark, Records};
use std::sync::Arc;
use std::time::Duration;

/// What a call takes, at the least and at the most.
const TAKES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(900));

/// One controller's way to whoever answers for names.
pub struct SimulatedDns {
    pub memory: Arc<MemoryDns>,
    pub world: Shared,
    pub clock: Arc<SimulatedClock>,
    pub life: Arc<Life>,
}

impl SimulatedDns {
    /// The way there. Who has asked may be dead when it has been gone.
    async fn reach(&self) -> Result<(), DnsError> {
        if self.life.is_over() {
            return Err(unavailable("the controller is dead"));
        }
        let takes = self.world.lock().between(TAKES.0, TAKES.1);
        tokio::time::sleep(takes).await;
        match self.clock.elapsed() < self.world.lock().broken.names {
            true => Err(unavailable("nobody is reached")),
            false => Ok(()),
        }
    }

    /// The way back.
    fn answered<T>(&self, answer: T) -> Result<T, DnsError> {
        let mut world = self.world.lock();
        let is_deaf = self.clock.elapsed() < world.broken.names_answers;
        match is_deaf && world.rng.u8(0..10) < 5 {
            true => Err(unavailable("the answer was lost")),
            false => Ok(answer),
        }
    }
}

fn unavailable(why: &str) -> DnsError {
    DnsError::Unavailable { doing: "change names".to_owned(), why: why.to_owned() }
}

#[async_trait]
impl DnsProvider for SimulatedDns {
    fn name(&self) -> &str {
        "simulated"
    }

    async fn claim(&self, group: &Group, mark: &Mark) -> Result<(), DnsError> {
        self.reach().await?;
        self.memory.claim(group, mark).await?;
        self.answered(())
    }

    async fn publish(
        &self,
        group: &Group,
        mark: &Mark,
        expected: &Records,
        wanted: &Records,
    ) -> Result<(), DnsError> {
        self.reach().await?;
        self.memory.publish(group, mark, expected, wanted).await?;
        self.answered(())
    }

    async fn withdraw(
        &self,
        group: &Group,
        mark: &Mark,
        expected: &Records,
    ) -> Result<(), DnsError> {
        self.reach().await?;
        self.memory.withdraw(group, mark, expected).await?;
        self.answered(())
    }

    async fn list(&self, group: &Group) -> Result<Listed, DnsError> {
        self.reach().await?;
        let listed = self.memory.list(group).await?;
        self.answered(listed)
    }
}
