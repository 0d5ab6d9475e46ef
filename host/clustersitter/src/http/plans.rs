//! Plans: what a deployment would do, before there is one.

use super::extract::{Json as Body, Path};
use super::{Answer, Shared, deployments};
use crate::agent::{Agents, bounded};
use crate::cluster::{Cluster, now};
use axum::Json;
use cerebro_api::body::DeployRequest;
use cerebro_api::deployment::{PlanGroup, PlanReport, Silent, Waiting};
use cerebro_api::{Problem, call};
use cerebro_model::{Assignment, JobName, Plan};
use cerebro_planner::cluster::places;
use futures::StreamExt;
use reqwest::Method;
use std::cmp::Reverse;
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
    let deployment = deployments::prepare(&cluster.state(), &name, request)?;
    let places = places(cluster.fleet(), &cluster.policy, &deployment, now());
    let assignments: Vec<Assignment> = places
        .placed
        .into_iter()
        .map(|instance| cluster.assignment(instance, deployment.clone()))
        .collect();
    let (groups, silent) = ask(&cluster, assignments).await;
    let waiting =
        places.waiting.into_iter().map(|(instance, why)| Waiting { instance, why }).collect();
    Ok(Json(PlanReport { deployment, groups, silent, waiting, leaving: places.leaving }))
}

/// Asks every agent; the same plans are one.
async fn ask(cluster: &Cluster, assignments: Vec<Assignment>) -> (Vec<PlanGroup>, Vec<Silent>) {
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
    let mut groups: BTreeMap<_, PlanGroup> = BTreeMap::new();
    let mut silent = Vec::new();
    for (instance, plan) in answers.collect::<Vec<_>>().await {
        match plan {
            Ok(plan) => {
                let digest = plan.digest();
                let group = || PlanGroup { plan, digest, instances: Vec::new() };
                groups.entry(digest).or_insert_with(group).instances.push(instance.id);
            }
            Err(why) => {
                silent.push(Silent { instance: instance.id, machine: instance.machine, why })
            }
        }
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.iter_mut().for_each(|group| group.instances.sort());
    groups.sort_by_key(|group| (Reverse(group.instances.len()), group.instances.first().cloned()));
    silent.sort_by(|one, other| one.instance.cmp(&other.instance));
    (groups, silent)
}
