//! The state as the API and the page show it.

use super::wants::missing;
use super::{Cluster, State};
use crate::records::{MachineRecord, Records};
use cerebro_api::body::{JobView, MachineView, TaskView, ZoneView};
use cerebro_model::{
    Capacity, Deployment, Instance, Job, JobName, JobRecord, Machine, PauseScope, Seconds,
    ZoneName, ZoneSettings, masters,
};
use cerebro_planner::cluster::{Brake, Note};
use std::collections::BTreeMap;

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
        let view = |record: &MachineRecord| MachineView {
            is_local: self.local.is_some() && record.machine.origin.is_provisioned(),
            ..machine(&state, record)
        };
        state.records.machines.values().map(view).collect()
    }

    /// Every zone that this controller was started with.
    pub fn zones(&self) -> Vec<ZoneView> {
        let state = self.state();
        let view = |zone: &ZoneName| {
            let machines = state.records.machines.values().map(|record| &record.machine);
            let is_there = |it: &&Machine| it.state.runs() || it.state.is_pending();
            let there = machines.filter(|it| it.zone == *zone).filter(is_there);
            let (mut machines, mut without_work) = (0, 0);
            for machine in there {
                machines += 1;
                without_work += u32::from(machine.state.is_active() && state.is_free(&machine.id));
            }
            let settings = self.settings(&state, zone)?;
            let is_set = state.records.zones.contains_key(zone);
            Some(ZoneView { settings, is_set, machines, without_work })
        };
        self.policy.zones.keys().filter_map(view).collect()
    }

    /// What counts for a zone now.
    pub fn settings(&self, state: &State, zone: &ZoneName) -> Option<ZoneSettings> {
        let started = self.policy.zones.get(zone)?;
        Some(state.records.zones.get(zone).cloned().unwrap_or_else(|| ZoneSettings {
            zone: zone.clone(),
            min: started.min,
            max: started.max,
            idle: started.idle,
            idle_for: Seconds::new(started.idle_for.as_secs()),
        }))
    }

    /// Every instance.
    pub fn tasks(&self) -> Vec<TaskView> {
        let state = self.state();
        state.records.instances.values().map(|instance| task(&state, instance)).collect()
    }

    /// How many there are of everything.
    pub fn tally(&self) -> Tally {
        let state = self.state();
        let records = &state.records;
        let mut tally = Tally { jobs: count(records.jobs.len()), ..Tally::default() };
        for MachineRecord { machine, .. } in records.machines.values() {
            let key = (machine.zone.clone(), machine.state.word());
            *tally.machines.entry(key).or_default() += 1;
            let is_silent = state.observed.silent.contains(&machine.id);
            *tally.silent.entry(machine.zone.clone()).or_default() += u64::from(is_silent);
        }
        for instance in records.instances.values() {
            let said = state.observed.statuses.get(&instance.id);
            let said = said.filter(|said| said.placement == instance.placement);
            let phase = said.map_or_else(|| "unheard".to_owned(), |said| said.phase.to_string());
            *tally.instances.entry(phase).or_default() += 1;
        }
        for deployment in records.deployments.values() {
            *tally.deployments.entry(deployment.state.word()).or_default() += 1;
        }
        tally
    }

    /// What the planner wants a person to know.
    pub fn notes(&self) -> Vec<Note> {
        self.state().observed.notes.clone()
    }
}

/// How many there are of everything.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Machines, by their zone and where they stand.
    pub machines: BTreeMap<(ZoneName, &'static str), u64>,
    /// Those of them that are not heard, by zone.
    pub silent: BTreeMap<ZoneName, u64>,
    /// Instances, by the phase that their machine says, or `unheard`.
    pub instances: BTreeMap<String, u64>,
    /// Jobs.
    pub jobs: u64,
    /// Deployments, by their state.
    pub deployments: BTreeMap<&'static str, u64>,
}

fn count(of: usize) -> u64 {
    u64::try_from(of).unwrap_or(u64::MAX)
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
        Note::Masterless { job, why } if job == name => Some(why.to_string()),
        Note::Paused { scope: PauseScope::Cluster, why } => Some(why.clone()),
        Note::Paused { scope: PauseScope::Job(job), why } if job == name => Some(why.clone()),
        Note::Held { brake: Brake::JobBudget(job), why } if job == name => Some(why.clone()),
        _ => None,
    });
    JobView {
        record: record.clone(),
        deployment: of_job().max_by_key(|it| (it.has_begun(), it.id.ordinal())).cloned(),
        wanted: wanted(&state.records, &record.job),
        healthy: u32::try_from(healthy.count()).unwrap_or(u32::MAX),
        problems: problems.collect(),
        missing: missing(&state.records, &record.job),
        unbounded: record.job.grants.unbounded(),
    }
}

/// How many instances a job should have: as many as the master of its masters, if it is linked.
fn wanted(records: &Records, job: &Job) -> u32 {
    let jobs = &records.jobs;
    let linked_to = |name: &JobName| jobs.get(name)?.job.linked_job.as_ref();
    let masters = masters(&job.dns_basename, linked_to).unwrap_or_default();
    let first = masters.last().map_or(Some(job), |first| Some(&jobs.get(*first)?.job));
    let layout = first.into_iter().flat_map(|first| first.deployment_layout.values());
    layout.map(|layout| layout.instances()).sum()
}

fn machine(state: &State, record: &MachineRecord) -> MachineView {
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
            let disk = deployment.job.placement.disk.unwrap_or_default();
            free.disk = free.disk.saturating_sub(disk);
        }
    }
    MachineView {
        machine: machine.clone(),
        last_heartbeat: heard.map(|heard| heard.at),
        stats: heard.map(|heard| heard.stats),
        agent_pid: heard.map(|heard| heard.pid),
        free,
        instances: count,
        comebacks: record.comebacks.clone(),
        attempts: record.attempts.clone(),
        suspect: machine.state.runs() && state.observed.silent.contains(&machine.id),
        idle_since: state.kept.idle_since(&machine.id),
        is_local: false,
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
