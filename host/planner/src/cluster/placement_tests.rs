#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use super::testing::{at, deployment, fleet, job, policy, zone};
use super::tests::{carry_out, settle};
use super::*;
use cerebro_model::{Deployment, Job, MachineState, Placement, ZoneLayout};
use serde_json::json;
use std::collections::BTreeSet;

fn placement(words: serde_json::Value) -> Placement {
    serde_json::from_value(words).unwrap()
}

fn placed(mut job: Job, words: serde_json::Value) -> Job {
    job.placement = placement(words);
    job
}

/// A job beside each instance of `master`.
fn linked(name: &str, master: &str, cpu: f64) -> Job {
    serde_json::from_value(json!({
        "dns_basename": name, "deployment_recipe": "r", "linked_job": master,
        "task_configuration": { "name": "t", "command": "true", "cpu": cpu, "mem": 100 },
    }))
    .unwrap()
}

fn machine_of(fleet: &Fleet, id: &str) -> Option<MachineId> {
    Some(fleet.instances.get(&id.parse().unwrap())?.instance.machine.clone())
}

fn label(fleet: &mut Fleet, machine: &str, name: &str, value: &str) {
    let machine = &mut fleet.machines.get_mut(&machine.parse().unwrap()).unwrap().machine;
    machine.labels.insert(name.parse().unwrap(), value.parse().unwrap());
}

fn why(plan: &Plan, of: &str) -> String {
    let found = plan.notes.iter().find_map(|note| match note {
        Note::Unplaceable { job, why, .. } | Note::Masterless { job, why } => {
            (job.as_str() == of).then(|| why.to_string())
        }
        _ => None,
    });
    found.unwrap_or_else(|| panic!("nothing is told of {of}: {:?}", plan.notes))
}

fn deploy(fleet: &mut Fleet, n: u64, job: &Job) -> Deployment {
    let next = deployment(n, job);
    fleet.deployments.insert(next.id.clone(), next.clone());
    next
}

#[test]
fn a_port_by_number_is_not_shared_and_its_owner_is_named() {
    let with_port = |name: &str, count| {
        let mut job = job(name, count, 0.1, 10);
        job.ports.values_mut().for_each(|port| *port = 8080);
        job
    };
    let mut fleet = fleet(&[with_port("a.b", 1), with_port("c.d", 2)], 2, at(1));
    settle(&mut fleet, &policy(2, 2), at(1));
    assert_eq!(fleet.instances.len(), 2);
    let plan = plan(&fleet, &policy(2, 2), at(1));
    let told = why(&plan, "c.d");
    assert!(
        told.contains("2 have port 8080 taken (nearest m-1: port 8080 by 0.z-1.a.b)"),
        "{told}"
    );
}

#[test]
fn a_port_of_the_task_sitters_counts_as_one_of_the_jobs() {
    let mut with_page = job("a.b", 2, 0.1, 10);
    with_page.task_configuration = serde_json::from_value(
        json!({ "name": "t", "command": "true", "http_monitoring_port": 50001 }),
    )
    .unwrap();
    let mut fleet = fleet(&[with_page], 1, at(1));
    settle(&mut fleet, &policy(1, 1), at(1));
    assert_eq!(fleet.instances.len(), 1);
}

#[test]
fn disk_is_reserved_and_told() {
    let mut fleet = fleet(&[placed(job("a.b", 3, 0.1, 10), json!({ "disk": 6000 }))], 2, at(1));
    settle(&mut fleet, &policy(2, 2), at(1));
    assert_eq!(fleet.instances.len(), 2);
    let told = why(&plan(&fleet, &policy(2, 2), at(1)), "a.b");
    assert!(told.contains("2 lack disk (nearest m-1: 4000 MB of disk free)"), "{told}");
}

#[test]
fn labels_are_required_or_preferred() {
    let needs = placed(job("a.b", 2, 0.1, 10), json!({ "require": { "disk": ["ssd", "nvme"] } }));
    let likes = placed(job("c.d", 1, 0.1, 10), json!({ "prefer": { "machine": ["m-4"] } }));
    let mut fleet = fleet(&[needs, likes], 4, at(1));
    label(&mut fleet, "m-2", "disk", "hdd");
    label(&mut fleet, "m-3", "disk", "nvme");
    settle(&mut fleet, &policy(4, 4), at(1));
    let three: MachineId = "m-3".parse().unwrap();
    assert_eq!(machine_of(&fleet, "0.z-1.a.b"), Some(three.clone()));
    assert_eq!(machine_of(&fleet, "1.z-1.a.b"), Some(three.clone()), "the only one that may be");
    assert_eq!(machine_of(&fleet, "0.z-1.c.d"), Some("m-4".parse().unwrap()));

    // What runs stays when a label goes; what comes finds no machine, and no new one would do.
    fleet.machines.get_mut(&three).unwrap().machine.labels.clear();
    assert_eq!(plan(&fleet, &policy(4, 9), at(1)).decisions, []);
    fleet.instances.clear();
    let plan = plan(&fleet, &policy(4, 9), at(1));
    let told = why(&plan, "a.b");
    assert!(told.contains("4 are not labelled disk=nvme|ssd"), "{told}");
    assert!(told.contains("a new machine there is no way out, it is not labelled"), "{told}");
    assert!(!plan.decisions.iter().any(|it| matches!(it.step, Step::Provision { .. })));
}

#[test]
fn jobs_apart_never_meet_whichever_comes_first() {
    for shy in ["a.b", "c.d"] {
        let other = if shy == "a.b" { "c.d" } else { "a.b" };
        let apart = |name: &str| {
            let words = if name == shy { json!({ "apart_from": [other] }) } else { json!({}) };
            placed(job(name, 1, 0.1, 10), words)
        };
        let mut alone = fleet(&[apart("a.b"), apart("c.d")], 1, at(1));
        settle(&mut alone, &policy(1, 1), at(1));
        assert_eq!(alone.instances.len(), 1, "{shy} is shy");
        let told = why(&plan(&alone, &policy(1, 1), at(1)), "c.d");
        assert!(told.contains("to be apart"), "{told}");
        let mut two = fleet(&[apart("a.b"), apart("c.d")], 2, at(1));
        settle(&mut two, &policy(2, 2), at(1));
        assert_ne!(machine_of(&two, "0.z-1.a.b"), machine_of(&two, "0.z-1.c.d"));
    }
}

#[test]
fn instances_are_spread_evenly_or_strictly_or_packed() {
    let machines_of = |words: serde_json::Value, count| {
        let mut fleet = fleet(&[placed(job("a.b", count, 0.5, 100), words)], 4, at(1));
        settle(&mut fleet, &policy(4, 4), at(1));
        let machines: Vec<_> =
            fleet.instances.values().map(|seen| seen.instance.machine.clone()).collect();
        (machines.len(), machines.into_iter().collect::<BTreeSet<_>>().len())
    };
    assert_eq!(machines_of(json!({}), 6), (6, 4));
    assert_eq!(machines_of(json!({ "spread": "require" }), 6), (4, 4));
    assert_eq!(machines_of(json!({ "spread": "pack" }), 6), (6, 1));
}

#[test]
fn the_tightest_machine_with_room_is_taken() {
    let mut both = fleet(&[job("big.b", 1, 2.0, 2000)], 3, at(1));
    settle(&mut both, &policy(3, 3), at(1));
    let small = job("small.b", 1, 0.5, 100);
    let record = both.jobs.values().next().unwrap().clone();
    both.jobs.insert(
        small.dns_basename.clone(),
        cerebro_model::JobRecord { job: small.clone(), ..record },
    );
    deploy(&mut both, 2, &small);
    settle(&mut both, &policy(3, 3), at(1));
    assert_eq!(machine_of(&both, "0.z-1.big.b"), machine_of(&both, "0.z-1.small.b"));
}

#[test]
fn the_greater_priority_goes_first_and_room_for_it_is_kept() {
    let urgent = placed(job("urgent.b", 1, 3.0, 100), json!({ "priority": 10 }));
    let mut world = fleet(&[job("a.b", 1, 3.0, 100), urgent.clone()], 1, at(1));
    settle(&mut world, &policy(1, 1), at(1));
    assert!(machine_of(&world, "0.z-1.urgent.b").is_some(), "not the first by name");
    assert!(machine_of(&world, "0.z-1.a.b").is_none());

    // Nothing that runs makes way; but what is free is kept, until it is enough.
    let mut world = fleet(&[job("a.b", 2, 1.5, 100)], 1, at(1));
    settle(&mut world, &policy(1, 1), at(1));
    let small = job("small.b", 2, 0.5, 100);
    for (n, job) in [(2, &urgent), (3, &small)] {
        let record = world.jobs.values().next().unwrap().clone();
        world.jobs.insert(
            job.dns_basename.clone(),
            cerebro_model::JobRecord { job: job.clone(), ..record },
        );
        deploy(&mut world, n, job);
    }
    let waiting = plan(&world, &policy(1, 1), at(1));
    assert_eq!(waiting.decisions, []);
    let told = why(&waiting, "small.b");
    assert!(told.contains("1 keeps what is free for a job of higher priority"), "{told}");
    world.jobs.retain(|job, _| job.as_str() != "a.b");
    settle(&mut world, &policy(1, 1), at(1));
    assert!(machine_of(&world, "0.z-1.urgent.b").is_some());
    assert_eq!(world.instances.len(), 3, "what is left is for the small ones");
}

#[test]
fn linked_jobs_are_beside_their_master_and_their_room_is_found_with_its() {
    // Alone the masters would share a machine with `c.d`; with their chain each needs its own.
    let jobs = [
        job("a.b", 2, 0.5, 100),
        linked("b.b", "a.b", 1.5),
        linked("c.b", "b.b", 1.5),
        job("d.b", 1, 3.0, 100),
    ];
    let mut world = fleet(&jobs, 3, at(1));
    settle(&mut world, &policy(3, 3), at(1));
    for number in 0..2 {
        let host = machine_of(&world, &format!("{number}.z-1.a.b"));
        assert!(host.is_some());
        assert_eq!(machine_of(&world, &format!("{number}.z-1.b.b")), host);
        assert_eq!(machine_of(&world, &format!("{number}.z-1.c.b")), host);
    }
    assert_eq!(world.instances.len(), 7);

    // The master's machine dies: all follow.
    let dead = machine_of(&world, "0.z-1.a.b").unwrap();
    world.machines.remove(&dead);
    settle(&mut world, &policy(3, 4), at(1));
    let host = machine_of(&world, "0.z-1.a.b");
    assert!(host.is_some() && host != Some(dead));
    assert_eq!(machine_of(&world, "0.z-1.b.b"), host);
    assert_eq!(machine_of(&world, "0.z-1.c.b"), host);

    // The master has fewer now, and so have they.
    let fewer = job("a.b", 1, 0.5, 100);
    deploy(&mut world, 9, &fewer);
    settle(&mut world, &policy(3, 4), at(1));
    let of = |name: &str| {
        world.instances.values().filter(|seen| seen.instance.job.as_str() == name).count()
    };
    assert_eq!((of("a.b"), of("b.b"), of("c.b")), (1, 1, 1));
}

#[test]
fn a_linked_job_without_room_beside_its_master_says_so_and_its_deployment_ends() {
    let mut world = fleet(&[job("a.b", 1, 3.0, 100)], 2, at(1));
    settle(&mut world, &policy(2, 2), at(1));
    let big = linked("b.b", "a.b", 2.0);
    let record = world.jobs.values().next().unwrap().clone();
    world
        .jobs
        .insert(big.dns_basename.clone(), cerebro_model::JobRecord { job: big.clone(), ..record });
    let id = deploy(&mut world, 2, &big).id;
    let told = why(&plan(&world, &policy(2, 2), at(1)), "b.b");
    assert!(told.contains("beside 0.z-1.a.b; it lacks cores (1 cores free)"), "{told}");
    for observed in world.machines.values_mut() {
        observed.last_heartbeat = Some(at(130));
    }
    settle(&mut world, &policy(2, 2), at(130));
    let state = &world.deployments[&id].state;
    assert!(
        matches!(state, DeploymentState::Failed { reason, .. } if reason.contains("no place")),
        "{state:?}"
    );
}

#[test]
fn a_linked_job_waits_for_its_master_and_for_the_end_of_a_circle() {
    let mut world = fleet(&[linked("b.b", "a.b", 0.5)], 1, at(1));
    let told = why(&plan(&world, &policy(1, 1), at(1)), "b.b");
    assert!(told.contains("there is no such job: apply a.b"), "{told}");
    let master = job("a.b", 1, 0.5, 100);
    let record = world.jobs.values().next().unwrap().clone();
    world.jobs.insert(
        master.dns_basename.clone(),
        cerebro_model::JobRecord { job: master.clone(), ..record },
    );
    let told = why(&plan(&world, &policy(1, 1), at(1)), "b.b");
    assert!(told.contains("never deployed: deploy a.b"), "{told}");
    deploy(&mut world, 2, &master);
    settle(&mut world, &policy(1, 1), at(1));
    assert_eq!(world.instances.len(), 2);

    // As deployed, the two are linked in a circle: both stay as they are, and it is told.
    deploy(&mut world, 3, &linked("a.b", "b.b", 0.5));
    let circle = plan(&world, &policy(1, 1), at(1));
    assert_eq!(circle.decisions, []);
    assert!(why(&circle, "a.b").contains("a.b -> b.b -> a.b are linked in a circle"));
}

#[test]
fn a_job_that_becomes_linked_moves_a_batch_at_a_time() {
    let mut world = fleet(&[job("a.b", 3, 0.5, 100), job("b.b", 3, 3.6, 100)], 6, at(1));
    settle(&mut world, &policy(6, 6), at(1));
    let apart = (0..3).filter(|n| {
        machine_of(&world, &format!("{n}.z-1.a.b")) != machine_of(&world, &format!("{n}.z-1.b.b"))
    });
    assert!(apart.count() > 1, "else nothing moves");
    let now_linked = linked("b.b", "a.b", 2.0);
    world.jobs.get_mut(&now_linked.dns_basename).unwrap().job = now_linked.clone();
    deploy(&mut world, 3, &now_linked);
    for _ in 0..20 {
        let plan_now = plan(&world, &policy(6, 6), at(1));
        let of_b = |it: &&Decision| match &it.step {
            Step::Place(instance) => instance.job.as_str() == "b.b",
            Step::Retarget(id, _) => id.as_str().ends_with("b.b"),
            _ => false,
        };
        assert!(plan_now.decisions.iter().filter(of_b).count() <= 1, "{plan_now:?}");
        carry_out(&mut world, &plan_now, at(1));
    }
    for n in 0..3 {
        assert_eq!(
            machine_of(&world, &format!("{n}.z-1.a.b")),
            machine_of(&world, &format!("{n}.z-1.b.b"))
        );
    }
    assert!(world.deployments[&DeploymentId::nth(3)].state.has_succeeded());
}

#[test]
fn an_instance_that_needs_more_stays_if_there_is_room_and_moves_if_not() {
    let mut world = fleet(&[job("a.b", 1, 1.0, 100), job("b.b", 1, 3.0, 100)], 1, at(1));
    settle(&mut world, &policy(1, 1), at(1));
    world.machines.extend([super::testing::machine(2, at(1))]);
    let mut more = job("a.b", 1, 2.0, 100);
    deploy(&mut world, 3, &more);
    settle(&mut world, &policy(2, 2), at(1));
    assert_eq!(machine_of(&world, "0.z-1.a.b"), Some("m-2".parse().unwrap()));
    more.task_configuration.cpu = Some(cerebro_model::Cores::from_millis(4000));
    deploy(&mut world, 4, &more);
    settle(&mut world, &policy(2, 2), at(1));
    assert_eq!(
        machine_of(&world, "0.z-1.a.b"),
        Some("m-2".parse().unwrap()),
        "its own room is its"
    );

    // Nowhere is room for this: what runs goes on, and the deployment ends at its deadline.
    more.task_configuration.cpu = Some(cerebro_model::Cores::from_millis(4001));
    let id = deploy(&mut world, 5, &more).id;
    let plan_now = plan(&world, &policy(2, 2), at(1));
    assert_eq!(plan_now.decisions, []);
    assert!(why(&plan_now, "a.b").contains("lack cores"), "{plan_now:?}");
    for observed in world.machines.values_mut() {
        observed.last_heartbeat = Some(at(130));
    }
    settle(&mut world, &policy(2, 2), at(130));
    assert!(matches!(world.deployments[&id].state, DeploymentState::Failed { .. }));
    assert!(machine_of(&world, "0.z-1.a.b").is_some());
}

#[test]
fn a_port_that_a_new_version_brings_is_given_to_what_runs() {
    let mut old = job("a.b", 1, 1.0, 100);
    let mut world = fleet(std::slice::from_ref(&old), 1, at(1));
    settle(&mut world, &policy(1, 1), at(1));
    let before = world.instances.values().next().unwrap().instance.ports.clone();
    old.ports.insert("admin".parse().unwrap(), 0);
    deploy(&mut world, 2, &old);
    settle(&mut world, &policy(1, 1), at(1));
    let after = world.instances.values().next().unwrap().instance.ports.clone();
    assert_eq!(after.len(), 2);
    assert!(before.iter().all(|(name, port)| after[name] == *port), "those that it had it keeps");
}

#[test]
fn a_silent_machine_is_given_nothing_and_said_to_be_silent() {
    let mut world = fleet(&[job("a.b", 1, 0.5, 100)], 1, at(1));
    let (id, _) = world.machines.iter().next().unwrap();
    let id = id.clone();
    world.machines.get_mut(&id).unwrap().last_heartbeat = Some(at(1));
    let plan = plan(&world, &policy(1, 1), at(10));
    assert!(!plan.decisions.iter().any(|it| matches!(it.step, Step::Place(_))));
    assert!(why(&plan, "a.b").contains("1 is silent (m-1)"), "{:?}", plan.notes);
    assert!(matches!(world.machines[&id].machine.state, MachineState::Active { .. }));
}

#[test]
fn a_layout_of_two_zones_puts_its_numbers_where_it_says() {
    let mut two = job("a.b", 2, 0.5, 100);
    let other: ZoneName = "z-2".parse().unwrap();
    two.deployment_layout
        .insert(other.clone(), ZoneLayout::new(cerebro_model::Megabytes::new(1), 1));
    let mut world = fleet(&[two], 2, at(1));
    let mut policy = policy(2, 2);
    policy.zones.insert(other.clone(), ZonePolicy::new(1, 1));
    world.machines.get_mut(&MachineId::nth(2)).unwrap().machine.zone = other.clone();
    settle_zones(&mut world, &policy);
    let in_zone =
        |zone: &ZoneName| world.instances.values().filter(|it| it.instance.zone == *zone).count();
    assert_eq!((in_zone(&zone()), in_zone(&other)), (2, 1));
    let right = |seen: &SeenInstance| {
        world.machines[&seen.instance.machine].machine.zone == seen.instance.zone
    };
    assert!(world.instances.values().all(right));
}

/// One round without new machines, which `carry_out` makes in one zone only.
fn settle_zones(fleet: &mut Fleet, policy: &Policy) {
    let mut plan = plan(fleet, policy, at(1));
    plan.decisions.retain(|it| !matches!(it.step, Step::Provision { .. }));
    carry_out(fleet, &plan, at(1));
}
