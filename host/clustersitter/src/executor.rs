//! Carries out what the planner decides: intent first, then the effect, then what came of it.

mod effects;
mod machines;
mod names;
mod turn;

pub use effects::Failed;
use effects::{FIRST_RETRY, UnderWay};
pub(crate) use effects::{asked, chain, led};
pub(crate) use machines::new_token;

use crate::cluster::course::{self, Decided};
use crate::cluster::{
    ChangeError, Cluster, PauseError, Planned, State, about_deployment, about_instance, event,
    notes, rollback,
};
use crate::probe::Probing;
use crate::records::{Change, Records};
use cerebro_model::{
    DecisionId, Deployment, DeploymentId, DeploymentState, EventKind, Instance, InstanceId,
    Machine, Publication,
};
use cerebro_planner::cluster::{self, Decision, Note, Plan, Restore, Step};
use cerebro_store::CommitError;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

/// How often the planner looks even if nothing was heard: silence makes no sound.
const TICK: Duration = Duration::from_millis(200);
/// Instances that are placed in one commit.
const PLACES_AT_ONCE: usize = 256;

/// The executor.
pub struct Executor {
    cluster: Arc<Cluster>,
    /// Where new machines' agents find the controller.
    controller: String,
    probing: Arc<dyn Probing>,
    under_way: Arc<Mutex<UnderWay>>,
    /// The decision that is being carried out, if it is kept.
    deciding: Mutex<Option<DecisionId>>,
    /// What is under way, and known, of names.
    names: Arc<Mutex<names::Names>>,
    /// Effects under way; they end with the executor.
    effects: Mutex<JoinSet<()>>,
}

impl Executor {
    /// An executor for `cluster`; new machines are told that the controller is at `controller`.
    pub fn new(cluster: Arc<Cluster>, controller: String, probing: Arc<dyn Probing>) -> Self {
        let (under_way, names, deciding) = (Arc::default(), Arc::default(), Mutex::default());
        let effects = Mutex::default();
        Self { cluster, controller, probing, under_way, deciding, names, effects }
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
        self.keep_proofs();
        self.publish_what_differs();
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
            Step::Publish(publication) => {
                let decision = self.decision();
                self.cluster.publish(publication, &reason, |it| it.decided(decision.as_ref()))
            }
            Step::ForgetName(job, zone) => {
                self.forget_name(&Publication::name_of(&zone, &job));
                Ok(())
            }
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
