//! What components want, beside what jobs grant them.

use crate::records::Records;
use cerebro_api::body::MissingGrants;
use cerebro_model::{Job, Line, Recipe, RecipeName};

/// What the components that `job` names want and it does not grant, as they are now uploaded.
pub fn missing(records: &Records, job: &Job) -> Vec<Line> {
    let named = std::iter::once(&job.deployment_recipe)
        .chain(job.health_checks.iter().map(|check| &check.check));
    let mut lines = Vec::new();
    for line in named.filter_map(|name| records.recipes.get(name)).flat_map(|it| wanted(job, it)) {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// The same for one component.
pub fn wanted(job: &Job, component: &Recipe) -> Vec<Line> {
    component.wants.as_ref().map(|wants| job.grants.missing(wants)).unwrap_or_default()
}

/// The jobs that do not grant all that a component of this name wants.
pub fn jobs_missing(records: &Records, component: &Recipe) -> Vec<MissingGrants> {
    let uses = |job: &Job, name: &RecipeName| {
        job.deployment_recipe == *name || job.health_checks.iter().any(|it| it.check == *name)
    };
    let jobs = records.jobs.values().map(|record| &record.job);
    jobs.filter(|job| uses(job, &component.name))
        .map(|job| MissingGrants { job: job.dns_basename.clone(), lines: wanted(job, component) })
        .filter(|missing| !missing.lines.is_empty())
        .collect()
}
