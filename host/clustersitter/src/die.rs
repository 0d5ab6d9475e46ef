//! A controller that dies by SIGKILL at a moment that a test has chosen. Only builds with debug assertions have it.
//!
//! The moments are all that there are between an intent and what follows from it: before and behind each commit,
//! named by what that tells, and before and behind each effect of a provider.

use async_trait::async_trait;
use cerebro_machines::{
    Calls, CreateMachine, Intent, MachineProvider, Made, Presence, ProviderError,
};
use cerebro_model::{Digest, Event, MachineId, Secret};
use cerebro_store::{Batch, CommitError, Committed, Entry, Fence, Store, StoreError, StoredEvent};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Names the file that says at which moment to die: such as `commit machine-lost: behind`, or `create: before`.
const DIE_AT: &str = "CEREBRO_DIE_AT";

/// Where it is said.
#[derive(Debug, Clone)]
pub struct DieAt(PathBuf);

impl DieAt {
    /// As the environment says, if it does.
    pub fn from_environment() -> Option<Self> {
        std::env::var_os(DIE_AT).map(PathBuf::from).map(Self)
    }

    /// Dies, if this is the moment: once, for the file goes with it.
    fn here(&self, what: &str, side: &str) {
        let chosen = fs::read_to_string(&self.0);
        let is_now = chosen.is_ok_and(|chosen| chosen.trim() == format!("{what}: {side}"));
        if is_now && fs::remove_file(&self.0).is_ok() {
            // It cannot fail for oneself.
            let _ = kill(Pid::this(), Signal::SIGKILL);
        }
    }
}

/// A store whose controller dies beside its commits.
pub struct DyingStore {
    inner: Arc<dyn Store>,
    at: DieAt,
}

impl DyingStore {
    /// In front of `inner`.
    pub fn new(inner: Arc<dyn Store>, at: DieAt) -> Self {
        Self { inner, at }
    }
}

impl Store for DyingStore {
    fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.inner.get(key)
    }

    fn secret(&self, key: &str) -> Result<Option<Secret>, StoreError> {
        self.inner.secret(key)
    }

    fn scan(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        self.inner.scan(prefix)
    }

    fn commit(&self, fence: Fence, batch: Batch) -> Result<Committed, CommitError> {
        let told = batch.events().filter_map(|event| serde_json::from_slice::<Event>(event).ok());
        let moments: Vec<_> = told.map(|event| format!("commit {}", event.kind)).collect();
        moments.iter().for_each(|moment| self.at.here(moment, "before"));
        let committed = self.inner.commit(fence, batch)?;
        moments.iter().for_each(|moment| self.at.here(moment, "behind"));
        Ok(committed)
    }

    fn holds(&self, fence: Fence) -> Result<(), CommitError> {
        self.inner.holds(fence)
    }

    fn take_term(&self) -> Result<Fence, StoreError> {
        self.inner.take_term()
    }

    fn events(&self, after: u64, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        self.inner.events(after, limit)
    }

    fn last_event(&self) -> Result<u64, StoreError> {
        self.inner.last_event()
    }

    fn backup(&self, target: &Path) -> Result<(), StoreError> {
        self.inner.backup(target)
    }
}

/// A provider whose controller dies beside its effects.
pub struct DyingProvider {
    inner: Arc<dyn MachineProvider>,
    at: DieAt,
}

impl DyingProvider {
    /// In front of `inner`.
    pub fn new(inner: Arc<dyn MachineProvider>, at: DieAt) -> Self {
        Self { inner, at }
    }
}

#[async_trait]
impl MachineProvider for DyingProvider {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn create(&self, machine: &CreateMachine) -> Result<(), ProviderError> {
        self.at.here("create", "before");
        self.inner.create(machine).await?;
        self.at.here("create", "behind");
        Ok(())
    }

    async fn describe(&self, machine: &MachineId) -> Result<Presence, ProviderError> {
        self.inner.describe(machine).await
    }

    async fn list(&self) -> Result<Vec<MachineId>, ProviderError> {
        self.inner.list().await
    }

    async fn made(&self, machine: &MachineId) -> Result<Made, ProviderError> {
        self.inner.made(machine).await
    }

    async fn is_made_by(
        &self,
        machine: &MachineId,
        intent: &Intent,
    ) -> Result<bool, ProviderError> {
        self.inner.is_made_by(machine, intent).await
    }

    fn keeps_proofs(&self) -> bool {
        self.inner.keeps_proofs()
    }

    async fn keep_proof(
        &self,
        machine: &MachineId,
        intent: &Intent,
        token: &Digest,
    ) -> Result<(), ProviderError> {
        self.at.here("keep-proof", "before");
        self.inner.keep_proof(machine, intent, token).await?;
        self.at.here("keep-proof", "behind");
        Ok(())
    }

    async fn sweep(&self) -> Result<Vec<String>, ProviderError> {
        self.at.here("sweep", "before");
        let ended = self.inner.sweep().await?;
        self.at.here("sweep", "behind");
        Ok(ended)
    }

    fn calls(&self) -> Calls {
        self.inner.calls()
    }

    async fn restart_agent(&self, machine: &MachineId) -> Result<(), ProviderError> {
        self.at.here("restart-agent", "before");
        self.inner.restart_agent(machine).await?;
        self.at.here("restart-agent", "behind");
        Ok(())
    }

    async fn reboot(&self, machine: &MachineId) -> Result<(), ProviderError> {
        self.at.here("reboot", "before");
        self.inner.reboot(machine).await?;
        self.at.here("reboot", "behind");
        Ok(())
    }

    async fn destroy(
        &self,
        machine: &MachineId,
        intent: Option<&Intent>,
    ) -> Result<(), ProviderError> {
        self.at.here("destroy", "before");
        self.inner.destroy(machine, intent).await?;
        self.at.here("destroy", "behind");
        Ok(())
    }
}
