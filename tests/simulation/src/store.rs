//! The store: the real one, in memory, behind a way that breaks.

use crate::clock::SimulatedClock;
use crate::world::Shared;
use cerebro_model::Secret;
use cerebro_store::{
    Batch, CommitError, Committed, Entry, Fence, SqliteStore, Store, StoreError, StoredEvent,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// One controller's hold of the store. It ends with the controller, wherever that is.
pub struct SimulatedStore {
    inner: Arc<SqliteStore>,
    world: Shared,
    clock: Arc<SimulatedClock>,
    life: Arc<Life>,
}

/// Whether a controller lives, and when it is to die.
#[derive(Debug, Default)]
pub struct Life {
    dead: AtomicBool,
    /// It dies with this commit, counted from one; zero is never. Odd: before it, even: behind it.
    last_commit: AtomicU64,
    commits: AtomicU64,
    /// It dies in the middle of its next call to the provider: 1 before, 2 behind what that does.
    in_call: AtomicU64,
}

impl Life {
    /// Whether it has died.
    pub fn is_over(&self) -> bool {
        self.dead.load(Relaxed)
    }

    /// It dies now.
    pub fn end(&self) {
        self.dead.store(true, Relaxed);
    }

    /// It dies at one of its next commits: before that takes effect, or behind.
    pub fn end_at_commit(&self, ahead: u64, before: bool) {
        let at = self.commits.load(Relaxed) + ahead;
        self.last_commit.store(at * 2 + 1 - u64::from(!before), Relaxed);
    }

    /// It dies in its next call of the provider: before what that does, or behind.
    pub fn end_in_call(&self, before: bool) {
        self.in_call.store(if before { 1 } else { 2 }, Relaxed);
    }

    /// Whether it dies right here, before (or behind) what a call of the provider does.
    pub fn ends_in_call(&self, before: bool) -> bool {
        let here = self.in_call.load(Relaxed) == if before { 1 } else { 2 };
        if here {
            self.end();
        }
        here
    }
}

impl SimulatedStore {
    /// For a controller of that life.
    pub fn new(
        inner: Arc<SqliteStore>,
        world: Shared,
        clock: Arc<SimulatedClock>,
        life: Arc<Life>,
    ) -> Self {
        Self { inner, world, clock, life }
    }

    fn reach(&self) -> Result<(), StoreError> {
        let is_broken = self.clock.elapsed() < self.world.lock().broken.store;
        match self.life.is_over() || is_broken {
            true => Err(unreachable_store()),
            false => Ok(()),
        }
    }
}

fn unreachable_store() -> StoreError {
    StoreError::Absent { path: "the simulation's store, which cannot be reached now".to_owned() }
}

impl Store for SimulatedStore {
    fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.reach()?;
        self.inner.get(key)
    }

    fn secret(&self, key: &str) -> Result<Option<Secret>, StoreError> {
        self.reach()?;
        self.inner.secret(key)
    }

    fn scan(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        self.reach()?;
        self.inner.scan(prefix)
    }

    fn commit(&self, fence: Fence, batch: Batch) -> Result<Committed, CommitError> {
        self.reach()?;
        let this = self.life.commits.fetch_add(1, Relaxed) + 1;
        let last = self.life.last_commit.load(Relaxed);
        if last == this * 2 + 1 {
            self.life.end();
            return Err(unreachable_store().into());
        }
        let committed = self.inner.commit(fence, batch)?;
        {
            let mut world = self.world.lock();
            let (ours, leads) = (fence.term(), world.term);
            if ours < leads {
                let what = format!("term {ours} changes something, and term {leads} leads");
                world.violated(self.clock.elapsed(), what);
            }
        }
        if self.clock.elapsed() < self.world.lock().broken.store_answers {
            return Err(unreachable_store().into());
        }
        if last == this * 2 {
            self.life.end();
            return Err(unreachable_store().into());
        }
        Ok(committed)
    }

    fn holds(&self, fence: Fence) -> Result<(), CommitError> {
        self.reach()?;
        self.inner.holds(fence)
    }

    fn take_term(&self) -> Result<Fence, StoreError> {
        self.reach()?;
        let fence = self.inner.take_term()?;
        self.world.lock().term = fence.term();
        Ok(fence)
    }

    fn events(&self, after: u64, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        self.reach()?;
        self.inner.events(after, limit)
    }

    fn last_event(&self) -> Result<u64, StoreError> {
        self.reach()?;
        self.inner.last_event()
    }

    fn backup(&self, target: &Path) -> Result<(), StoreError> {
        self.inner.backup(target)
    }
}
