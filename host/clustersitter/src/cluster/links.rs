//! Links between jobs, as they come and go.

use crate::records::Records;
use cerebro_model::{Instance, Job, JobName, LinkCycle, masters};

/// Why a job is not taken, or not deleted.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// There is nothing that it could be linked to.
    #[error(
        "{job} is linked to {master}, and there is no such job: apply {master} first, or correct `linked_job`"
    )]
    NoMaster {
        /// The job.
        job: JobName,
        /// What its `linked_job` names.
        master: JobName,
    },
    /// It would close a circle.
    #[error(transparent)]
    Circle(#[from] LinkCycle),
    /// Others would lose their place.
    #[error(
        "{job} is not deleted: {linked} is linked to it, and would have no place; delete {linked} first, \
         or apply and deploy it without `linked_job`"
    )]
    Needed {
        /// The job.
        job: JobName,
        /// One that is linked to it.
        linked: JobName,
    },
}

/// Whether `job` can be linked as it says.
pub fn check(records: &Records, job: &Job) -> Result<(), LinkError> {
    let Some(master) = &job.linked_job else { return Ok(()) };
    let name = &job.dns_basename;
    if !records.jobs.contains_key(master) {
        return Err(LinkError::NoMaster { job: name.clone(), master: master.clone() });
    }
    let linked_to = |of: &JobName| match of == name {
        true => Some(master),
        false => records.jobs.get(of)?.job.linked_job.as_ref(),
    };
    masters(name, linked_to)?;
    Ok(())
}

/// Whether nothing is linked to `job`, neither as it is defined nor as it runs.
pub fn check_deleted(records: &Records, job: &JobName) -> Result<(), LinkError> {
    let is_linked = |it: &Job| it.linked_job.as_ref() == Some(job);
    let defined = records.jobs.values().map(|record| &record.job);
    let is_there = |it: &&Instance| records.jobs.contains_key(&it.job);
    let runs = records.instances.values().filter(is_there).filter_map(|instance| {
        records.deployments.get(&instance.deployment).map(|deployment| &deployment.job)
    });
    match defined.chain(runs).find(|it| is_linked(it)) {
        Some(linked) => {
            Err(LinkError::Needed { job: job.clone(), linked: linked.dns_basename.clone() })
        }
        None => Ok(()),
    }
}
