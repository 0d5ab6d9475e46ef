//! Deployments that are held to plans: made as those were, and refused where the job, its components
//! or the places of its instances are not what was planned.

use super::{Answer, Refusal, deployments};
use crate::cluster::{Cluster, State};
use axum::http::StatusCode;
use cerebro_api::body::DeployRequest;
use cerebro_api::deployment::{NoPlan, PlanReport};
use cerebro_model::{Deployment, Digest, HeldTo, JobName, PlanEnd, Version};
use cerebro_planner::cluster::{Places, places};

/// The largest file of plans that is read, in bytes.
const LARGEST: u64 = 64 << 20;

/// Why a deployment is not held to a plan, but refused.
#[derive(Debug, thiserror::Error)]
enum Departs {
    #[error("the plan is of {planned}, and not of {job}")]
    Job { planned: JobName, job: JobName },
    #[error(
        "version {asked} was asked for, and {planned} was planned: ask for that, or plan again"
    )]
    Version { asked: Version, planned: Version },
    #[error(
        "the option `{0}` was given, and is not as it was planned: leave it out, or plan again"
    )]
    Option(String),
    #[error("{job} was changed since it was planned, from revision {planned} to {now}: plan again")]
    Revision { job: JobName, planned: u64, now: u64 },
    #[error("{0} is not as it was planned, though of the same revision: plan again")]
    Redefined(JobName),
    #[error("`{name}` was uploaded anew since it was planned, from {planned} to {now}: plan again")]
    Component { name: String, planned: String, now: String },
    #[error("the plan was changed since it was made ({0} is not its digest): plan again")]
    Forged(String),
    #[error("the plan says that the recipe would fail for {instance}: {why}")]
    Fails { instance: String, why: String },
    #[error(
        "the plan for {instance} is cut, since {why}: let it go beyond the plan, or give the recipe \
         what it needs to be planned to its end"
    )]
    Cut { instance: String, why: String },
    #[error("{0}")]
    NoPlan(#[from] NoPlan),
    #[error(
        "{instance} has no place yet, and so no plan ({why}): plan again, or let it go beyond the plan"
    )]
    Waits { instance: String, why: String },
}

impl From<Departs> for Refusal {
    fn from(departs: Departs) -> Self {
        Self::new(StatusCode::CONFLICT, format!("nothing was deployed: {departs}"))
    }
}

/// The plans that a request wants to be held to, as they were uploaded.
pub async fn read(cluster: &Cluster, held: &HeldTo) -> Answer<PlanReport> {
    let (path, digest) = (cluster.blobs.path(&held.plans), &held.plans);
    let missing = || {
        Refusal::invalid(format!(
            "no plans were uploaded as {digest}: upload them as an artifact first"
        ))
    };
    let size = tokio::fs::metadata(&path).await.map_err(|_| missing())?.len();
    if size > LARGEST {
        let limit = LARGEST >> 20;
        return Err(Refusal::invalid(format!("the plans are larger than {limit} MiB, the limit")));
    }
    let bytes = tokio::fs::read(&path).await.map_err(|_| missing())?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Refusal::invalid(format!(
            "{digest} is not what `cerebro deploy --plan --out` keeps of this version: {error}"
        ))
    })
}

/// The deployment that was planned, if all that it is made of is as it was then.
pub fn prepare(
    state: &State,
    name: &JobName,
    request: DeployRequest,
    report: &PlanReport,
) -> Answer<Deployment> {
    let planned = &report.deployment;
    if planned.job_name() != name {
        let (planned, job) = (planned.job_name().clone(), name.clone());
        return Err(Departs::Job { planned, job }.into());
    }
    if request.version != planned.version {
        let (asked, planned) = (request.version, planned.version.clone());
        return Err(Departs::Version { asked, planned }.into());
    }
    let options = &planned.job.recipe_options;
    let other = request.options.iter().find(|(key, value)| options.get(*key) != Some(*value));
    if let Some((key, _)) = other {
        return Err(Departs::Option(key.clone()).into());
    }
    let request = DeployRequest { options: options.clone(), ..request };
    let deployment = deployments::prepare(state, name, request)?;
    agree(report, &deployment)?;
    Ok(deployment)
}

/// Whether the plans are whole, and of what `deployment` is made of.
fn agree(report: &PlanReport, deployment: &Deployment) -> Result<(), Departs> {
    let (planned, job) = (&report.deployment, deployment.job_name());
    if planned.revision != deployment.revision {
        let (planned, now) = (planned.revision, deployment.revision);
        return Err(Departs::Revision { job: job.clone(), planned, now });
    }
    if planned.job != deployment.job {
        return Err(Departs::Redefined(job.clone()));
    }
    let component = |name: &dyn ToString, planned: Digest, now: Digest| Departs::Component {
        name: name.to_string(),
        planned: planned.short(),
        now: now.short(),
    };
    if planned.recipe != deployment.recipe {
        let name = &deployment.job.deployment_recipe;
        return Err(component(name, planned.recipe, deployment.recipe));
    }
    // The job is the same, and so are the checks' names.
    for (name, now) in &deployment.checks {
        match planned.checks.get(name) {
            Some(planned) if planned == now => {}
            Some(planned) => return Err(component(name, *planned, *now)),
            None => return Err(Departs::Redefined(job.clone())),
        }
    }
    let beyond = deployment.held_to.is_some_and(|held| held.beyond);
    for group in &report.groups {
        let is_its = group.plan.component == deployment.recipe.to_string();
        if group.plan.digest() != group.digest || !is_its {
            return Err(Departs::Forged(group.digest.short()));
        }
        let instance = group.instances.first().map(ToString::to_string).unwrap_or_default();
        match &group.plan.end {
            PlanEnd::Fails(why) => return Err(Departs::Fails { instance, why: why.clone() }),
            PlanEnd::Cut(why) if !beyond => {
                return Err(Departs::Cut { instance, why: why.clone() });
            }
            PlanEnd::Cut(_) | PlanEnd::Whole => {}
        }
    }
    Ok(())
}

/// Refuses a deployment of which an instance would have no plan now. Who is placed elsewhere later is
/// refused by the agent there.
pub fn check_places(cluster: &Cluster, report: &PlanReport, deployment: &Deployment) -> Answer<()> {
    if deployment.held_to.is_some_and(|held| held.beyond) {
        return Ok(());
    }
    let places = places(cluster.fleet(), &cluster.policy(), deployment, cluster.now());
    Ok(all_planned(report, places)?)
}

fn all_planned(report: &PlanReport, places: Places) -> Result<(), Departs> {
    if let Some((instance, why)) = places.waiting.into_iter().next() {
        return Err(Departs::Waits { instance: instance.to_string(), why });
    }
    for instance in &places.placed {
        report.plan_for(&instance.id, &instance.machine)?;
    }
    Ok(())
}
