//! What is decided, in words, and what it is about.

use super::{Decision, Fleet, Note, Step, Turn};
use cerebro_model::{Instance, InstanceId, Publication, Subject};
use std::fmt;

impl Step {
    /// Whether it only looks: it changes nothing, and nothing follows from it alone.
    pub fn only_looks(&self) -> bool {
        matches!(self, Self::Probe(_) | Self::AskProvider(_) | Self::AskPeer(..))
    }

    /// What it is about, as `fleet` knows it.
    pub fn about(&self, fleet: &Fleet) -> Subject {
        let of_machine = |id| Subject { machine: Some(id), ..Subject::default() };
        match self {
            Self::Provision { .. } | Self::EndPause(_) => Subject::default(),
            Self::Publish(Publication { job, .. }) | Self::ForgetName(job, _) => {
                Subject { job: Some(job.clone()), ..Subject::default() }
            }
            Self::Probe(id)
            | Self::AskProvider(id)
            | Self::AskPeer(id, _)
            | Self::Try(id, _)
            | Self::DeclareLost(id, _)
            | Self::GiveUp(id)
            | Self::Destroy(id)
            | Self::Turn(id, _) => of_machine(id.clone()),
            Self::Place(instance) => of_instance(instance),
            Self::Return(id) | Self::LetGo(id) | Self::Remove(id) | Self::Restart(id, _) => {
                of_one(id, fleet)
            }
            Self::Retarget(id, deployment) => {
                Subject { deployment: Some(deployment.clone()), ..of_one(id, fleet) }
            }
            Self::Finish(id, ..) | Self::Begin(id) | Self::Promote(id) | Self::Resume(id) => {
                let job = fleet.deployments.get(id).map(|it| it.job_name().clone());
                Subject { job, deployment: Some(id.clone()), ..Subject::default() }
            }
        }
    }
}

fn of_instance(instance: &Instance) -> Subject {
    Subject {
        job: Some(instance.job.clone()),
        machine: Some(instance.machine.clone()),
        instance: Some(instance.id.clone()),
        deployment: Some(instance.deployment.clone()),
        recipe: None,
    }
}

fn of_one(id: &InstanceId, fleet: &Fleet) -> Subject {
    let known = fleet.instances.get(id).map(|seen| of_instance(&seen.instance));
    known.unwrap_or_else(|| Subject { instance: Some(id.clone()), ..Subject::default() })
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provision { zone } => write!(f, "a machine is made in {zone}"),
            Self::Probe(id) => write!(f, "the agent of {id} is asked"),
            Self::AskPeer(id, peer) => write!(f, "{peer} looks at {id}"),
            Self::AskProvider(id) => write!(f, "the provider of {id} is asked"),
            Self::Try(id, rung) => write!(f, "the provider of {id} {}", rung.words()),
            Self::DeclareLost(id, _) | Self::GiveUp(id) => write!(f, "{id} is given up"),
            Self::Destroy(id) => write!(f, "what may be left of {id} is destroyed"),
            Self::Turn(id, Turn::Drained) => write!(f, "{id} is drained"),
            Self::Turn(id, Turn::Maintained) => write!(f, "the maintenance of {id} begins"),
            Self::Turn(id, Turn::MaintenanceOver) => write!(f, "the maintenance of {id} is over"),
            Self::Turn(id, Turn::Terminated) => write!(f, "{id} is terminated"),
            Self::Place(it) => write!(f, "{} goes to {} with {}", it.id, it.machine, it.deployment),
            Self::Return(id) => write!(f, "{id} goes back to where it was"),
            Self::LetGo(id) => write!(f, "the move of {id} ends"),
            Self::Remove(id) => write!(f, "{id} ends"),
            Self::Retarget(id, deployment) => write!(f, "{id} is told to run {deployment}"),
            Self::EndPause(scope) => write!(f, "the pause of {scope} is over"),
            Self::Restart(id, _) => write!(f, "{id} is started again"),
            Self::Finish(id, state, None) => write!(f, "{id} ends: it {}", state.word()),
            Self::Finish(id, state, Some(then)) => {
                let (word, from) = (state.word(), &then.from);
                write!(f, "{id} ends: it {word}, and is rolled back to what {from} brought")
            }
            Self::Begin(id) => write!(f, "{id} begins"),
            Self::Promote(id) => write!(f, "{id} goes on from its canary"),
            Self::Resume(id) => write!(f, "{id} is paused no longer"),
            Self::Publish(it) => write!(f, "{} of {} are published", it.members.len(), it.name()),
            Self::ForgetName(job, zone) => write!(f, "{zone}.{job} is published no longer"),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step, self.reason)
    }
}

impl Note {
    /// What it is about.
    pub fn about(&self) -> Subject {
        let nothing = Subject::default;
        let job = |job| Subject { job: Some(job), ..nothing() };
        let machine = |machine| Subject { machine: Some(machine), ..nothing() };
        match self {
            Self::Unplaceable { job: name, .. } | Self::Masterless { job: name, .. } => {
                job(name.clone())
            }
            Self::DeploymentWaits { deployment, job: name, .. }
            | Self::Failing { deployment, job: name, .. } => {
                Subject { deployment: Some(deployment.clone()), ..job(name.clone()) }
            }
            Self::Suspect { machine: id, .. } | Self::Waits { machine: id, .. } => {
                machine(id.clone())
            }
            Self::Held { brake, .. } => match brake {
                super::Brake::Machine(id) => machine(id.clone()),
                super::Brake::JobBudget(name) => job(name.clone()),
                super::Brake::Instance(id) => Subject { instance: Some(id.clone()), ..nothing() },
                super::Brake::Losses(_)
                | super::Brake::Reboots(_)
                | super::Brake::Births(_)
                | super::Brake::ZoneBudget(_) => nothing(),
            },
            Self::BreakerOpen { .. }
            | Self::Doubt { .. }
            | Self::Proposed { .. }
            | Self::Paused { .. } => nothing(),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unplaceable { job, zone, why } => write!(f, "{job} lacks room in {zone}: {why}"),
            Self::Masterless { job, why } => write!(f, "{job} has no place: {why}"),
            Self::Failing { deployment, job, why } => {
                write!(f, "{deployment} of {job} is paused, and would fail else: {why}")
            }
            Self::DeploymentWaits { why, .. }
            | Self::BreakerOpen { why, .. }
            | Self::Suspect { why, .. }
            | Self::Waits { why, .. }
            | Self::Paused { why, .. }
            | Self::Doubt { why }
            | Self::Proposed { why, .. }
            | Self::Held { why, .. } => f.write_str(why),
        }
    }
}
