//! Takes machines over whose agents are ours and that no record tells of, as after a loss of the store:
//! with what runs on them.
//!
//! What an agent runs it says when it joins, and it obeys only afterwards. So what can be taken over is
//! recorded in the commit that lets it join, and what cannot keeps it from joining: it goes on.

use super::{ChangeError, Cluster, State, about_instance, about_machine, event};
use crate::executor::{Failed, asked};
use crate::records::{AgentToken, Change, Counters, Gone, MachineRecord};
use cerebro_api::body::JoinRequest;
use cerebro_machines::{Intent, Presence};
use cerebro_model::{
    Assignment, Deployment, DeploymentState, EventKind, Instance, JobRecord, Lock, Machine,
    MachineId, MoveError, Pause, PauseScope, Subject,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a job that was not known stands still for other machines to be taken over too, unless somebody
/// resumes it.
const WAITS_FOR_OTHERS: Duration = Duration::from_secs(3600);
/// Why it does.
const PAUSED_FOR: &str =
    "more of it may run on machines that are yet to be taken over: resume it once all are";

/// Why a machine is not taken over.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// It is one of ours.
    #[error("{0} is known here already")]
    Known(MachineId),
    /// This cluster gave it up.
    #[error(
        "{0} was given up by this cluster, so that its agent is told to stop what it runs: it cannot be taken over any more"
    )]
    GivenUp(MachineId),
    /// There is no such zone.
    #[error(
        "{machine} stands in {zone}, and this cluster has no such zone: start the cluster sitter with it"
    )]
    NoZone {
        /// The machine.
        machine: MachineId,
        /// The zone.
        zone: String,
    },
    /// Its provider says that it is not there.
    #[error("{machine} is not there: {why}")]
    Gone {
        /// The machine.
        machine: MachineId,
        /// How the provider knows.
        why: String,
    },
    /// Its provider does not know, or cannot say.
    #[error("{machine} cannot be taken over: {source}")]
    Provider {
        /// The machine.
        machine: MachineId,
        /// What it says.
        #[source]
        source: Failed,
    },
    /// There is no way.
    #[error(transparent)]
    Move(#[from] MoveError),
    /// Its agent obeys a later controller.
    #[error(
        "a controller of term {term} had {machine} made, and its agent would not listen to this one, whose term is {own}: make \
         this store anew by `cerebro store restore` or `cerebro store begin`, which go on behind such numbers"
    )]
    Later {
        /// The machine.
        machine: MachineId,
        /// The term in which it was made.
        term: u64,
        /// This controller's.
        own: u64,
    },
    /// It could not be recorded.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl Cluster {
    /// Takes a machine over that its provider made for this cluster, and whose record is lost. It is locked,
    /// so that nothing terminates it before somebody has seen that all is well; its agent joins by itself.
    pub async fn adopt(&self, id: &MachineId, reason: &str) -> Result<(), AdoptError> {
        self.may_adopt(&self.state(), id, None)?;
        let by_provider = |source| AdoptError::Provider { machine: id.clone(), source };
        let made = asked(self.provider.made(id)).await.map_err(by_provider)?;
        match asked(self.provider.describe(id)).await.map_err(by_provider)? {
            Presence::Running => {}
            Presence::Ending { why } | Presence::Gone { why } => {
                return Err(AdoptError::Gone { machine: id.clone(), why });
            }
        }
        if made.term > self.term() {
            let (machine, term, own) = (id.clone(), made.term, self.term());
            return Err(AdoptError::Later { machine, term, own });
        }
        if !self.policy.zones.contains_key(&made.zone) {
            let (machine, zone) = (id.clone(), made.zone.to_string());
            return Err(AdoptError::NoZone { machine, zone });
        }
        self.change(|state| {
            self.may_adopt(state, id, Some(&made.intent))?;
            let lock = Lock { reason: format!("adopted: {reason}"), at: state.now };
            let machine = Machine::new(id.clone(), made.zone, made.capacity, state.now);
            let message = format!("{id} in {} is taken over: {reason}", machine.zone);
            let record = MachineRecord {
                machine: machine.locked(lock)?,
                token: AgentToken::Kept { digest: made.token },
                made_by: Some(made.intent),
                term: made.term,
                comebacks: Vec::new(),
                attempts: Vec::new(),
            };
            let next = id.ordinal().map_or(0, |ordinal| ordinal.saturating_add(1));
            let counters = state.records.counters;
            let counters = Counters { machine: counters.machine.max(next), ..counters };
            let told = event(EventKind::MachineAdopted, about_machine(id), message);
            let change = Change::default().counters(counters).machine(id, Some(record));
            Ok::<_, AdoptError>((change.event(told), ()))
        })
    }

    /// What was given up by an intent is another machine than one of the same name by another.
    fn may_adopt(
        &self,
        state: &State,
        id: &MachineId,
        made_by: Option<&Intent>,
    ) -> Result<(), AdoptError> {
        if state.records.machines.contains_key(id) {
            return Err(AdoptError::Known(id.clone()));
        }
        let is_it = |gone: &&Gone| match (&gone.intent, made_by) {
            (None, _) => true,
            (Some(given_up), made_by) => made_by == Some(given_up),
        };
        match state.records.gone.get(id).filter(is_it) {
            Some(_) => Err(AdoptError::GivenUp(id.clone())),
            None => Ok(()),
        }
    }
}

/// Takes over what an agent runs that joins for the first time by this store's word, beside `change`; why that
/// cannot be, in words.
pub(super) fn take_over(
    state: &State,
    mut change: Change,
    term: u64,
    id: &MachineId,
    request: &JoinRequest,
) -> Result<Change, String> {
    if request.runs.is_empty() {
        return Ok(change);
    }
    if request.term > term {
        return Err(format!(
            "it has obeyed a controller of term {}, and would not listen to this one, whose term is {term}: make this \
             store anew by `cerebro store restore` or `cerebro store begin`, which go on behind such numbers",
            request.term
        ));
    }
    let records = &state.records;
    let mut counters = records.counters;
    let mut jobs: BTreeMap<_, &Deployment> = BTreeMap::new();
    for Assignment { instance, deployment, .. } in &request.runs {
        let ordinal = deployment.id.ordinal().unwrap_or_default();
        if instance.machine != *id {
            return Err(format!("it runs {} as {}", instance.id, instance.machine));
        }
        match records.deployments.get(&deployment.id) {
            Some(known) if !known.brings_what(deployment) => {
                return Err(format!(
                    "it runs {} by {}, which is another deployment here, of {} {}",
                    instance.id,
                    deployment.id,
                    known.job_name(),
                    known.version
                ));
            }
            Some(_) => {}
            None => {
                // It serves; how it ended elsewhere nobody knows any more.
                let state = DeploymentState::Succeeded { at: state.now };
                let taken = Deployment { state, held_to: None, ..deployment.clone() };
                change = change.deployment(&deployment.id, Some(taken));
            }
        }
        if !records.jobs.contains_key(deployment.job_name()) {
            let newest = jobs.entry(deployment.job_name()).or_insert(deployment);
            if newest.id.ordinal() < deployment.id.ordinal() {
                *newest = deployment;
            }
        }
        counters.deployment = counters.deployment.max(ordinal.saturating_add(1));
        counters.placement = counters.placement.max(instance.placement.saturating_add(1));
        let taken = Instance { leaving: None, ..instance.clone() };
        let (message, taken) = match records.instances.get(&instance.id) {
            Some(known) if known.machine != *id => {
                let (it, there) = (&instance.id, &known.machine);
                (format!("{it} ends on {id}: by this store it runs on {there}"), None)
            }
            Some(known) if known.placement >= instance.placement => continue,
            _ => (format!("{} is taken over with {id}", instance.id), Some(taken)),
        };
        let told = event(EventKind::MachineAdopted, about_instance(instance), message);
        change = change.event(told);
        if let Some(taken) = taken {
            change = change.instance(&instance.id, Some(taken));
        }
    }
    for (name, deployment) in jobs {
        let Deployment { job, revision, .. } = deployment;
        let record = JobRecord { job: job.clone(), revision: *revision, changed_at: state.now };
        change = change.job(name, Some(record));
        // What of it seems to lack may run on machines that are taken over next.
        let scope = PauseScope::Job(name.clone());
        let (since, until) = (state.now, state.now.after(WAITS_FOR_OTHERS));
        let (author, reason) = ("cerebro machine adopt".to_owned(), PAUSED_FOR.to_owned());
        let pause = Pause { scope, author, reason, since, until, over: None };
        let about = Subject { job: Some(name.clone()), ..Subject::default() };
        let told = event(EventKind::AutomationPaused, about, pause.to_string());
        change = change.pause(pause).event(told);
    }
    Ok(change.counters(counters))
}
