//! Small fleets for tests.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use super::{
    Approvals, BrakeRecords, Fleet, Limits, ObservedMachine, Own, Policy, SeenInstance, ZonePolicy,
};
use cerebro_model::{
    Assignment, Capacity, Cores, Course, Deployment, DeploymentId, DeploymentState, Digest,
    Instance, InstanceId, InstanceStatus, Job, JobRecord, Life, Machine, MachineDesired, MachineId,
    Megabytes, Phase, Timestamp, ZoneName,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

pub(crate) fn zone() -> ZoneName {
    "z-1".parse().unwrap()
}

pub(crate) fn job(name: &str, count: u32, cpu: f64, mem: u64) -> Job {
    serde_json::from_value(serde_json::json!({
        "dns_basename": name,
        "deployment_recipe": "r",
        "deployment_layout": { "z-1": { "mem": 1, "count": count } },
        "ports": { "http": 0 },
        "task_configuration": { "name": "t", "command": "true", "cpu": cpu, "mem": mem },
    }))
    .unwrap()
}

pub(crate) fn deployment(n: u64, job: &Job) -> Deployment {
    Deployment {
        id: DeploymentId::nth(n),
        revision: 1,
        job: job.clone(),
        version: format!("{n}.0").parse().unwrap(),
        recipe: Digest::of(b""),
        checks: BTreeMap::new(),
        wants: BTreeMap::new(),
        rolls_back: None,
        restores: None,
        held_to: None,
        state: DeploymentState::Running,
        created_at: at(0),
        course: Course::default(),
    }
}

pub(crate) fn capacity(cpu: f64, mem: u64) -> Capacity {
    let (mem, disk) = (Megabytes::new(mem), Megabytes::new(10_000));
    Capacity { cpu: Cores::try_from(cpu).unwrap(), mem, disk }
}

pub(crate) fn policy(min: u32, max: u32) -> Policy {
    Policy {
        zones: BTreeMap::from([(zone(), ZonePolicy::new(min, max))]),
        machine_capacity: capacity(4.0, 4000),
        started_at: at(0),
        suspect_after: Duration::from_secs(3),
        join_within: Duration::from_secs(60),
        breaker_percent: 30,
        limits: Limits::default(),
        publishes: false,
    }
}

pub(crate) fn machine(n: u64, heard: Timestamp) -> (MachineId, ObservedMachine) {
    let id = MachineId::nth(n);
    let machine = Machine::new(id.clone(), zone(), capacity(4.0, 4000), at(0));
    let observed = ObservedMachine {
        machine: machine.joined(at(0)).unwrap(),
        last_heartbeat: Some(heard),
        probe: None,
        provider: None,
        peers: BTreeMap::new(),
        comebacks: Vec::new(),
        attempts: Vec::new(),
        reported: Some(0),
        ended: BTreeSet::new(),
        idle_since: None,
    };
    (id, observed)
}

pub(crate) fn fleet(jobs: &[Job], machines: u64, heard: Timestamp) -> Fleet {
    let record = |job: &Job| JobRecord { job: job.clone(), revision: 1, changed_at: at(0) };
    Fleet {
        jobs: jobs.iter().map(|job| (job.dns_basename.clone(), record(job))).collect(),
        deployments: jobs
            .iter()
            .zip(1..)
            .map(|(job, n)| (DeploymentId::nth(n), deployment(n, job)))
            .collect(),
        instances: BTreeMap::new(),
        machines: (1..=machines).map(|n| machine(n, heard)).collect(),
        next_placement: 1,
        brakes: BrakeRecords::default(),
        own: Own::default(),
        approvals: Approvals::default(),
        names: BTreeMap::new(),
        full: BTreeMap::new(),
    }
}

pub(crate) fn healthy(instance: &Instance) -> SeenInstance {
    let status = InstanceStatus {
        id: instance.id.clone(),
        placement: instance.placement,
        deployment: Some(instance.deployment.clone()),
        phase: Phase::Healthy,
        pid: Some(1),
        restarts: 0,
        message: String::new(),
        since: instance.since,
        life: Life::default(),
    };
    let mut seen = SeenInstance::told(instance.clone());
    seen.hear(status, instance.since);
    seen
}

pub(crate) fn assignment(n: u64) -> Assignment {
    let job = job("a.b", 1, 0.5, 100);
    let instance = Instance {
        id: InstanceId::new(0, &zone(), &job.dns_basename),
        job: job.dns_basename.clone(),
        zone: zone(),
        number: 0,
        machine: MachineId::nth(1),
        placement: 1,
        ports: BTreeMap::new(),
        deployment: DeploymentId::nth(n),
        since: at(0),
        beside: Vec::new(),
        leaving: None,
    };
    Assignment { instance, deployment: deployment(n, &job), previous_version: None }
}

pub(crate) fn desired(assignments: Vec<Assignment>) -> MachineDesired {
    MachineDesired { machine: MachineId::nth(1), term: 1, index: 1, assignments, peers: Vec::new() }
}
