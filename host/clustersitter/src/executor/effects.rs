//! Effects in the world that are under way: one of each kind at a time for one machine, each by whoever leads,
//! and again after a while if it failed.

use super::Executor;
use crate::cluster::{ChangeError, Cluster, about_machine, event};
use crate::records::{Change, MachineRecord};
use cerebro_machines::ProviderError;
use cerebro_model::{EventKind, MachineId, Rung};
use cerebro_store::CommitError;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a provider may take for one call.
pub(super) const PROVIDER_PATIENCE: Duration = Duration::from_secs(30);
/// The first wait after a failure; it doubles.
pub(super) const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Effects in the world; one of each kind at a time for one machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Effect {
    Create,
    KeepProof,
    Destroy,
    Probe,
    Ask,
    AskPeer(MachineId),
    Try(Rung),
}

impl Effect {
    /// The longest wait after failures.
    fn longest_wait(&self) -> Duration {
        match self {
            // Nothing suffers from its absence until the store is lost.
            Self::KeepProof => Duration::from_secs(3600),
            _ => Duration::from_secs(60),
        }
    }

    /// Whether it is told that it failed for so many times in a row.
    fn is_told(&self, failures: u32) -> bool {
        match self {
            // Once, and not where the next attempt goes well.
            Self::KeepProof => failures == 3,
            _ => true,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct UnderWay {
    now: BTreeSet<(Effect, MachineId)>,
    /// Machines whose creation was acknowledged to this controller.
    pub(super) created: BTreeSet<MachineId>,
    /// Machines whose provider has acknowledged to this controller what their agents prove themselves with.
    pub(super) proven: BTreeSet<MachineId>,
    /// When it is next looked whether one lacks that.
    pub(super) proofs_due: Option<Instant>,
    /// After failures: how many, and when to try again.
    retry: BTreeMap<(Effect, MachineId), (u32, Instant)>,
}

impl Executor {
    pub(super) fn spawn(&self, effect: impl Future<Output = ()> + Send + 'static) {
        let mut effects = self.effects.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that have ended make room.
        while effects.try_join_next().is_some() {}
        effects.spawn(effect);
    }

    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, UnderWay> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None if the same is under way already, or failed too recently.
    pub(super) fn begin(&self, effect: Effect, id: &MachineId) -> Option<Begun> {
        let mut under_way = self.lock();
        let key = (effect, id.clone());
        if !under_way.may_begin(&key) {
            return None;
        }
        under_way.now.insert(key.clone());
        Some(Begun { key, under_way: self.under_way.clone() })
    }
}

impl UnderWay {
    /// Whether it is neither under way nor failed too recently.
    pub(super) fn may_begin(&self, key: &(Effect, MachineId)) -> bool {
        let too_soon = self.retry.get(key).is_some_and(|(_, at)| Instant::now() < *at);
        !too_soon && !self.now.contains(key)
    }

    /// How many of a kind are under way.
    pub(super) fn count(&self, effect: &Effect) -> usize {
        self.now.iter().filter(|(it, _)| it == effect).count()
    }
}

/// Has an effect in the world, if this controller still leads.
pub(crate) async fn led(
    cluster: &Cluster,
    call: impl Future<Output = Result<(), ProviderError>>,
) -> Result<(), Failed> {
    cluster.leads()?;
    asked(call).await
}

/// What a provider answers, if it does in time.
pub(crate) async fn asked<T>(
    call: impl Future<Output = Result<T, ProviderError>>,
) -> Result<T, Failed> {
    match tokio::time::timeout(PROVIDER_PATIENCE, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Failed::Late),
    }
}

/// Why a call of a provider's had no effect, or none that is known of.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// Another controller leads, or nobody knows who does.
    #[error("{}", chain(.0))]
    Lead(#[from] CommitError),
    /// It says why.
    #[error("{}", chain(.0))]
    Provider(#[from] ProviderError),
    /// It says nothing.
    #[error("no answer within {} s", PROVIDER_PATIENCE.as_secs())]
    Late,
}

/// An error with what it came from.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |words, source| format!("{words}: {source}"))
}

/// An effect under way; dropped when it has ended.
pub(super) struct Begun {
    key: (Effect, MachineId),
    under_way: Arc<Mutex<UnderWay>>,
}

impl Begun {
    /// The machine's name is that of another one, which an earlier store knew: the intent is taken back, and
    /// the next machine gets the next number. The other one is not touched.
    pub(super) fn named_otherwise(self, cluster: &Cluster, token: &str, why: &ProviderError) {
        let id = &self.key.1;
        let taken_back = cluster.change(|state| {
            // It may have been adopted meanwhile, and then it is that one.
            let record = state.records.machines.get(id);
            let is_pending =
                |it: &&MachineRecord| it.machine.state.is_pending() && it.token.is(token);
            if record.filter(is_pending).is_none() {
                return Ok::<_, ChangeError>((Change::default(), ()));
            }
            let message = format!("{id} is not made, and another machine is: {why}");
            let told = event(EventKind::ProviderFailed, about_machine(id), message);
            Ok((Change::default().machine(id, None).event(told), ()))
        });
        if let Err(error) = taken_back {
            self.failed(cluster, &format!("{why}; and that could not be recorded: {error}"));
        }
    }

    /// Puts the next try off, and tells why.
    pub(super) fn failed(self, cluster: &Cluster, why: &str) {
        let (failures, wait) = {
            let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            let (failures, at) =
                under_way.retry.entry(self.key.clone()).or_insert((0, Instant::now()));
            let wait = FIRST_RETRY * 2u32.pow((*failures).min(12));
            let wait = wait.min(self.key.0.longest_wait());
            (*failures, *at) = (*failures + 1, Instant::now() + wait);
            (*failures, wait)
        };
        if !self.key.0.is_told(failures) {
            return tracing::debug!("{why}");
        }
        let words = format!("{why}; tried again in {} s", wait.as_secs());
        if let Err(error) =
            cluster.tell(vec![event(EventKind::ProviderFailed, about_machine(&self.key.1), words)])
        {
            tracing::error!("{why}; and that could not be recorded: {error}");
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).now.remove(&self.key);
    }
}
