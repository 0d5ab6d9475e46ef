#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use super::testing::{at, deployment, fleet, job, policy};
use super::tests::{carry_out, settle, steps};
use super::*;
use cerebro_model::{Job, Lock};
use proptest::prelude::*;
use std::time::Duration;

fn limited(min: u32, max: u32, idle: u32) -> Policy {
    let mut policy = policy(min, max);
    for zone in policy.zones.values_mut() {
        (zone.idle, zone.idle_for) = (Some(idle), Duration::from_secs(60));
    }
    policy
}

/// One look with all agents heard, and what comes of it.
fn look(fleet: &mut Fleet, policy: &Policy, now: Timestamp) -> Plan {
    for observed in fleet.machines.values_mut() {
        observed.last_heartbeat = Some(now);
    }
    let occupancy = Occupancy::of(fleet);
    mark_idle(fleet, &occupancy, now);
    let plan = plan(fleet, policy, now);
    carry_out(fleet, &plan, now);
    plan
}

fn terminated(plan: &Plan) -> Vec<&MachineId> {
    let ended = |step| match step {
        &Step::Turn(ref id, Turn::Terminated) => Some(id),
        _ => None,
    };
    steps(plan).into_iter().filter_map(ended).collect()
}

#[test]
fn the_surplus_goes_after_a_while_one_at_a_time_and_what_was_idle_longest_first() {
    let mut fleet = fleet(&[job("a.b", 1, 1.0, 100)], 5, at(1));
    let policy = limited(2, 6, 1);
    settle(&mut fleet, &policy, at(1));
    assert_eq!(look(&mut fleet, &policy, at(10)).decisions, []);
    let late = MachineId::nth(5);
    fleet.machines.get_mut(&late).unwrap().idle_since = Some(at(5));
    assert_eq!(look(&mut fleet, &policy, at(64)).decisions, []);
    let first = look(&mut fleet, &policy, at(65));
    assert_eq!(terminated(&first), [&late]);
    assert!(first.decisions[0].reason.contains("and 2 without work are kept"), "{first:?}");
    for now in 66..200 {
        look(&mut fleet, &policy, at(now));
    }
    assert_eq!(fleet.machines.len(), 3, "one with work, one for the minimum, one beyond");
}

#[test]
fn without_a_limit_and_while_one_is_silent_or_coming_nothing_goes() {
    let mut world = fleet(&[], 4, at(1));
    look(&mut world, &policy(1, 6), at(1));
    assert_eq!(look(&mut world, &policy(1, 6), at(9999)).decisions, []);

    let occupancy = Occupancy::of(&world);
    mark_idle(&mut world, &occupancy, at(9999));
    world.machines.values_mut().next().unwrap().last_heartbeat = Some(at(1));
    let plan_now = plan(&world, &limited(1, 6, 0), at(9999));
    assert_eq!(terminated(&plan_now), Vec::<&MachineId>::new());
}

#[test]
fn what_an_operator_has_marked_stays() {
    let mut world = fleet(&[], 4, at(1));
    let mut asks = job("a.b", 0, 1.0, 100);
    let own = serde_json::json!({ "require": { "machine": ["m-3"] } });
    asks.placement = serde_json::from_value(own).unwrap();
    let record = cerebro_model::JobRecord { job: asks, revision: 1, changed_at: at(0) };
    world.jobs.insert(record.job.dns_basename.clone(), record);
    let mut machine = |n: u64, change: &dyn Fn(&mut cerebro_model::Machine)| {
        change(&mut world.machines.get_mut(&MachineId::nth(n)).unwrap().machine);
    };
    machine(1, &|it| it.lock = Some(Lock { reason: "mine".to_owned(), at: at(0) }));
    machine(2, &|it| drop(it.labels.insert("disk".parse().unwrap(), "ssd".parse().unwrap())));
    for now in (1..1000).step_by(10) {
        look(&mut world, &limited(0, 6, 0), at(now));
    }
    let left: Vec<_> = world.machines.keys().map(ToString::to_string).collect();
    assert_eq!(left, ["m-1", "m-2", "m-3"]);
}

fn any_jobs() -> impl Strategy<Value = Vec<Job>> {
    let one = (0u32..6, 1u32..30);
    proptest::collection::vec(one, 0..4).prop_map(|jobs| {
        let build = |(n, (count, cpu)): (usize, (u32, u32))| {
            job(&format!("j{n}.b"), count, f64::from(cpu) / 10.0, 10)
        };
        jobs.into_iter().enumerate().map(build).collect()
    })
}

proptest! {
    #[test]
    fn a_zone_comes_to_rest_and_stays_there(
        jobs in any_jobs(), machines in 0u64..7, min in 0u32..4, more in 0u32..4, idle in 0u32..3,
        smaller in proptest::collection::vec(0u32..6, 0..4),
    ) {
        let mut fleet = fleet(&jobs, machines, at(0));
        let policy = limited(min, min + more, idle);
        let mut now = 1;
        let mut round = |fleet: &mut Fleet, rounds: i64| -> Vec<Plan> {
            (0..rounds).map(|_| { now += 5; look(fleet, &policy, at(now)) }).collect()
        };
        round(&mut fleet, 80);
        // Jobs shrink or grow, and there is rest again.
        for (n, (job, count)) in (100..).zip(jobs.iter().zip(&smaller)) {
            let mut job = job.clone();
            let zone = super::testing::zone();
            job.deployment_layout.insert(zone, cerebro_model::ZoneLayout::new(cerebro_model::Megabytes::new(1), *count));
            let next = deployment(n, &job);
            fleet.deployments.insert(next.id.clone(), next);
        }
        round(&mut fleet, 120);
        for plan in round(&mut fleet, 60) {
            prop_assert_eq!(plan.decisions, vec![], "not at rest");
        }
        let free = Occupancy::of(&fleet);
        let idle_now = fleet.machines.keys().filter(|id| free.is_free(id)).count();
        let busy = fleet.machines.len() - idle_now;
        prop_assert!(fleet.machines.len() >= min as usize);
        prop_assert!(idle_now <= (min as usize).saturating_sub(busy) + idle as usize);
    }
}
