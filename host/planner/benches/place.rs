//! What placing costs: 100,000 instances on 10,000 machines, from nothing and one job more.
//! `cargo xtask bench place` runs it; the figures are medians of time on a
//! processor.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on should stop there")]

use cerebro_model::{
    Capacity, Cores, Course, Deployment, DeploymentId, DeploymentState, Digest, InstanceStatus,
    Job, JobRecord, Life, Machine, MachineId, Megabytes, Phase, Timestamp,
};
use cerebro_planner::cluster::{
    Fleet, Limits, ObservedMachine, Occupancy, Plan, Policy, SeenInstance, Step, ZonePolicy,
    plan_with,
};
use nix::time::{ClockId, clock_gettime};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const MACHINES: u32 = 10_000;
const INSTANCES: u32 = 100_000;
const ZONES: u32 = 4;

/// How many instances a job has in each zone: all sorts, or all one.
#[derive(Clone, Copy)]
enum Sizes {
    Mixed,
    Ten,
    One,
    Linked,
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_000_000)
}

fn deployment(n: u64, job: &Job) -> Deployment {
    Deployment {
        id: DeploymentId::nth(n),
        revision: 1,
        job: job.clone(),
        version: "1".parse().unwrap(),
        recipe: Digest::of(b""),
        checks: BTreeMap::new(),
        wants: BTreeMap::new(),
        rolls_back: None,
        restores: None,
        held_to: None,
        state: DeploymentState::Running,
        created_at: now(),
        course: Course::default(),
    }
}

/// The `n`th job, of `count` instances in each zone; what they need differs from job to job.
fn job(n: u32, count: u32) -> Job {
    let zones: serde_json::Map<_, _> = (0..ZONES)
        .map(|zone| (format!("z-{zone}"), serde_json::json!({ "mem": 1, "count": count })))
        .collect();
    let (cpu, mem) = ([0.25, 0.5, 1.0, 0.1, 0.75], [200, 900, 500, 1500, 64]);
    serde_json::from_value(serde_json::json!({
        "dns_basename": format!("job-{n}.bench"),
        "deployment_recipe": "r",
        "deployment_layout": zones,
        "ports": { "http": 0 },
        "task_configuration": {
            "name": "t", "command": "true",
            "cpu": cpu[n as usize % cpu.len()], "mem": mem[n as usize / 2 % mem.len()],
        },
    }))
    .unwrap()
}

fn add(fleet: &mut Fleet, n: u32, job: Job) {
    let deployment = deployment(u64::from(n) + 1, &job);
    fleet.deployments.insert(deployment.id.clone(), deployment);
    let record = JobRecord { job, revision: 1, changed_at: now() };
    fleet.jobs.insert(record.job.dns_basename.clone(), record);
}

/// Machines, and jobs of which nothing is placed yet.
fn fleet(sizes: Sizes) -> Fleet {
    let mut fleet = Fleet { next_placement: 1, ..Fleet::default() };
    let cores = [8.0, 16.0, 32.0];
    for n in 0..MACHINES {
        let capacity = Capacity {
            cpu: Cores::try_from(cores[n as usize % cores.len()]).unwrap(),
            mem: Megabytes::new(16_384),
            disk: Megabytes::new(100_000),
        };
        let zone = format!("z-{}", n % ZONES).parse().unwrap();
        let machine = Machine::new(MachineId::nth(n.into()), zone, capacity, now());
        let machine = machine.joined(now()).unwrap();
        let (last_heartbeat, probe, provider) = (Some(now()), None, None);
        let observed = ObservedMachine {
            machine,
            last_heartbeat,
            probe,
            provider,
            peers: BTreeMap::new(),
            comebacks: Vec::new(),
            attempts: Vec::new(),
            reported: Some(0),
            ended: BTreeSet::new(),
            idle_since: None,
        };
        fleet.machines.insert(observed.machine.id.clone(), observed);
    }
    let (mut left, mut n) = (INSTANCES / ZONES, 0);
    while left > 0 {
        // Many small ones, some large ones, and few that want a thousand in each zone.
        let count = match sizes {
            Sizes::One | Sizes::Linked => 1,
            Sizes::Ten => 10,
            Sizes::Mixed => [1, 2, 3, 5, 8, 20, 50, 100, 1000][(n * 7 % 9) as usize],
        }
        .min(left);
        let mut job = job(n, count);
        if matches!(sizes, Sizes::Linked) && n % 2 == 1 {
            job.linked_job = Some(format!("job-{}.bench", n - 1).parse().unwrap());
        }
        add(&mut fleet, n, job);
        (left, n) = (left - count, n + 1);
    }
    fleet
}

fn policy() -> Policy {
    let zone = |n| (format!("z-{n}").parse().unwrap(), ZonePolicy::new(0, MACHINES));
    Policy {
        zones: (0..ZONES).map(zone).collect(),
        machine_capacity: Capacity {
            cpu: Cores::from_millis(16_000),
            mem: Megabytes::new(16_384),
            disk: Megabytes::new(100_000),
        },
        started_at: now(),
        suspect_after: Duration::from_secs(3),
        join_within: Duration::from_secs(60),
        breaker_percent: 30,
        limits: Limits::default(),
        publishes: false,
    }
}

/// Every place is taken, and what runs there is well; deployments have succeeded.
fn carry_out(fleet: &mut Fleet, plan: Plan) {
    for decision in plan.decisions {
        let Step::Place(instance) = decision.step else { continue };
        let status = InstanceStatus {
            id: instance.id.clone(),
            placement: instance.placement,
            deployment: Some(instance.deployment.clone()),
            phase: Phase::Healthy,
            pid: Some(1),
            restarts: 0,
            message: String::new(),
            since: now(),
            life: Life::default(),
        };
        fleet.next_placement = fleet.next_placement.max(instance.placement + 1);
        let mut seen = SeenInstance::told(instance);
        seen.hear(status, now());
        fleet.instances.insert(seen.instance.id.clone(), seen);
    }
    for deployment in fleet.deployments.values_mut() {
        deployment.state = DeploymentState::Succeeded { at: now() };
    }
}

/// For how long this thread had a processor, in milliseconds: what others do beside it is not in it.
fn busy() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
    Duration::from(time).as_secs_f64() * 1000.0
}

/// The median of `rounds`, in milliseconds, with what the last round gave.
fn median<T>(rounds: usize, mut run: impl FnMut() -> T) -> (f64, T) {
    let mut once = || {
        let start = busy();
        let answer = run();
        (busy() - start, answer)
    };
    let (first, mut answer) = once();
    let mut times = vec![first];
    for _ in 1..rounds {
        let (time, next) = once();
        times.push(time);
        answer = next;
    }
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], answer)
}

fn places(plan: &Plan) -> usize {
    plan.decisions.iter().filter(|it| matches!(it.step, Step::Place(_))).count()
}

fn measure(name: &str, sizes: Sizes) {
    let (mut fleet, policy) = (fleet(sizes), policy());
    let row = |what: &str, places: usize, time: f64| {
        println!("| {name} | {what} | {places} | {time:.1} |");
    };
    let empty = Occupancy::of(&fleet);
    let (time, plan) = median(5, || plan_with(&fleet, &empty, &policy, now()));
    assert_eq!(places(&plan), INSTANCES as usize, "all of them have room: {:?}", plan.notes);
    row("from nothing", places(&plan), time);
    carry_out(&mut fleet, plan);

    let (time, mut kept) = median(5, || Occupancy::of(&fleet));
    row("the index, made anew", 0, time);
    let (time, plan) = median(51, || plan_with(&fleet, &kept, &policy, now()));
    assert_eq!(plan.decisions, []);
    row("a look, nothing to do", 0, time);

    let more = job(900_000, 5);
    add(&mut fleet, 900_000, more);
    let (time, plan) = median(51, || plan_with(&fleet, &kept, &policy, now()));
    row("one job more", places(&plan), time);
    let deployment = fleet.deployments.values().max_by_key(|it| it.id.ordinal()).unwrap();
    let (time, ()) = median(1, || {
        for decision in &plan.decisions {
            if let Step::Place(instance) = &decision.step {
                kept.put(instance, |_| Some(deployment));
            }
        }
    });
    row("... kept in the index", 0, time);
    carry_out(&mut fleet, plan);

    let lost = fleet.instances.values().next().unwrap().instance.machine.clone();
    fleet.machines.remove(&lost);
    let (time, plan) = median(51, || plan_with(&fleet, &kept, &policy, now()));
    row("a machine lost", places(&plan), time);

    let mut huge = job(900_001, 1);
    huge.task_configuration.cpu = Some(Cores::from_millis(64_000));
    add(&mut fleet, 900_001, huge);
    let (time, plan) = median(51, || plan_with(&fleet, &kept, &policy, now()));
    assert_eq!(plan.notes.len(), ZONES as usize);
    row("... and a job that fits nowhere", places(&plan), time);

    let (time, copy) = median(5, || fleet.clone());
    assert_eq!(copy.machines.len(), fleet.machines.len());
    row("a copy of all, as before", 0, time);
}

fn main() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{MACHINES} machines in {ZONES} zones, {INSTANCES} instances; load {load}");
    println!("| jobs | what | places | ms |");
    println!("| --- | --- | ---: | ---: |");
    let only: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    for (name, sizes) in [
        ("mixed", Sizes::Mixed),
        ("of ten in each zone", Sizes::Ten),
        ("of one in each zone", Sizes::One),
        ("of one, every other linked", Sizes::Linked),
    ] {
        if only.is_empty() || only.iter().any(|it| it == name) {
            measure(name, sizes);
        }
    }
}
