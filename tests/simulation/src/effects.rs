//! What a provider's calls do to the world, and what must be on record before they may.

use crate::clock::SimulatedClock;
use crate::world::{Host, HostState, Shared, Wedged};
use cerebro_machines::CreateMachine;
use cerebro_model::{Digest, Machine, MachineId, MachineState, Timestamp};
use cerebro_store::{SqliteStore, Store};
use std::sync::Arc;
use std::time::Duration;

/// What a machine takes to start.
const BOOTS: (Duration, Duration) = (Duration::from_secs(8), Duration::from_secs(35));
/// Of a hundred machines, how many never join.
const NEVER_JOIN: u8 = 2;

/// The world, as whoever has the machines changes it.
#[derive(Clone)]
pub struct Effects {
    pub world: Shared,
    pub clock: Arc<SimulatedClock>,
    /// What is committed, beside whatever controller.
    pub committed: Arc<SqliteStore>,
}

impl Effects {
    /// What a clock shows that is never wrong.
    pub fn right_time(&self) -> Timestamp {
        self.clock.right()
    }

    /// A machine begins. Asked for again it is the same one.
    pub fn made(&self, order: &CreateMachine) {
        let (recorded, now) = (self.recorded(&order.id), self.clock.elapsed());
        let mut world = self.world.lock();
        if world.hosts.contains_key(&order.id) {
            return;
        }
        if recorded.is_none() {
            world.violated(now, format!("{} is made, and no record says so", order.id));
        }
        let joins = !world.chance(NEVER_JOIN);
        let at = now + world.between(BOOTS.0, BOOTS.1);
        let host = Host::new(order.clone(), joins.then_some(at));
        world.hosts.insert(order.id.clone(), host);
        world.made += 1;
    }

    /// A machine ends, with all that runs there.
    pub fn ended(&self, machine: &MachineId) {
        let (recorded, now) = (self.recorded(machine), self.clock.elapsed());
        let is_given_up = match &recorded {
            Some(state) => !is_kept(state),
            // One that is there after it was forgotten is an orphan.
            None => matches!(self.committed.get(&format!("gone/{machine}")), Ok(Some(_))),
        };
        let mut world = self.world.lock();
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

    /// All that runs on a machine ends, and it boots, if it does. Whether there is such a machine.
    pub fn booted(&self, machine: &MachineId) -> bool {
        let (attempted, now) = (self.attempted(machine), self.clock.elapsed());
        let mut world = self.world.lock();
        let must_doubt = world.controller_must_doubt(now);
        let boots = now + world.between(BOOTS.0, BOOTS.1);
        let Some(host) = world.hosts.get_mut(machine).filter(|host| host.exists()) else {
            return false;
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
            world.violated(now, format!("{machine} is rebooted by a controller that is cut off"));
        }
        if !attempted {
            world.violated(now, format!("{machine} is rebooted, and no record says so"));
        }
        true
    }

    /// What a machine's agent proves itself with is kept with the machine: that it has joined with it is on record.
    pub fn proof_kept(&self, machine: &MachineId, kept: Option<&str>) {
        let Some(record) = self.record(machine) else { return };
        let token = record.get("token").and_then(|it| it.as_str()).unwrap_or_default();
        if kept != Some(Digest::of(token.as_bytes()).to_string().as_str()) {
            let (now, mut world) = (self.clock.elapsed(), self.world.lock());
            world.violated(now, format!("of {machine} is kept what its agent does not show"));
        }
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

/// Whether a machine is one that the cluster has and keeps.
fn is_kept(state: &MachineState) -> bool {
    state.is_pending() || state.runs()
}
