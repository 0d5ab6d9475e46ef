//! Plans: what a deployment would do, before there is one.

use super::extract::{Json as Body, Path};
use super::{Answer, Refusal, Shared, deployments};
use crate::agent::{Agents, bounded};
use crate::cluster::Cluster;
use axum::Json;
use cerebro_api::body::DeployRequest;
use cerebro_api::deployment::{PlanGroup, PlanReport, Silent, Waiting};
use cerebro_api::{Problem, call};
use cerebro_model::{Assignment, Deployment, InstanceId, JobName, MachineId, Plan};
use cerebro_planner::cluster::places;
use futures::StreamExt;
use reqwest::Method;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long all plans together may take.
const ALL_WITHIN: Duration = Duration::from_secs(120);
/// How long one may take.
const ONE_WITHIN: Duration = Duration::from_secs(60);

/// What a deployment of the job would do, on each machine as it is now. Nothing is kept or changed.
#[utoipa::path(post, path = "/v1/jobs/{job}/plans", params(("job" = String, Path)),
    request_body = DeployRequest,
    responses((status = 200, body = PlanReport), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn plan(
    cluster: Shared,
    Path(name): Path<JobName>,
    Body(request): Body<DeployRequest>,
) -> Answer<Json<PlanReport>> {
    if request.apply_plan.is_some() {
        let why = "`apply_plan` is for a deployment: what it would do is what the plan says";
        return Err(Refusal::invalid(why));
    }
    let deployment = deployments::prepare(&cluster.state(), &name, request)?;
    Ok(Json(of(&cluster, deployment).await))
}

/// What a deployment would do if it were made now.
pub async fn of(cluster: &Cluster, deployment: Deployment) -> PlanReport {
    let places = places(cluster.fleet(), &cluster.policy(), &deployment, cluster.now());
    let assignments: Vec<Assignment> = places
        .placed
        .into_iter()
        .map(|instance| cluster.assignment(instance, deployment.clone()))
        .collect();
    let (groups, silent, machines) = ask(cluster, assignments).await;
    let waiting =
        places.waiting.into_iter().map(|(instance, why)| Waiting { instance, why }).collect();
    let leaving = places.leaving;
    PlanReport { deployment, groups, silent, waiting, leaving, machines }
}

/// Where each instance is that has a plan.
type Machines = BTreeMap<InstanceId, MachineId>;

/// Asks every agent; the same plans are one.
async fn ask(
    cluster: &Cluster,
    assignments: Vec<Assignment>,
) -> (Vec<PlanGroup>, Vec<Silent>, Machines) {
    let (agents, end) = (Agents::new(), Instant::now() + ALL_WITHIN);
    let answers = bounded(assignments, |assignment| {
        let agents = &agents;
        async move {
            let machine = &assignment.instance.machine;
            let asked =
                agents.json(cluster, machine, Method::POST, call::PLAN, &assignment, ONE_WITHIN);
            let plan: Result<Plan, String> = match timeout_at(end, asked).await {
                Ok(answer) => answer.map_err(|error| error.to_string()),
                Err(_) => Err(format!(
                    "{machine} was not done when all plans together had taken {} s",
                    ALL_WITHIN.as_secs()
                )),
            };
            (assignment.instance, plan)
        }
    });
    let (mut plans, mut silent, mut machines) = (Vec::new(), Vec::new(), Machines::new());
    for (instance, plan) in answers.collect::<Vec<_>>().await {
        match plan {
            Ok(plan) => {
                machines.insert(instance.id.clone(), instance.machine);
                plans.push((instance.id, plan));
            }
            Err(why) => {
                silent.push(Silent { instance: instance.id, machine: instance.machine, why })
            }
        }
    }
    silent.sort_by(|one, other| one.instance.cmp(&other.instance));
    (PlanGroup::gather(plans), silent, machines)
}
