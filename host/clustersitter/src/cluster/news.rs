//! Whom a change concerns: agents wait for what their own machine should run, and thousands of them are
//! not to be woken for one.

use super::State;
use crate::records::Touched;
use cerebro_model::MachineId;
use std::collections::{BTreeSet, HashMap};
use tokio::sync::watch;

/// Who waits for news of which machine.
#[derive(Debug, Default)]
pub(super) struct News(HashMap<MachineId, watch::Sender<()>>);

impl News {
    /// Waits for news of a machine, from now on.
    pub(super) fn of(&mut self, id: &MachineId) -> watch::Receiver<()> {
        // Those that nobody waits for any longer make room, when there are many of them.
        if self.0.len() == self.0.capacity() {
            self.0.retain(|_, sender| sender.receiver_count() > 0);
        }
        self.0.entry(id.clone()).or_default().subscribe()
    }

    /// There is news of a machine.
    pub(super) fn tell(&self, id: &MachineId) {
        if let Some(sender) = self.0.get(id) {
            sender.send_replace(());
        }
    }
}

/// The machines that may have to run something else once this was touched, as `state` is now. Before a
/// change they are those that instances leave, after it those that they come to.
pub(super) fn concerned(touched: &[Touched], state: &State) -> BTreeSet<MachineId> {
    let State { records, kept, .. } = state;
    let mut machines = BTreeSet::new();
    for one in touched {
        match one {
            Touched::Machine(id) => drop(machines.insert(id.clone())),
            Touched::Instance(id) => {
                let Some(instance) = records.instances.get(id) else { continue };
                machines.insert(instance.machine.clone());
                machines.extend(instance.leaving.as_ref().map(|left| left.machine.clone()));
            }
            // It says what the job's instances run, or what they ran before.
            Touched::Deployment(id) => {
                if let Some(deployment) = records.deployments.get(id) {
                    machines.extend(kept.occupancy().machines_of(deployment.job_name()).cloned());
                }
            }
            // What runs changes with the next deployment.
            Touched::Job(_) | Touched::Name(_) | Touched::Brakes => {}
        }
    }
    machines
}
