//! What components want, beside what they were deployed with and what jobs grant them.

use crate::records::Records;
use cerebro_api::body::MissingGrants;
use cerebro_model::{Grants, Job, Line, Recipe, RecipeName};
use std::collections::BTreeMap;

/// The components that `job` names, as they are now uploaded.
fn components<'a>(records: &'a Records, job: &'a Job) -> impl Iterator<Item = &'a Recipe> {
    std::iter::once(&job.deployment_recipe)
        .chain(job.health_checks.iter().map(|check| &check.check))
        .filter_map(|name| records.recipes.get(name))
}

/// What they declare that they want.
pub fn wants(records: &Records, job: &Job) -> BTreeMap<RecipeName, Grants> {
    let of = |it: &Recipe| Some((it.name.clone(), it.wants.clone()?));
    components(records, job).filter_map(of).collect()
}

/// What a component wants beyond what it wanted when the job was deployed last, and the job does not
/// grant. What it wants at first is no more than a bound: a recipe whose options say where it works
/// wants the whole tree, and is held to what is granted of it.
pub fn wanted(records: &Records, job: &Job, component: &Recipe) -> Vec<Line> {
    let of_job =
        |deployment: &&_| cerebro_model::Deployment::job_name(deployment) == &job.dns_basename;
    let last = records.deployments.values().filter(of_job).max_by_key(|it| it.id.ordinal());
    let before = last.and_then(|deployment| deployment.wants.get(&component.name));
    let (Some(before), Some(now)) = (before, &component.wants) else { return Vec::new() };
    let ungranted = job.grants.missing(now);
    before.missing(now).into_iter().filter(|line| ungranted.contains(line)).collect()
}

/// The same for all components that `job` names.
pub fn missing(records: &Records, job: &Job) -> Vec<Line> {
    let mut lines = Vec::new();
    for line in components(records, job).flat_map(|component| wanted(records, job, component)) {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// The jobs that do not grant all that a component of this name wants.
pub fn jobs_missing(records: &Records, component: &Recipe) -> Vec<MissingGrants> {
    let uses = |job: &Job, name: &RecipeName| {
        job.deployment_recipe == *name || job.health_checks.iter().any(|it| it.check == *name)
    };
    let jobs = records.jobs.values().map(|record| &record.job);
    jobs.filter(|job| uses(job, &component.name))
        .map(|job| MissingGrants {
            job: job.dns_basename.clone(),
            lines: wanted(records, job, component),
        })
        .filter(|missing| !missing.lines.is_empty())
        .collect()
}
