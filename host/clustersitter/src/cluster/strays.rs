//! Machines that the provider has for this cluster, and that no record tells of: as after a loss of the store, or where a
//! call that made one came long after it was given up. They cost, and nobody looks after them.
//!
//! They are told of, and nothing else: it may be the records that are wrong. A person has one taken over, or ended. But where
//! the records tell that this cluster has given up what was made by that very intent, it is an orphan, and ended.

use super::{ChangeError, Cluster, about_machine, event};
use crate::executor::{Failed, asked, led};
use cerebro_api::body::StrayView;
use cerebro_machines::Intent;
use cerebro_model::{EventKind, MachineId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Who is not known, by the provider's listings: since when, and whether that was told.
pub(super) type Strays = BTreeMap<MachineId, (Timestamp, bool)>;

/// Why a stray is not ended.
#[derive(Debug, thiserror::Error)]
pub enum StrayError {
    /// It is none.
    #[error("{0} is known here: `cerebro machine remove {0}` removes it in order")]
    Known(MachineId),
    /// There is nothing of it.
    #[error(
        "the provider has no machine `{machine}` of this cluster; of those that are not known here it has {known}"
    )]
    NotThere {
        /// The machine.
        machine: MachineId,
        /// What it has that is not known here.
        known: String,
    },
    /// The provider did not end it, or nobody knows.
    #[error("{machine} may still be there: {source}; ask again")]
    Provider {
        /// The machine.
        machine: MachineId,
        /// What it says.
        #[source]
        source: Failed,
    },
    /// It could not be recorded.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl Cluster {
    /// What the provider lists. Who was not known at the last listing either is told of, once: a listing may be ahead of the
    /// records, or behind them. What this cluster has given up is answered, with its intent, and not told of, if it
    /// may be ended.
    pub fn listed(
        &self,
        listed: &[MachineId],
        may_end: bool,
    ) -> Result<Vec<(MachineId, Intent)>, ChangeError> {
        // After a loss of the store nothing of a large fleet is known.
        let listed: BTreeSet<&MachineId> = listed.iter().collect();
        let (orphans, strays) = {
            let state = &mut *self.state();
            let (now, known, gone) = (state.now, &state.records.machines, &state.records.gone);
            let strays = &mut state.observed.strays;
            strays.retain(|id, _| listed.contains(id) && !known.contains_key(id));
            let before: Vec<MachineId> = strays.keys().cloned().collect();
            for id in listed.iter().copied().filter(|id| !known.contains_key(*id)) {
                strays.entry(id.clone()).or_insert((now, false));
            }
            let (mut orphans, mut others) = (Vec::new(), Vec::new());
            for id in before {
                match gone.get(&id).and_then(|gone| gone.intent.clone()) {
                    Some(intent) if may_end => orphans.push((id, intent)),
                    _ => others.push(id),
                }
            }
            (orphans, others)
        };
        self.tell_strays(&strays)?;
        Ok(orphans)
    }

    /// Tells of those that were not told of yet.
    pub fn tell_strays(&self, strays: &[MachineId]) -> Result<(), ChangeError> {
        let news: Vec<&MachineId> = {
            let known = &mut self.state().observed.strays;
            let is_news = |id: &&MachineId| {
                known.get_mut(*id).is_some_and(|(_, told)| !std::mem::replace(told, true))
            };
            strays.iter().filter(is_news).collect()
        };
        if news.is_empty() {
            return Ok(());
        }
        let provider = self.provider.name();
        let told = |id| event(EventKind::MachineStray, about_machine(id), words(id, provider));
        self.tell(news.into_iter().map(told).collect())
    }

    /// Those that were told of.
    pub fn strays(&self) -> Vec<StrayView> {
        let state = self.state();
        let told = state.observed.strays.iter().filter(|(_, (_, told))| *told);
        told.map(|(id, (since, _))| StrayView { machine: id.clone(), since: *since }).collect()
    }

    /// The same, in sentences.
    pub(super) fn stray_words(&self) -> Vec<String> {
        let provider = self.provider.name();
        self.strays().iter().map(|stray| words(&stray.machine, provider)).collect()
    }

    /// Has one ended, because a person wants that. Safe to repeat.
    pub async fn end_stray(&self, id: &MachineId, reason: &str) -> Result<(), StrayError> {
        let by_provider = |source| StrayError::Provider { machine: id.clone(), source };
        let listed = asked(self.provider.list()).await.map_err(by_provider)?;
        {
            let state = self.state();
            let is_known = |id: &MachineId| state.records.machines.contains_key(id);
            if is_known(id) {
                return Err(StrayError::Known(id.clone()));
            }
            if !listed.contains(id) {
                let strays = listed.iter().filter(|id| !is_known(id)).map(MachineId::as_str);
                let strays: Vec<&str> = strays.collect();
                let known = if strays.is_empty() { "none".to_owned() } else { strays.join(", ") };
                return Err(StrayError::NotThere { machine: id.clone(), known });
            }
        }
        let message = format!("{id}, of which no record tells, is ended: {reason}");
        self.end_what_is_left(id, None, message).await
    }

    /// Ends what this cluster has given up, and what is there all the same by that very intent: as where a call that made it
    /// came long after. Whether it is that. Safe to repeat.
    pub async fn end_orphan(&self, id: &MachineId, intent: &Intent) -> Result<bool, StrayError> {
        let by_provider = |source| StrayError::Provider { machine: id.clone(), source };
        if !asked(self.provider.is_made_by(id, intent)).await.map_err(by_provider)? {
            return Ok(false);
        }
        let provider = self.provider.name();
        let message =
            format!("{id} was given up, and `{provider}` has it all the same: it is ended");
        self.end_what_is_left(id, Some(intent), message).await.map(|()| true)
    }

    async fn end_what_is_left(
        &self,
        id: &MachineId,
        intent: Option<&Intent>,
        message: String,
    ) -> Result<(), StrayError> {
        self.tell(vec![event(EventKind::MachineTerminating, about_machine(id), message)])?;
        let ended = led(self, self.provider.destroy(id, intent)).await;
        ended.map_err(|source| StrayError::Provider { machine: id.clone(), source })?;
        self.state().observed.strays.remove(id);
        let message = format!("{id} is gone for good");
        self.tell(vec![event(EventKind::MachineTerminated, about_machine(id), message)])?;
        Ok(())
    }
}

fn words(id: &MachineId, provider: &str) -> String {
    format!(
        "`{provider}` has {id} of this cluster, of which no record tells: `cerebro machine adopt {id}` takes it over, where \
         the provider keeps what that takes; `cerebro machine remove {id} --stray` has it ended"
    )
}
