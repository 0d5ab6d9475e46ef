//! The real provider, and what it keeps on the controller's disk.

use super::Account;
use crate::store::Life;
use crate::world::locked;
use async_trait::async_trait;
use cerebro_machines::{Calls, CreateMachine, MachineProvider, Presence, ProviderError};
use cerebro_machines_ec2::Ec2Provider;
use cerebro_machines_ec2::identity::Note;
use cerebro_machines_ec2::notes::Notes;
use cerebro_model::MachineId;
use std::sync::Arc;

/// The real provider; what it is asked to make is kept, for that is what agents begin with.
pub(super) struct AmazonMachines {
    pub(super) inner: Ec2Provider,
    pub(super) account: Arc<Account>,
}

#[async_trait]
impl MachineProvider for AmazonMachines {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn create(&self, machine: &CreateMachine) -> Result<(), ProviderError> {
        locked(&self.account.orders).insert(machine.id.clone(), machine.clone());
        self.inner.create(machine).await
    }

    async fn describe(&self, machine: &MachineId) -> Result<Presence, ProviderError> {
        self.inner.describe(machine).await
    }

    async fn list(&self) -> Result<Vec<MachineId>, ProviderError> {
        self.inner.list().await
    }

    async fn is_made_with(
        &self,
        machine: &MachineId,
        join_token: &str,
    ) -> Result<bool, ProviderError> {
        self.inner.is_made_with(machine, join_token).await
    }

    async fn reboot(&self, machine: &MachineId) -> Result<(), ProviderError> {
        self.inner.reboot(machine).await
    }

    async fn sweep(&self) -> Result<Vec<String>, ProviderError> {
        self.inner.sweep().await
    }

    fn calls(&self) -> Calls {
        self.inner.calls()
    }

    async fn destroy(&self, machine: &MachineId) -> Result<(), ProviderError> {
        self.inner.destroy(machine).await
    }
}

/// Notes, which nobody writes who is dead.
pub(super) struct LivingNotes {
    pub(super) account: Arc<Account>,
    pub(super) life: Arc<Life>,
}

impl LivingNotes {
    fn alive(&self, machine: &MachineId) -> Result<(), ProviderError> {
        match self.life.is_over() {
            false => Ok(()),
            true => Err(ProviderError::Unavailable {
                doing: format!("write down what is tried for `{machine}`"),
                why: "the controller is dead".to_owned(),
            }),
        }
    }
}

impl Notes for LivingNotes {
    fn read(&self, machine: &MachineId) -> Result<Option<Note>, ProviderError> {
        Ok(locked(&self.account.notes).get(machine).cloned())
    }

    fn write(&self, machine: &MachineId, note: &Note) -> Result<(), ProviderError> {
        self.alive(machine)?;
        locked(&self.account.notes).insert(machine.clone(), note.clone());
        Ok(())
    }

    fn forget(&self, machine: &MachineId) -> Result<(), ProviderError> {
        self.alive(machine)?;
        locked(&self.account.notes).remove(machine);
        Ok(())
    }
}
