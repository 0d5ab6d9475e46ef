//! What is true, whatever the controller believes.

use crate::agent::Agent;
use cerebro_machines::CreateMachine;
use cerebro_model::{MachineId, ZoneName};
use fastrand::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Times of the world: since its beginning.
pub type Time = Duration;

/// How long it may take until what machines say of each other is what is.
const NEWS_TAKES: Duration = Duration::from_secs(12);

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
    /// The same, of those that rebooted one.
    pub rebooted: u64,
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
    /// Until when the controller and it do not reach each other, though others reach it.
    pub apart_until: Time,
    /// What it takes for it to do anything again.
    pub wedged: Wedged,
    /// Since when it has run.
    pub up_since: Time,
    /// What runs there: it speaks with the controller while nobody holds the world.
    agent: Arc<Mutex<Agent>>,
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

/// What it takes for a machine to do anything again, while its provider calls it running.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wedged {
    /// Nothing: it does.
    #[default]
    No,
    /// That it is booted.
    UntilItBoots,
    /// Nothing helps: its agent answers nobody, and what it runs goes on until it is destroyed.
    ForEver,
}

impl Wedged {
    /// What it takes once it has booted.
    pub fn once_booted(self) -> Self {
        match self {
            Self::No | Self::UntilItBoots => Self::No,
            Self::ForEver => Self::ForEver,
        }
    }
}

impl Host {
    /// One that boots, and whose agent then calls the controller, if it ever does.
    pub fn new(order: CreateMachine, calls_at: Option<Time>) -> Self {
        let agent = Agent::new(order.id.clone(), order.join_token.clone());
        let (state, agent) = (HostState::Boots(calls_at), Arc::new(Mutex::new(agent)));
        let never = Time::ZERO;
        Self {
            order,
            state,
            cut_until: never,
            hung_until: never,
            apart_until: never,
            wedged: Wedged::No,
            up_since: never,
            agent,
        }
    }

    /// What runs there.
    pub fn agent(&self) -> MutexGuard<'_, Agent> {
        locked(&self.agent)
    }

    /// The same, for whoever lets the world go.
    pub fn shared_agent(&self) -> Arc<Mutex<Agent>> {
        self.agent.clone()
    }

    /// Whether it is there, as its provider sees it.
    pub fn exists(&self) -> bool {
        matches!(self.state, HostState::Boots(_) | HostState::Up)
    }

    /// Whether its agent and the controller can speak with each other, as far as it depends on it.
    pub fn answers(&self, now: Time) -> bool {
        self.answers_peers(now) && now >= self.apart_until
    }

    /// Whether its agent answers other machines.
    pub fn answers_peers(&self, now: Time) -> bool {
        self.state == HostState::Up && now >= self.cut_until && !self.hangs(now)
    }

    /// Whether it does nothing at all.
    pub fn hangs(&self, now: Time) -> bool {
        self.wedged != Wedged::No || now < self.hung_until
    }

    /// Whether others have reached it for so long that whoever is to end its tasks must know.
    pub fn must_be_known_to_live(&self, now: Time) -> bool {
        let since = self.up_since.max(self.cut_until).max(self.hung_until);
        self.answers_peers(now) && now.saturating_sub(since) >= NEWS_TAKES
    }
}

/// Ways that are broken, until when.
#[derive(Debug, Default)]
pub struct Broken {
    /// Between the controller and every machine.
    pub machines: Time,
    /// Since when, if it is now.
    pub machines_since: Time,
    /// Between the controller and the provider.
    pub provider: Time,
    /// The provider has no machine to give in a zone.
    pub full: BTreeMap<ZoneName, Time>,
    /// The provider does what it is asked, and its answers are lost, in so many of ten calls.
    pub lost_answers: (Time, u8),
    /// Between the controller and whoever answers for names.
    pub names: Time,
    /// Names are changed, and half of the answers are lost.
    pub names_answers: Time,
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
            rebooted: 0,
        })))
    }

    /// A look, or a change.
    pub fn lock(&self) -> MutexGuard<'_, World> {
        locked(&self.0)
    }
}

/// What a lock guards, also if somebody panicked with it: then the run is over anyway.
pub fn locked<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// Whether the controller has reached no machine for so long that it must know that.
    pub fn controller_must_doubt(&self, now: Time) -> bool {
        now < self.broken.machines && now.saturating_sub(self.broken.machines_since) >= NEWS_TAKES
    }

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
