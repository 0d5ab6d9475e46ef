//! Carries out what the planner decides: intent first, then the effect, then what came of it.

use crate::cluster::{
    AgentError, ChangeError, Cluster, about_deployment, about_instance, about_machine, event, now,
    rollback,
};
use crate::probe;
use crate::records::{Change, MachineRecord};
use cerebro_machines::{CreateMachine, Presence as Found};
use cerebro_model::{
    Deployment, DeploymentId, DeploymentState, EventKind, Instance, Machine, MachineId,
    MachineState, Subject, ZoneName,
};
use cerebro_planner::cluster::{
    self as planner, Decision, Note, Presence, ProviderWord, Restore, Step,
};
use cerebro_store::CommitError;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the planner looks even if nothing was heard: silence makes no sound.
const TICK: Duration = Duration::from_millis(200);
/// How long a provider may take for one call.
const PROVIDER_PATIENCE: Duration = Duration::from_secs(30);
/// The first wait after a provider's failure; it doubles up to a minute.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Effects in the world; one of each kind at a time for one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Effect {
    Create,
    Destroy,
    Probe,
    Ask,
}

#[derive(Debug, Default)]
struct UnderWay {
    now: BTreeSet<(Effect, MachineId)>,
    /// Machines whose creation was acknowledged to this controller.
    created: BTreeSet<MachineId>,
    /// After failures: how many, and when to try again.
    retry: BTreeMap<(Effect, MachineId), (u32, Instant)>,
}

/// The executor.
pub struct Executor {
    cluster: Arc<Cluster>,
    /// Where new machines' agents find the controller.
    controller: String,
    http: reqwest::Client,
    under_way: Arc<Mutex<UnderWay>>,
}

impl Executor {
    /// An executor for `cluster`; new machines are told that the controller is at `controller`.
    pub fn new(cluster: Arc<Cluster>, controller: String) -> Self {
        cerebro_api::choose_cryptography();
        Self { cluster, controller, http: reqwest::Client::new(), under_way: Arc::default() }
    }

    /// Plans and executes for ever; ends only when another controller has taken the lead.
    pub async fn run(self) -> CommitError {
        let mut changed = self.cluster.changed();
        loop {
            match self.round() {
                Err(ChangeError::Commit(fenced @ CommitError::Fenced { .. })) => return fenced,
                // The store is down: nothing is done until it is back.
                Err(error) => {
                    tracing::error!("nothing is decided while the store fails: {error}");
                    tokio::time::sleep(FIRST_RETRY).await;
                }
                Ok(()) => {}
            }
            // Whatever changes, changes again in a moment: look once for all of it.
            tokio::time::sleep(Duration::from_millis(5)).await;
            let _ = tokio::time::timeout(TICK, changed.changed()).await;
        }
    }

    /// One look, and everything that follows from it.
    fn round(&self) -> Result<(), ChangeError> {
        let plan = planner::plan(&self.cluster.fleet(), &self.cluster.policy, now());
        for decision in plan.decisions {
            self.carry_out(decision)?;
        }
        self.tell_notes(plan.notes)?;
        self.create_what_is_missing();
        Ok(())
    }

    fn carry_out(&self, Decision { step, reason }: Decision) -> Result<(), ChangeError> {
        match step {
            Step::Provision { zone } => self.provision(zone, &reason),
            Step::Probe(id) => self.probe(&id, &reason),
            Step::AskProvider(id) => {
                self.ask(&id);
                Ok(())
            }
            Step::DeclareLost(id, certificate) => {
                let state = MachineState::Lost { certificate };
                self.give_up(&id, state, EventKind::MachineLost, format!("{id} is lost: {reason}"))
            }
            Step::GiveUp(id) => {
                let state = MachineState::Terminating { reason: reason.clone() };
                self.give_up(
                    &id,
                    state,
                    EventKind::ProviderFailed,
                    format!("{id} is given up: {reason}"),
                )
            }
            Step::Destroy(id) => {
                self.destroy(&id);
                Ok(())
            }
            Step::Place(instance) => self.place(instance, &reason),
            Step::Remove(id) => self.cluster.change(|state| {
                let Some(instance) = state.records.instances.get(&id) else {
                    return Ok((Change::default(), ()));
                };
                let message = format!("{id} leaves {}: {reason}", instance.machine);
                let told = event(EventKind::InstanceRemoved, about_instance(instance), message);
                Ok((Change::default().instance(&id, None).event(told), ()))
            }),
            Step::Retarget(id, deployment) => self.cluster.change(|state| {
                let Some(instance) = state.records.instances.get(&id) else {
                    return Ok((Change::default(), ()));
                };
                let instance = Instance { deployment, since: now(), ..instance.clone() };
                let told = event(EventKind::InstancePlaced, about_instance(&instance), reason);
                Ok((Change::default().instance(&id, Some(instance)).event(told), ()))
            }),
            Step::Finish(id, outcome, then) => self.finish(&id, outcome, then, &reason),
        }
    }

    /// Ends a deployment. What takes it back begins in the same commit: a crash leaves both or none.
    fn finish(
        &self,
        id: &DeploymentId,
        outcome: DeploymentState,
        then: Option<Restore>,
        reason: &str,
    ) -> Result<(), ChangeError> {
        self.cluster.change(|state| {
            // It may have been superseded since the planner looked.
            let found = state.records.deployments.get(id).filter(|it| it.state.is_running());
            let Some(deployment) = found else { return Ok((Change::default(), ())) };
            let ended = Deployment { state: outcome, ..deployment.clone() };
            let kind = match ended.state.has_succeeded() {
                true => EventKind::DeploymentSucceeded,
                false => EventKind::DeploymentFailed,
            };
            let (job, word) = (ended.job_name(), ended.state.word());
            let message = format!("{id} of {job} {word}: {reason}");
            let told = event(kind, about_deployment(&ended), message);
            let change = Change::default().deployment(id, Some(ended)).event(told);
            let earlier = then.as_ref().and_then(|then| state.records.deployments.get(&then.from));
            Ok(match earlier {
                Some(earlier) => (rollback::begin(state, change, deployment, earlier).0, ()),
                None => (change, ()),
            })
        })
    }

    /// Records the intent; the machine is made from the record, now or after a crash.
    fn provision(&self, zone: ZoneName, reason: &str) -> Result<(), ChangeError> {
        let capacity = self.cluster.policy.machine_capacity;
        let token = new_token();
        self.cluster.change(|state| {
            let mut counters = state.records.counters;
            let id = MachineId::nth(counters.machine);
            counters.machine += 1;
            let machine = Machine {
                id: id.clone(),
                zone,
                capacity,
                state: MachineState::Provisioning,
                created_at: now(),
                address: None,
                agent_port: None,
            };
            let message = format!("a machine is made in {}, {id}: {reason}", machine.zone);
            let told = event(EventKind::MachineProvisioning, about_machine(&id), message);
            let record = MachineRecord { machine, token };
            Ok((Change::default().counters(counters).machine(&id, Some(record)).event(told), ()))
        })
    }

    fn place(&self, instance: Instance, reason: &str) -> Result<(), ChangeError> {
        self.cluster.change(|state| {
            let mut counters = state.records.counters;
            counters.placement = counters.placement.max(instance.placement + 1);
            let message = format!("{} goes to {}: {reason}", instance.id, instance.machine);
            let told = event(EventKind::InstancePlaced, about_instance(&instance), message);
            let id = instance.id.clone();
            Ok((Change::default().counters(counters).instance(&id, Some(instance)).event(told), ()))
        })
    }

    fn give_up(
        &self,
        id: &MachineId,
        to: MachineState,
        kind: EventKind,
        words: String,
    ) -> Result<(), ChangeError> {
        self.cluster.change(|state| {
            let Some(record) = state.records.machines.get(id) else {
                return Ok((Change::default(), ()));
            };
            let mut record = record.clone();
            record.machine.state = to;
            let told = event(kind, about_machine(id), words);
            Ok((Change::default().machine(id, Some(record)).event(told), ()))
        })
    }

    fn tell_notes(&self, notes: Vec<Note>) -> Result<(), ChangeError> {
        let (new, gone) = self.cluster.noted(notes);
        let told = new.into_iter().map(|note| match note {
            Note::Unplaceable { job, zone, why } => {
                let message = format!("{job} has no place in {zone} for every instance: {why}");
                event(
                    EventKind::InstanceUnplaceable,
                    Subject { job: Some(job), ..Subject::default() },
                    message,
                )
            }
            Note::BreakerOpen { why, .. } => event(EventKind::BreakerOpen, Subject::default(), why),
            Note::Suspect { machine, why } => {
                event(EventKind::MachineSilent, about_machine(&machine), why)
            }
        });
        let ended = gone.into_iter().filter_map(|note| match note {
            Note::BreakerOpen { zone, .. } => {
                let message = format!(
                    "enough of {zone} is heard again; machines there are repaired as usual"
                );
                Some(event(EventKind::BreakerClosed, Subject::default(), message))
            }
            _ => None,
        });
        let told: Vec<_> = told.chain(ended).collect();
        if told.is_empty() { Ok(()) } else { self.cluster.tell(told) }
    }

    fn machine(&self, id: &MachineId) -> Option<Machine> {
        self.cluster.state().records.machines.get(id).map(|record| record.machine.clone())
    }

    fn probe(&self, id: &MachineId, reason: &str) -> Result<(), ChangeError> {
        if self.cluster.is_newly_silent(id) {
            self.cluster.tell(vec![event(EventKind::MachineSilent, about_machine(id), reason)])?;
        }
        let (Some(machine), Some(begun)) = (self.machine(id), self.begin(Effect::Probe, id)) else {
            return Ok(());
        };
        let (cluster, http) = (self.cluster.clone(), self.http.clone());
        tokio::spawn(async move {
            let found = probe::probe(&http, &machine).await;
            drop(begun);
            cluster.probed(&machine.id, found);
        });
        Ok(())
    }

    fn ask(&self, id: &MachineId) {
        let Some(begun) = self.begin(Effect::Ask, id) else { return };
        let (cluster, id) = (self.cluster.clone(), id.clone());
        tokio::spawn(async move {
            let answer =
                tokio::time::timeout(PROVIDER_PATIENCE, cluster.provider.describe(&id)).await;
            let (presence, said) = match answer {
                Ok(Ok(Found::Running)) => (Presence::Running, "the machine runs".to_owned()),
                Ok(Ok(Found::Gone { why })) => (Presence::Gone, why),
                Ok(Err(error)) => (Presence::Unknown, chain(&error)),
                Err(_) => (Presence::Unknown, "the provider did not answer in time".to_owned()),
            };
            drop(begun);
            cluster.provider_said(&id, ProviderWord { at: now(), presence, said });
        });
    }

    /// Every machine whose creation is recorded and not acknowledged, also from before a crash:
    /// the call is the same, by the same id, so that repeating it makes no second machine.
    fn create_what_is_missing(&self) {
        let wanted: Vec<MachineRecord> = {
            let state = self.cluster.state();
            let coming =
                |record: &&MachineRecord| record.machine.state == MachineState::Provisioning;
            state.records.machines.values().filter(coming).cloned().collect()
        };
        for MachineRecord { machine, token } in wanted {
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
                environment: BTreeMap::new(),
            };
            let (cluster, under_way) = (self.cluster.clone(), self.under_way.clone());
            tokio::spawn(async move {
                match outcome(cluster.provider.create(&request)).await {
                    Ok(()) => {
                        under_way.lock().unwrap_or_else(PoisonError::into_inner).created.insert(id);
                    }
                    Err(why) => begun.failed(&cluster, &format!("{id} could not be made: {why}")),
                }
            });
        }
    }

    /// Destroys what may be left of a machine that was given up, by its id; then forgets it.
    fn destroy(&self, id: &MachineId) {
        let Some(begun) = self.begin(Effect::Destroy, id) else { return };
        let (cluster, id) = (self.cluster.clone(), id.clone());
        tokio::spawn(async move {
            if let Err(why) = outcome(cluster.provider.destroy(&id)).await {
                begun.failed(&cluster, &format!("{id} could not be destroyed: {why}"));
                return;
            }
            let told = event(
                EventKind::MachineTerminated,
                about_machine(&id),
                format!("{id} is gone for good"),
            );
            let forgotten = cluster.change(|_| {
                Ok::<_, AgentError>((Change::default().machine(&id, None).event(told), ()))
            });
            if let Err(error) = forgotten {
                tracing::error!(
                    "{id} is destroyed but not forgotten; it will be tried again: {error}"
                );
            }
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, UnderWay> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None if the same is under way already, or failed too recently.
    fn begin(&self, effect: Effect, id: &MachineId) -> Option<Begun> {
        let mut under_way = self.lock();
        let key = (effect, id.clone());
        let too_soon = under_way.retry.get(&key).is_some_and(|(_, at)| Instant::now() < *at);
        if too_soon || !under_way.now.insert(key.clone()) {
            return None;
        }
        Some(Begun { key, under_way: self.under_way.clone() })
    }
}

async fn outcome(
    call: impl Future<Output = Result<(), cerebro_machines::ProviderError>>,
) -> Result<(), String> {
    match tokio::time::timeout(PROVIDER_PATIENCE, call).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(chain(&error)),
        Err(_) => Err(format!("no answer within {} s", PROVIDER_PATIENCE.as_secs())),
    }
}

/// An error with what it came from.
fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |words, source| format!("{words}: {source}"))
}

/// An effect under way; dropped when it has ended.
struct Begun {
    key: (Effect, MachineId),
    under_way: Arc<Mutex<UnderWay>>,
}

impl Begun {
    /// Puts the next try off, and tells why.
    fn failed(self, cluster: &Cluster, why: &str) {
        let wait = {
            let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            let (failures, at) =
                under_way.retry.entry(self.key.clone()).or_insert((0, Instant::now()));
            let wait = FIRST_RETRY * 2u32.pow((*failures).min(6));
            (*failures, *at) = (*failures + 1, Instant::now() + wait.min(Duration::from_secs(60)));
            wait
        };
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

/// 128 bits from the kernel, which never fails once the machine has booted.
fn new_token() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
