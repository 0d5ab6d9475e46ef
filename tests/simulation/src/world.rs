//! What is true, whatever the controller believes.

use crate::agent::Agent;
use cerebro_machines::CreateMachine;
use cerebro_model::MachineId;
use fastrand::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Times of the world: since its beginning.
pub type Time = Duration;

/// What is true.
pub struct World {
    /// Where all chance comes from.
    pub rng: Rng,
    /// Every machine that was ever made for the cluster.
    pub hosts: BTreeMap<MachineId, Host>,
    /// Machines of the same account that are not the cluster's.
    pub foreign: BTreeSet<MachineId>,
    /// The ways that are broken.
    pub broken: Broken,
    /// The term of whoever leads.
    pub term: u64,
    /// What must never be, and was.
    pub violations: Vec<String>,
    /// Calls that reached the provider and had an effect.
    pub made: u64,
    /// The same, of those that ended a machine.
    pub ended: u64,
}

/// A machine, as it is.
pub struct Host {
    /// What it was made from.
    pub order: CreateMachine,
    /// Whether it is there.
    pub state: HostState,
    /// Until when nobody reaches it, and it reaches nobody.
    pub cut_until: Time,
    /// Until when it does nothing at all.
    pub hung_until: Time,
    /// What runs there.
    pub agent: Agent,
}

/// Whether a machine is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostState {
    /// It starts; its agent calls the controller at that time, if ever.
    Boots(Option<Time>),
    /// It runs.
    Up,
    /// It is gone, and nobody asked for that.
    Dead,
    /// It was ended by its provider, as asked.
    Ended,
}

impl Host {
    /// Whether it is there, as its provider sees it.
    pub fn exists(&self) -> bool {
        matches!(self.state, HostState::Boots(_) | HostState::Up)
    }

    /// Whether its agent and the controller can speak with each other, as far as it depends on it.
    pub fn answers(&self, now: Time) -> bool {
        self.state == HostState::Up && now >= self.cut_until && now >= self.hung_until
    }
}

/// Ways that are broken, until when.
#[derive(Debug, Default)]
pub struct Broken {
    /// Between the controller and every machine.
    pub machines: Time,
    /// Between the controller and the provider.
    pub provider: Time,
    /// The provider does what it is asked, and its answers are lost, in so many of ten calls.
    pub lost_answers: (Time, u8),
    /// The store takes nothing.
    pub store: Time,
    /// The store takes everything, and says that it failed.
    pub store_answers: Time,
}

/// The world, shared by all that stand for something in it.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<World>>);

impl Shared {
    /// A world with nothing in it but what is not ours.
    pub fn new(seed: u64) -> Self {
        let foreign = (900_001..900_051).map(MachineId::nth).collect();
        Self(Arc::new(Mutex::new(World {
            rng: Rng::with_seed(seed),
            hosts: BTreeMap::new(),
            foreign,
            broken: Broken::default(),
            term: 0,
            violations: Vec::new(),
            made: 0,
            ended: 0,
        })))
    }

    /// A look, or a change.
    pub fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    /// Something must not be, and is.
    pub fn violated(&mut self, now: Time, what: impl Into<String>) {
        let what = what.into();
        self.violations.push(format!("{:.3} s: {what}", now.as_secs_f64()));
    }

    /// A time between two.
    pub fn between(&mut self, from: Duration, to: Duration) -> Duration {
        let (from, to) = (from.as_millis() as u64, to.as_millis() as u64);
        Duration::from_millis(self.rng.u64(from..=to.max(from)))
    }

    /// With a probability of `percent`.
    pub fn chance(&mut self, percent: u8) -> bool {
        self.rng.u8(0..100) < percent
    }

    /// One of the machines that run, if there is any.
    pub fn any_up(&mut self) -> Option<MachineId> {
        let up: Vec<&MachineId> = self
            .hosts
            .iter()
            .filter(|(_, host)| host.state == HostState::Up)
            .map(|(id, _)| id)
            .collect();
        (!up.is_empty()).then(|| up[self.rng.usize(0..up.len())].clone())
    }
}
