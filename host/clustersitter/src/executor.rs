//! Carries out what the planner decides: intent first, then the effect, then what came of it.

mod turn;

use crate::cluster::course::{self, Decided};
use crate::cluster::{
    AgentError, ChangeError, Cluster, PauseError, Planned, State, about_deployment, about_instance,
    about_machine, event, graves, notes, rollback,
};
use crate::probe::Probing;
use crate::records::{Change, Gone, MachineRecord, Records};
use cerebro_machines::{CreateMachine, Presence as Found, ProviderError};
use cerebro_model::{
    DecisionId, Deployment, DeploymentId, DeploymentState, Digest, EventKind, Instance, InstanceId,
    Machine, MachineId, PeerWord, Rung, ZoneName,
};
use cerebro_planner::cluster::{
    self, Decision, Note, Plan, Presence, Probe, ProviderWord, Restore, Standstill, Step,
};
use cerebro_store::CommitError;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How often the planner looks even if nothing was heard: silence makes no sound.
const TICK: Duration = Duration::from_millis(200);
/// How long a provider may take for one call.
const PROVIDER_PATIENCE: Duration = Duration::from_secs(30);
/// The first wait after a provider's failure; it doubles up to a minute.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// How long a machine that is gone is remembered, for its agent to be told.
const REMEMBERED: Duration = Duration::from_secs(90 * 24 * 3600);
/// Instances that are placed in one commit.
const PLACES_AT_ONCE: usize = 256;

/// Effects in the world; one of each kind at a time for one machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Effect {
    Create,
    Destroy,
    Probe,
    Ask,
    AskPeer(MachineId),
    Try(Rung),
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
    probing: Arc<dyn Probing>,
    under_way: Arc<Mutex<UnderWay>>,
    /// The decision that is being carried out, if it is kept.
    deciding: Mutex<Option<DecisionId>>,
    /// Effects under way; they end with the executor.
    effects: Mutex<JoinSet<()>>,
}

impl Executor {
    /// An executor for `cluster`; new machines are told that the controller is at `controller`.
    pub fn new(cluster: Arc<Cluster>, controller: String, probing: Arc<dyn Probing>) -> Self {
        let (under_way, deciding) = (Arc::default(), Mutex::default());
        Self { cluster, controller, probing, under_way, deciding, effects: Mutex::default() }
    }

    /// Plans and executes for ever; ends only when another controller has taken the lead.
    pub async fn run(self) -> CommitError {
        let mut changed = self.cluster.changed();
        loop {
            match self.look() {
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
    pub fn look(&self) -> Result<(), ChangeError> {
        let Planned { plan, decision } = self.cluster.plan()?;
        self.decide(decision);
        let looked = self.follow(plan);
        self.decide(None);
        looked
    }

    fn follow(&self, plan: Plan) -> Result<(), ChangeError> {
        let mut decisions = plan.decisions.into_iter().peekable();
        while let Some(decision) = decisions.next() {
            let Step::Place(instance) = decision.step else {
                self.carry_out(decision)?;
                continue;
            };
            // Places in a row are one commit: the disk is waited for once.
            let mut places = vec![(instance, decision.reason)];
            while places.len() < PLACES_AT_ONCE
                && let Some(Decision { step: Step::Place(instance), reason }) =
                    decisions.next_if(|next| matches!(next.step, Step::Place(_)))
            {
                places.push((instance, reason));
            }
            self.place(places)?;
        }
        self.tell_notes(plan.notes)?;
        self.create_what_is_missing(&plan.standstill);
        Ok(())
    }

    fn decide(&self, decision: Option<DecisionId>) {
        *self.deciding.lock().unwrap_or_else(PoisonError::into_inner) = decision;
    }

    /// The decision that is being carried out.
    fn decision(&self) -> Option<DecisionId> {
        self.deciding.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the records by the decision that is being carried out: what is told names it.
    fn change(
        &self,
        decide: impl FnOnce(&State) -> Result<(Change, ()), ChangeError>,
    ) -> Result<(), ChangeError> {
        let decision = self.decision();
        self.cluster.change(|state| {
            let (change, answer) = decide(state)?;
            Ok((change.decided(decision.as_ref()), answer))
        })
    }

    fn carry_out(&self, Decision { step, reason }: Decision) -> Result<(), ChangeError> {
        match step {
            Step::Provision { zone } => self.provision(zone, &reason),
            Step::Probe(id) => self.probe(&id, &reason),
            Step::AskProvider(id) => {
                self.ask(&id);
                Ok(())
            }
            Step::AskPeer(id, peer) => {
                self.ask_peer(&id, peer);
                Ok(())
            }
            Step::Try(id, rung) => self.attempt(&id, rung, &reason),
            Step::DeclareLost(id, certificate) => self.declare_lost(&id, certificate, &reason),
            Step::GiveUp(id) => {
                let words = format!("{id} is given up: {reason}");
                let to = |machine: &Machine| machine.never_joined(reason);
                self.give_up(&id, EventKind::ProviderFailed, words, to)
            }
            Step::Turn(id, turn) => self.turn(&id, turn, &reason),
            Step::Return(id) => self.change(|state| {
                let Some(back) = state.records.instances.get(&id).and_then(Instance::back) else {
                    return Ok((Change::default(), ()));
                };
                let told = event(EventKind::InstanceMoved, about_instance(&back), reason);
                Ok((Change::default().instance(&id, Some(back)).event(told), ()))
            }),
            Step::LetGo(id) => self.change(|state| {
                let Some(instance) = state.records.instances.get(&id) else {
                    return Ok((Change::default(), ()));
                };
                let instance = Instance { leaving: None, ..instance.clone() };
                let told = event(EventKind::InstanceMoved, about_instance(&instance), reason);
                Ok((Change::default().instance(&id, Some(instance)).event(told), ()))
            }),
            Step::Destroy(id) => {
                self.destroy(&id);
                Ok(())
            }
            Step::Place(instance) => self.place(vec![(instance, reason)]),
            Step::Remove(id) => self.change(|state| {
                let Some(instance) = state.records.instances.get(&id) else {
                    return Ok((Change::default(), ()));
                };
                let message = format!("{id} leaves {}: {reason}", instance.machine);
                let told = event(EventKind::InstanceRemoved, about_instance(instance), message);
                Ok((Change::default().instance(&id, None).event(told), ()))
            }),
            Step::Retarget(id, deployment) => self.change(|state| {
                let Some(instance) = state.records.instances.get(&id) else {
                    return Ok((Change::default(), ()));
                };
                let instance = Instance { deployment, since: state.now, ..instance.clone() };
                let instance = beside(&state.records, &BTreeMap::new(), instance);
                let told = event(EventKind::InstancePlaced, about_instance(&instance), reason);
                Ok((Change::default().instance(&id, Some(instance)).event(told), ()))
            }),
            Step::Restart(id, beside) => self.change(|state| {
                let Some(instance) = state.records.instances.get(&id) else {
                    return Ok((Change::default(), ()));
                };
                let instance = Instance { beside, since: state.now, ..instance.clone() };
                let told = event(EventKind::InstancePlaced, about_instance(&instance), reason);
                Ok((Change::default().instance(&id, Some(instance)).event(told), ()))
            }),
            Step::EndPause(scope) => {
                match self.cluster.end_pause(&scope, &reason, self.decision().as_ref()) {
                    Err(PauseError::Change(error)) => Err(error),
                    // Whoever ended it just now was faster.
                    Ok(_) | Err(_) => Ok(()),
                }
            }
            Step::Finish(id, outcome, then) => self.finish(&id, outcome, then, &reason),
            Step::Begin(id) => self.course(&id, Decided::Begin, &reason),
            Step::Promote(id) => self.course(&id, Decided::Promote, &reason),
            Step::Resume(id) => self.course(&id, Decided::Resume, &reason),
        }
    }

    fn course(&self, id: &DeploymentId, what: Decided, reason: &str) -> Result<(), ChangeError> {
        self.change(|state| Ok((course::carry_out(state, id, what, reason), ())))
    }

    /// Ends a deployment. What takes it back begins in the same commit: a crash leaves both or none.
    fn finish(
        &self,
        id: &DeploymentId,
        outcome: DeploymentState,
        then: Option<Restore>,
        reason: &str,
    ) -> Result<(), ChangeError> {
        self.change(|state| {
            // It may have been superseded since the planner looked.
            let found = state.records.deployments.get(id).filter(|it| !it.state.has_ended());
            let Some(deployment) = found else { return Ok((Change::default(), ())) };
            let ended = Deployment { state: outcome, ..deployment.clone() };
            let kind = match ended.state.has_succeeded() {
                true => EventKind::DeploymentSucceeded,
                false => EventKind::DeploymentFailed,
            };
            let (job, word) = (ended.job_name(), ended.state.word());
            let message = format!("{id} of {job} {word}: {reason}");
            let told = event(kind, about_deployment(&ended), message);
            let change =
                || Change::default().deployment(id, Some(ended.clone())).event(told.clone());
            let earlier = then.as_ref().and_then(|then| state.records.deployments.get(&then.from));
            let back = earlier
                .and_then(|earlier| rollback::begin(state, change(), deployment, earlier))
                .map(|(change, _)| change);
            Ok((back.unwrap_or_else(change), ()))
        })
    }

    /// Records the intent; the machine is made from the record, now or after a crash.
    fn provision(&self, zone: ZoneName, reason: &str) -> Result<(), ChangeError> {
        let capacity = self.cluster.policy().machine_capacity;
        let token = new_token();
        self.change(|state| {
            let mut counters = state.records.counters;
            let id = MachineId::nth(counters.machine);
            counters.machine += 1;
            let machine = Machine::new(id.clone(), zone, capacity, state.now);
            let message = format!("a machine is made in {}, {id}: {reason}", machine.zone);
            let told = event(EventKind::MachineProvisioning, about_machine(&id), message);
            let (comebacks, attempts) = (Vec::new(), Vec::new());
            let record = MachineRecord { machine, token, comebacks, attempts };
            Ok((Change::default().counters(counters).machine(&id, Some(record)).event(told), ()))
        })
    }

    fn place(&self, instances: Vec<(Instance, String)>) -> Result<(), ChangeError> {
        self.change(|state| {
            let mut counters = state.records.counters;
            let (mut change, mut placed) = (Change::default(), BTreeMap::new());
            for (instance, reason) in instances {
                let instance = beside(&state.records, &placed, instance);
                placed.insert(instance.id.clone(), instance.clone());
                counters.placement = counters.placement.max(instance.placement + 1);
                let message = format!("{} goes to {}: {reason}", instance.id, instance.machine);
                let told = event(EventKind::InstancePlaced, about_instance(&instance), message);
                let id = instance.id.clone();
                change = change.instance(&id, Some(instance)).event(told);
            }
            Ok((change.counters(counters), ()))
        })
    }

    fn tell_notes(&self, notes: Vec<Note>) -> Result<(), ChangeError> {
        let (new, gone) = self.cluster.noted(&notes);
        let told = notes::events(new, gone, self.decision().as_ref());
        if !told.is_empty() {
            self.cluster.tell(told)?;
        }
        self.cluster.told(notes);
        Ok(())
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

    fn ask(&self, id: &MachineId) {
        let Some(begun) = self.begin(Effect::Ask, id) else { return };
        let (cluster, id) = (self.cluster.clone(), id.clone());
        self.spawn(async move {
            let answer =
                tokio::time::timeout(PROVIDER_PATIENCE, cluster.provider.describe(&id)).await;
            let (presence, said) = match answer {
                Ok(Ok(Found::Running)) => (Presence::Running, "the machine runs".to_owned()),
                Ok(Ok(Found::Gone { why })) => (Presence::Gone, why),
                Ok(Err(error)) => (Presence::Unknown, chain(&error)),
                Err(_) => (Presence::Unknown, "the provider did not answer in time".to_owned()),
            };
            drop(begun);
            cluster.provider_said(&id, ProviderWord { at: cluster.now(), presence, said });
        });
    }

    fn ask_peer(&self, id: &MachineId, peer: MachineId) {
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
    fn attempt(&self, id: &MachineId, rung: Rung, why: &str) -> Result<(), ChangeError> {
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
    fn create_what_is_missing(&self, standstill: &Standstill) {
        let wanted: Vec<MachineRecord> = {
            let state = self.cluster.state();
            let coming = |record: &&MachineRecord| {
                let Machine { state, zone, .. } = &record.machine;
                state.is_pending() && !standstill.holds_zone(zone)
            };
            state.records.machines.values().filter(coming).cloned().collect()
        };
        for MachineRecord { machine, token, .. } in wanted {
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
            self.spawn(async move {
                match led(&cluster, cluster.provider.create(&request)).await {
                    Ok(()) => {
                        under_way.lock().unwrap_or_else(PoisonError::into_inner).created.insert(id);
                    }
                    Err(Failed::Provider(error @ ProviderError::Taken { .. })) => {
                        begun.named_otherwise(&cluster, &request.join_token, &error);
                    }
                    Err(why) => begun.failed(&cluster, &format!("{id} could not be made: {why}")),
                }
            });
        }
    }

    /// Destroys what may be left of a machine whose end is recorded, by its id; then forgets it, but
    /// for the digest of its token: its agent may still show up. Whoever decided it: one that is locked
    /// is not destroyed.
    fn destroy(&self, id: &MachineId) {
        let record = self.cluster.state().records.machines.get(id).cloned();
        let Some(record) = record.filter(|it| it.machine.may_be_destroyed()) else { return };
        let Some(begun) = self.begin(Effect::Destroy, id) else { return };
        let (cluster, id, decision) = (self.cluster.clone(), id.clone(), self.decision());
        self.spawn(async move {
            // What has its name by another intent is another machine: of an earlier store, and nobody's to end.
            let made = cluster.provider.made_from(&id).await;
            let is_another = made.is_ok_and(|made| made.join_token != record.token);
            let destroyed = match is_another {
                true => Ok(()),
                false => led(&cluster, cluster.provider.destroy(&id)).await,
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
                let (at, token) = (state.now, Digest::of(record.token.as_bytes()));
                let gone = Gone { machine: id.clone(), at, token };
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

    fn spawn(&self, effect: impl Future<Output = ()> + Send + 'static) {
        let mut effects = self.effects.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that have ended make room.
        while effects.try_join_next().is_some() {}
        effects.spawn(effect);
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

/// Has an effect in the world, if this controller still leads.
async fn led(
    cluster: &Cluster,
    call: impl Future<Output = Result<(), ProviderError>>,
) -> Result<(), Failed> {
    cluster.leads()?;
    match tokio::time::timeout(PROVIDER_PATIENCE, call).await {
        Ok(ended) => Ok(ended?),
        Err(_) => Err(Failed::Late),
    }
}

/// Why a call of a provider's had no effect, or none that is known of.
#[derive(Debug, thiserror::Error)]
enum Failed {
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
struct Begun {
    key: (Effect, MachineId),
    under_way: Arc<Mutex<UnderWay>>,
}

impl Begun {
    /// The machine's name is that of another one, which an earlier store knew: the intent is taken back, and
    /// the next machine gets the next number. The other one is not touched.
    fn named_otherwise(self, cluster: &Cluster, token: &str, why: &ProviderError) {
        let id = &self.key.1;
        let taken_back = cluster.change(|state| {
            // It may have been adopted meanwhile, and then it is that one.
            let record = state.records.machines.get(id);
            let is_pending =
                |it: &&MachineRecord| it.machine.state.is_pending() && it.token == token;
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

/// An instance with what it is told to run beside, where others are `placed` in the same breath.
fn beside(
    records: &Records,
    placed: &BTreeMap<InstanceId, Instance>,
    instance: Instance,
) -> Instance {
    let find = |id: &InstanceId| placed.get(id).or_else(|| records.instances.get(id));
    let deployment = records.deployments.get(&instance.deployment);
    let beside = deployment.map(|it| cluster::beside(&instance, &it.job, find));
    Instance { beside: beside.unwrap_or_default(), ..instance }
}

/// 128 bits from the kernel, which never fails once the machine has booted.
fn new_token() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
