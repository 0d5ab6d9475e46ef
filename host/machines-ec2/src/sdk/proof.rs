//! What a controller needs that has lost its records: what a machine was made as, and what its agent proves itself with. Both are
//! in the tags of its instance, the token as a digest, which tells it to nobody.

use super::Inner;
use crate::identity::AGENT;
use crate::presence::Instance;
use crate::words;
use cerebro_machines::{Intent, Made, ProviderError};
use cerebro_model::{Digest, MachineId};
use std::time::Duration;

impl Inner {
    pub(super) async fn made(&self, machine: &MachineId) -> Result<Made, ProviderError> {
        let listed = self.listed(Duration::ZERO, "look for a machine").await?;
        let alive: Vec<&Instance> = listed.of(machine).filter(|it| it.state.is_alive()).collect();
        let refused = |why: String| {
            let doing = format!("take `{machine}` over");
            Err(ProviderError::Refused { doing, why })
        };
        let instance = match alive.as_slice() {
            [] => return Err(listed.unknown(machine)),
            [instance] => *instance,
            several => {
                let ids: Vec<&str> = several.iter().map(|it| it.id.as_str()).collect();
                return refused(format!(
                    "several instances bear its name ({}), and only one can be it: terminate the others by hand",
                    ids.join(", ")
                ));
            }
        };
        let told = instance.told.clone();
        let (Some(zone), Some(capacity)) = (told.zone, told.capacity) else {
            return refused(format!(
                "the tags of instance `{}` do not tell its zone and capacity: it was made by an earlier version, or somebody \
                 changed them",
                instance.id
            ));
        };
        let Some(token) = told.agent else {
            return refused(format!(
                "instance `{}` has no tag `{AGENT}` by which its agent could prove itself: it had not joined when the \
                 records were lost, or nobody was allowed to set it (`ec2:CreateTags`)",
                instance.id
            ));
        };
        let (intent, term) = (instance.owner.intent.clone(), told.term.unwrap_or_default());
        Ok(Made { zone, capacity, term, intent, token })
    }

    pub(super) async fn keep_proof(
        &self,
        machine: &MachineId,
        intent: &Intent,
        token: &Digest,
    ) -> Result<(), ProviderError> {
        let doing = || format!("tag the instance of `{machine}`");
        let since = self.opened.elapsed().saturating_sub(self.config.pace.listing);
        let mut has_ended = false;
        for region in self.regions.values() {
            let listed = region.listed(&self.config.cluster, since, self.opened).await;
            let (_, instances) = listed.map_err(|failure| words::error(doing(), &failure))?;
            // Another intent's is another machine.
            let ours = instances
                .iter()
                .filter(|it| it.owner.machine == *machine && it.owner.intent == *intent);
            let (alive, ended): (Vec<_>, Vec<_>) = ours.partition(|it| it.state.is_alive());
            has_ended |= !ended.is_empty();
            let eldest = alive.into_iter().min_by_key(|it| (it.launched, it.id.clone()));
            let Some(instance) = eldest else { continue };
            if instance.told.agent.as_ref() == Some(token) {
                return Ok(());
            }
            let tagged = region.tag(&instance.id, AGENT, &token.to_string()).await;
            return tagged.map_err(|failure| words::error(doing(), &failure));
        }
        match has_ended {
            // There is nothing to keep it with any more.
            true => Ok(()),
            false => {
                let why = "EC2 does not list it, or not yet".to_owned();
                Err(ProviderError::Unavailable { doing: doing(), why })
            }
        }
    }
}
