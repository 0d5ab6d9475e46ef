//! How machines are ended and rebooted: by the ids of instances that bear our tags.

use super::Inner;
use super::region::Region;
use crate::presence::{Instance, Look, State, doubles, look};
use crate::words;
use cerebro_aws::Kind;
use cerebro_machines::{Intent, ProviderError};
use cerebro_model::MachineId;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

impl Inner {
    /// Ends instances of which a machine has more than one, but for the eldest: the ids of those ended. There are
    /// none, unless a controller went on without the notes of the one before.
    pub(super) async fn sweep(&self) -> Result<Vec<String>, ProviderError> {
        let listed = self.listed(Duration::ZERO, "look for doubles").await?;
        self.end_doubles(&listed.instances).await
    }

    pub(super) fn region_of(&self, instance: &Instance) -> Option<&Region> {
        let zone = &instance.availability_zone;
        // Of two regions that fit, as `us-west-2` and a later `us-west-20`, the longer name is meant.
        let fits = self.regions.values().filter(|region| zone.starts_with(&region.name));
        fits.max_by_key(|region| region.name.len())
    }

    pub(super) async fn end_doubles(
        &self,
        instances: &[Instance],
    ) -> Result<Vec<String>, ProviderError> {
        let mut ended = Vec::new();
        for double in doubles(instances) {
            let machine = &double.owner.machine;
            tracing::warn!(
                "`{machine}` has a second instance, `{}`, which is terminated",
                double.id
            );
            self.terminate(double).await?;
            ended.push(double.id.clone());
        }
        Ok(ended)
    }

    /// Has an instance of ours end. That it is not found means that listings are ahead of what they list, or behind.
    async fn terminate(&self, instance: &Instance) -> Result<(), ProviderError> {
        let Some(region) = self.region_of(instance) else { return Ok(()) };
        match region.terminate(&instance.id).await {
            Err(failure) if failure.kind != Kind::NotFound => {
                let machine = &instance.owner.machine;
                let doing = format!("terminate `{machine}`, instance `{}`", instance.id);
                Err(words::error(doing, &failure))
            }
            _ => Ok(()),
        }
    }

    /// Ends a machine, and comes back once nothing of it runs any more.
    pub(super) async fn destroy(
        &self,
        machine: &MachineId,
        intent: Option<&Intent>,
    ) -> Result<(), ProviderError> {
        let (pace, begun) = (self.config.pace, Instant::now());
        let note = self.note(machine).await?;
        // A note of another intent is of another machine.
        let note = note.filter(|note| intent.is_none_or(|intent| note.intent == *intent));
        let mut asked: BTreeSet<String> = BTreeSet::new();
        loop {
            let listed = self.listed(Duration::ZERO, "look for what is to be ended").await?;
            // Of the same name by another intent is another machine: of an earlier store, and nobody's to end.
            let meant = intent.or(note.as_ref().map(|note| &note.intent));
            let is_meant = |it: &&Instance| meant.is_none_or(|meant| *meant == it.owner.intent);
            let ours: Vec<&Instance> = listed.of(machine).filter(is_meant).collect();
            let look = look(ours.iter().copied());
            if look != Look::Absent {
                self.seen(machine);
            }
            let left = match look {
                Look::Ended(_) => break,
                Look::Absent if self.is_gone(machine, &listed, note.as_ref()).await? => break,
                Look::Absent => "EC2 does not list it, or not yet".to_owned(),
                Look::Ending(left) => left,
                Look::There => {
                    for instance in ours.iter().filter(|it| it.state.is_alive()) {
                        if asked.insert(instance.id.clone()) {
                            self.terminate(instance).await?;
                        }
                    }
                    "it was asked to end".to_owned()
                }
            };
            if begun.elapsed() + pace.poll > pace.ends_within {
                return Err(ProviderError::NotEnded { machine: machine.clone(), left });
            }
            tokio::time::sleep(pace.poll).await;
        }
        match note {
            None => Ok(()),
            Some(_) => {
                let forgotten = machine.clone();
                self.with_notes(move |notes| notes.forget(&forgotten)).await
            }
        }
    }

    pub(super) async fn reboot(&self, machine: &MachineId) -> Result<(), ProviderError> {
        let listed = self.listed(Duration::ZERO, "look for what is to be rebooted").await?;
        let alive = listed.of(machine).filter(|it| it.state.is_alive());
        let Some(instance) = alive.min_by_key(|it| (it.launched, it.id.clone())) else {
            return Err(listed.unknown(machine));
        };
        let doing = || format!("reboot `{machine}`, instance `{}`", instance.id);
        let Some(region) = self.region_of(instance) else { return Ok(()) };
        let done = match instance.state {
            State::Stopped => region.start(&instance.id).await,
            State::Stopping => {
                let why = "it is being switched off: once it is off, it can be started".to_owned();
                return Err(ProviderError::Unavailable { doing: doing(), why });
            }
            // It boots already.
            State::Pending => return Ok(()),
            State::Running | State::ShuttingDown | State::Terminated => {
                region.reboot(&instance.id).await
            }
        };
        done.map_err(|failure| words::error(doing(), &failure))
    }
}
