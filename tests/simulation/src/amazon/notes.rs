//! What the real provider keeps on the controller's disk.

use super::Account;
use crate::store::Life;
use crate::world::locked;
use cerebro_machines::ProviderError;
use cerebro_machines_ec2::identity::Note;
use cerebro_machines_ec2::notes::Notes;
use cerebro_model::MachineId;
use std::sync::Arc;

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
