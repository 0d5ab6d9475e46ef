//! What is done to machines in the world, each under an intent that is recorded, and what witnesses are asked.

use super::Executor;
use super::effects::{Effect, Failed, PROVIDER_PATIENCE, asked, chain, led};
use crate::cluster::{AgentError, ChangeError, State, about_machine, event, graves};
use crate::records::{AgentToken, Change, Gone, MachineRecord};
use cerebro_machines::{CreateMachine, Presence as Found, ProviderError};
use cerebro_model::{Capacity, EventKind, Machine, MachineId, Origin, PeerWord, Rung, ZoneName};
use cerebro_planner::cluster::{Presence, Probe, ProviderWord, Standstill};
use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;
use tokio::time::Instant;

/// How long a machine that is gone is remembered, for its agent to be told.
const REMEMBERED: Duration = Duration::from_secs(90 * 24 * 3600);
/// Machines of which is kept at a time what their agents prove themselves with: providers throttle.
const PROOFS_AT_A_TIME: usize = 4;
/// From one look that found none lacking to the next: to look goes through all machines.
const PROOFS_EVERY: Duration = Duration::from_secs(1);

impl Executor {
    /// Records the intent; the machine is made from the record, now or after a crash.
    pub(super) fn provision(&self, zone: ZoneName, reason: &str) -> Result<(), ChangeError> {
        let capacity = self.cluster.policy().machine_capacity;
        let token = new_token();
        let made_in = (zone, self.cluster.term());
        self.change(|state| Ok((intended(state, made_in, capacity, token, reason), ())))
    }

    pub(super) fn machine(&self, id: &MachineId) -> Option<Machine> {
        self.cluster.state().records.machines.get(id).map(|record| record.machine.clone())
    }

    pub(super) fn probe(&self, id: &MachineId, reason: &str) -> Result<(), ChangeError> {
        if self.cluster.is_newly_silent(id) {
            self.cluster.tell(vec![event(EventKind::MachineSilent, about_machine(id), reason)])?;
        }
        let (Some(machine), Some(begun)) = (self.machine(id), self.begin(Effect::Probe, id)) else {
            return Ok(());
        };
        let (cluster, probing) = (self.cluster.clone(), self.probing.clone());
        self.spawn(async move {
            let (answered, said) = match probing.probe(&machine).await {
                Ok(()) => (true, "it answers".to_owned()),
                Err(why) => (false, why),
            };
            drop(begun);
            cluster.probed(&machine.id, Probe { at: cluster.now(), answered, said });
        });
        Ok(())
    }

    pub(super) fn ask(&self, id: &MachineId) {
        if self.machine(id).is_some_and(|machine| machine.origin.is_joined()) {
            let said =
                "it was joined by hand, so that no provider can say whether it runs".to_owned();
            let (at, presence) = (self.cluster.now(), Presence::Unknown);
            return self.cluster.provider_said(id, ProviderWord { at, presence, said });
        }
        let Some(begun) = self.begin(Effect::Ask, id) else { return };
        let (cluster, id) = (self.cluster.clone(), id.clone());
        self.spawn(async move {
            let answer =
                tokio::time::timeout(PROVIDER_PATIENCE, cluster.provider.describe(&id)).await;
            let (presence, said) = match answer {
                Ok(Ok(Found::Running)) => (Presence::Running, "the machine runs".to_owned()),
                Ok(Ok(Found::Ending { why })) => (Presence::Ending, why),
                Ok(Ok(Found::Gone { why })) => (Presence::Gone, why),
                Ok(Err(error)) => (Presence::Unknown, chain(&error)),
                Err(_) => (Presence::Unknown, "the provider did not answer in time".to_owned()),
            };
            drop(begun);
            cluster.provider_said(&id, ProviderWord { at: cluster.now(), presence, said });
        });
    }

    pub(super) fn ask_peer(&self, id: &MachineId, peer: MachineId) {
        let Some(machine) = self.machine(id) else { return };
        let Some(begun) = self.begin(Effect::AskPeer(peer.clone()), id) else { return };
        let (cluster, probing) = (self.cluster.clone(), self.probing.clone());
        self.spawn(async move {
            let (sight, said) = probing.ask_peer(&cluster, &peer, &machine).await;
            drop(begun);
            let word = PeerWord { peer, at: cluster.now(), sight, said };
            cluster.peer_said(&machine.id, word);
        });
    }

    /// Has a machine's provider try something. A crash behind the intent costs this attempt its effect;
    /// the next one follows when it has had its time.
    pub(super) fn attempt(&self, id: &MachineId, rung: Rung, why: &str) -> Result<(), ChangeError> {
        let Some(begun) = self.begin(Effect::Try(rung), id) else { return Ok(()) };
        if !self.cluster.attempted(id, rung, why, self.decision().as_ref())? {
            return Ok(());
        }
        let (cluster, id) = (self.cluster.clone(), id.clone());
        self.spawn(async move {
            let provider = &cluster.provider;
            let (tried, what) = match rung {
                Rung::RestartAgent => (
                    led(&cluster, provider.restart_agent(&id)).await,
                    format!("the agent of {id} was not started again"),
                ),
                Rung::Reboot => {
                    (led(&cluster, provider.reboot(&id)).await, format!("{id} was not rebooted"))
                }
            };
            if let Err(why) = tried {
                begun.failed(&cluster, &format!("{what}: {why}"));
            }
        });
        Ok(())
    }

    /// Every machine whose creation is recorded and not acknowledged, also from before a crash:
    /// the call is the same, by the same id, so that repeating it makes no second machine.
    pub(super) fn create_what_is_missing(&self, standstill: &Standstill) {
        let wanted: Vec<MachineRecord> = {
            let state = self.cluster.state();
            let coming = |record: &&MachineRecord| {
                let Machine { state, zone, origin, .. } = &record.machine;
                state.is_pending() && origin.is_provisioned() && !standstill.holds_zone(zone)
            };
            state.records.machines.values().filter(coming).cloned().collect()
        };
        for MachineRecord { machine, token, term, .. } in wanted {
            // One that is taken over is there: it only has to join.
            let AgentToken::Known(token) = token else { continue };
            let id = machine.id.clone();
            if self.lock().created.contains(&id) {
                continue;
            }
            let Some(begun) = self.begin(Effect::Create, &id) else { continue };
            let request = CreateMachine {
                id: id.clone(),
                zone: machine.zone,
                capacity: machine.capacity,
                controller: self.controller.clone(),
                join_token: token,
                term,
                environment: BTreeMap::new(),
            };
            let (cluster, under_way) = (self.cluster.clone(), self.under_way.clone());
            self.spawn(async move {
                match led(&cluster, cluster.provider.create(&request)).await {
                    Ok(()) => {
                        cluster.provider_had_room(&request.zone, Ok(()));
                        under_way.lock().unwrap_or_else(PoisonError::into_inner).created.insert(id);
                    }
                    Err(Failed::Provider(error @ ProviderError::Taken { .. })) => {
                        begun.named_otherwise(&cluster, &request.join_token, &error);
                    }
                    Err(why) => {
                        if let Failed::Provider(ProviderError::NoCapacity { why, .. }) = &why {
                            cluster.provider_had_room(&request.zone, Err(why));
                        }
                        begun.failed(&cluster, &format!("{id} could not be made: {why}"));
                    }
                }
            });
        }
    }

    /// Has the provider keep, of each machine that has joined, what its agent proves itself with: for a controller that has
    /// lost its records. That it joined is the intent; whoever leads next does it again.
    pub(super) fn keep_proofs(&self) {
        let now = Instant::now();
        if !self.cluster.provider.keeps_proofs()
            || self.lock().proofs_due.is_some_and(|due| now < due)
        {
            return;
        }
        let lacking: Vec<_> = {
            let (state, under_way) = (self.cluster.state(), self.lock());
            let lacking = |(id, record): &(&MachineId, &MachineRecord)| {
                let Machine { state, origin, .. } = &record.machine;
                let lacks = origin.is_provisioned() && !under_way.proven.contains(*id);
                state.runs() && lacks && under_way.may_begin(&(Effect::KeepProof, (*id).clone()))
            };
            let machines = state.records.machines.iter().filter(lacking);
            // What is of use one day leaves room for what is of use now.
            let machines =
                machines.take(PROOFS_AT_A_TIME.saturating_sub(under_way.count(&Effect::KeepProof)));
            let kept = |(id, record): (&MachineId, &MachineRecord)| {
                Some((id.clone(), record.made_by()?, record.token.digest()))
            };
            machines.filter_map(kept).collect()
        };
        self.lock().proofs_due = lacking.is_empty().then_some(now + PROOFS_EVERY);
        for (id, intent, token) in lacking {
            let Some(begun) = self.begin(Effect::KeepProof, &id) else { continue };
            let (cluster, under_way) = (self.cluster.clone(), self.under_way.clone());
            self.spawn(async move {
                match led(&cluster, cluster.provider.keep_proof(&id, &intent, &token)).await {
                    Ok(()) => {
                        under_way.lock().unwrap_or_else(PoisonError::into_inner).proven.insert(id);
                    }
                    Err(why) => begun.failed(
                        &cluster,
                        &format!(
                            "{id} may not be there to be taken over should the store be lost: what its agent proves itself \
                             with could not be kept with it: {why}"
                        ),
                    ),
                }
            });
        }
    }

    /// Destroys what may be left of a machine whose end is recorded, by its id; then forgets it, but
    /// for the digest of its token: its agent may still show up. Whoever decided it: one that is locked
    /// is not destroyed. One that was joined by hand is only forgotten.
    pub(super) fn destroy(&self, id: &MachineId) {
        let record = self.cluster.state().records.machines.get(id).cloned();
        let Some(record) = record.filter(|it| it.machine.may_be_destroyed()) else { return };
        let Some(begun) = self.begin(Effect::Destroy, id) else { return };
        let (cluster, id, decision) = (self.cluster.clone(), id.clone(), self.decision());
        self.spawn(async move {
            // What has its name by another intent is another machine: of an earlier store, and nobody's to end.
            let intent = record.made_by();
            let is_ours = match (&record.machine.origin, &intent) {
                (Origin::Joined { .. }, _) => false,
                (Origin::Provisioned, None) => true,
                (Origin::Provisioned, Some(intent)) => {
                    let ours = asked(cluster.provider.is_made_by(&id, intent)).await;
                    !matches!(ours, Ok(false))
                }
            };
            let destroyed = match is_ours {
                true => led(&cluster, cluster.provider.destroy(&id, intent.as_ref())).await,
                false => Ok(()),
            };
            if let Err(why) = destroyed {
                begun.failed(&cluster, &format!("{id} could not be destroyed: {why}"));
                return;
            }
            let told = event(
                EventKind::MachineTerminated,
                about_machine(&id),
                format!("{id} is gone for good"),
            );
            let forgotten = cluster.change(|state| {
                let Some(record) = state.records.machines.get(&id) else {
                    return Ok::<_, AgentError>((Change::default(), ()));
                };
                let (at, token) = (state.now, record.token.digest());
                let intent = intent.filter(|_| record.machine.origin.is_provisioned());
                let gone = Gone { machine: id.clone(), at, token, intent };
                let change = graves::confirm(state, Change::default(), &id, at);
                let change = change.machine(&id, None).gone(&id, Some(gone)).event(told);
                let is_old = |it: &&Gone| at.since(it.at) > REMEMBERED;
                let old = state.records.gone.values().filter(is_old);
                let change = change.decided(decision.as_ref());
                Ok((old.fold(change, |change, it| change.gone(&it.machine, None)), ()))
            });
            if let Err(error) = forgotten {
                tracing::error!(
                    "{id} is destroyed but not forgotten; it will be tried again: {error}"
                );
            }
        });
    }
}

/// The intent to make a machine in a zone, and in a term.
fn intended(
    state: &State,
    (zone, term): (ZoneName, u64),
    capacity: Capacity,
    token: String,
    reason: &str,
) -> Change {
    let mut counters = state.records.counters;
    let id = MachineId::nth(counters.machine);
    counters.machine += 1;
    let machine = Machine::new(id.clone(), zone, capacity, state.now);
    let message = format!("a machine is made in {}, {id}: {reason}", machine.zone);
    let told = event(EventKind::MachineProvisioning, about_machine(&id), message);
    let (comebacks, attempts) = (Vec::new(), Vec::new());
    let token = AgentToken::Known(token);
    let record = MachineRecord { machine, token, made_by: None, term, comebacks, attempts };
    Change::default().counters(counters).machine(&id, Some(record)).event(told)
}

/// 128 bits from the kernel, which never fails once the machine has booted.
pub(crate) fn new_token() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
