//! The state as the API and the page show it.

use super::wants::missing;
use super::{Cluster, State};
use cerebro_api::body::{JobView, MachineView, TaskView};
use cerebro_model::{Capacity, Deployment, Instance, JobName, JobRecord};
use cerebro_planner::cluster::Note;

impl Cluster {
    /// Every job.
    pub fn jobs(&self) -> Vec<JobView> {
        let state = self.state();
        state.records.jobs.values().map(|record| job(&state, record)).collect()
    }

    /// One job.
    pub fn job(&self, name: &JobName) -> Option<JobView> {
        let state = self.state();
        state.records.jobs.get(name).map(|record| job(&state, record))
    }

    /// Every deployment that is kept, newest first.
    pub fn deployments(&self) -> Vec<Deployment> {
        let mut all: Vec<_> = self.state().records.deployments.values().cloned().collect();
        all.sort_by_key(|deployment| std::cmp::Reverse(deployment.id.ordinal()));
        all
    }

    /// Every machine.
    pub fn machines(&self) -> Vec<MachineView> {
        let state = self.state();
        state.records.machines.values().map(|record| machine(&state, record)).collect()
    }

    /// Every instance.
    pub fn tasks(&self) -> Vec<TaskView> {
        let state = self.state();
        state.records.instances.values().map(|instance| task(&state, instance)).collect()
    }

    /// What the planner wants a person to know.
    pub fn notes(&self) -> Vec<Note> {
        self.state().observed.notes.clone()
    }
}

fn job(state: &State, record: &JobRecord) -> JobView {
    let name = &record.job.dns_basename;
    let of_job = || state.records.deployments.values().filter(|d| d.job_name() == name);
    let instances = state.records.instances.values().filter(|instance| instance.job == *name);
    let healthy =
        instances.filter(|instance| {
            state.observed.statuses.get(&instance.id).is_some_and(|status| {
                status.placement == instance.placement && status.phase.is_well()
            })
        });
    let problems = state.observed.notes.iter().filter_map(|note| match note {
        Note::Unplaceable { job, zone, why } if job == name => Some(format!("{zone}: {why}")),
        _ => None,
    });
    JobView {
        record: record.clone(),
        deployment: of_job().max_by_key(|deployment| deployment.id.ordinal()).cloned(),
        wanted: record.job.deployment_layout.values().map(|layout| layout.instances()).sum(),
        healthy: u32::try_from(healthy.count()).unwrap_or(u32::MAX),
        problems: problems.collect(),
        missing: missing(&state.records, &record.job),
        unbounded: record.job.grants.unbounded(),
    }
}

fn machine(state: &State, record: &crate::records::MachineRecord) -> MachineView {
    let machine = &record.machine;
    let heard = state.observed.heartbeats.get(&machine.id);
    let mut free: Capacity = machine.capacity;
    let mut count = 0;
    for instance in
        state.records.instances.values().filter(|instance| instance.machine == machine.id)
    {
        count += 1;
        if let Some(deployment) = state.records.deployments.get(&instance.deployment) {
            let (cpu, mem) = deployment.job.reserves(&instance.zone);
            (free.cpu, free.mem) = (free.cpu.saturating_sub(cpu), free.mem.saturating_sub(mem));
        }
    }
    MachineView {
        machine: machine.clone(),
        last_heartbeat: heard.map(|heard| heard.at),
        stats: heard.map(|heard| heard.stats),
        agent_pid: heard.map(|heard| heard.pid),
        free,
        instances: count,
    }
}

fn task(state: &State, instance: &Instance) -> TaskView {
    let deployment = state.records.deployments.get(&instance.deployment);
    let machine = state.records.machines.get(&instance.machine);
    let status =
        state.observed.statuses.get(&instance.id).filter(|s| s.placement == instance.placement);
    TaskView {
        instance: instance.clone(),
        version: deployment.map(|deployment| deployment.version.clone()),
        address: machine.and_then(|record| record.machine.address),
        status: status.cloned(),
    }
}
