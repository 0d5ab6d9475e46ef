#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use super::testing::{at, deployment, fleet, job, policy};
use super::tests::{carry_out, settle, steps};
use super::*;
use cerebro_model::{Job, Phase, Strategy};
use proptest::prelude::*;

fn blue_green(name: &str, count: u32, cpu: f64) -> Job {
    let mut job = job(name, count, cpu, 100);
    job.rollout.strategy = Strategy::BlueGreen;
    job
}

/// A fleet that runs the first deployment of each job.
fn settled(jobs: &[Job], machines: u32) -> Fleet {
    let mut fleet = fleet(jobs, machines.into(), at(1));
    settle(&mut fleet, &policy(machines, machines), at(1));
    fleet
}

fn deploy(fleet: &mut Fleet, n: u64, job: &Job) -> DeploymentId {
    let mut next = deployment(n, job);
    next.created_at = at(1);
    let id = next.id.clone();
    fleet.deployments.insert(id.clone(), next);
    id
}

fn look(fleet: &mut Fleet, policy: &Policy, now: i64) -> Plan {
    for observed in fleet.machines.values_mut() {
        observed.last_heartbeat = Some(at(now));
    }
    let plan_now = plan(fleet, policy, at(now));
    carry_out(fleet, &plan_now, at(now));
    plan_now
}

fn set(fleet: &mut Fleet, id: &str, phase: Phase, now: i64) {
    let seen = fleet.instances.get_mut(&id.parse().unwrap()).unwrap();
    let mut status = seen.status.clone().unwrap();
    status.phase = phase;
    seen.hear(status, at(now));
}

/// Where an instance is and what it runs there, and the same of where it was.
type Place = (String, String, Option<(String, String)>);

fn places(fleet: &Fleet) -> Vec<Place> {
    let of = |seen: &SeenInstance| {
        let it = &seen.instance;
        let left =
            it.leaving.as_ref().map(|it| (it.machine.to_string(), it.deployment.to_string()));
        (it.machine.to_string(), it.deployment.to_string(), left)
    };
    fleet.instances.values().map(of).collect()
}

#[test]
fn all_of_it_comes_at_once_elsewhere_and_the_old_one_ends_once_all_of_it_is_well() {
    let job = blue_green("a.b", 2, 0.5);
    let mut fleet = settled(std::slice::from_ref(&job), 3);
    let before = places(&fleet);
    let id = deploy(&mut fleet, 2, &job);
    let first = look(&mut fleet, &policy(3, 3), 2);
    assert_eq!(first.decisions.len(), 2, "batch or not: {first:?}");
    for (now, was) in places(&fleet).iter().zip(&before) {
        assert_ne!(now.0, was.0, "not where the old one is");
        assert_eq!(
            (&now.1, now.2.clone()),
            (&id.to_string(), Some((was.0.clone(), was.1.clone())))
        );
    }
    set(&mut fleet, "1.z-1.a.b", Phase::Starting, 3);
    assert_eq!(look(&mut fleet, &policy(3, 3), 3).decisions, [], "one is well, and nothing ends");
    set(&mut fleet, "1.z-1.a.b", Phase::Healthy, 4);
    let done = look(&mut fleet, &policy(3, 3), 4);
    assert!(matches!(steps(&done)[..], [Step::Finish(..)]), "{done:?}");
    let ends = look(&mut fleet, &policy(3, 3), 5);
    assert!(matches!(steps(&ends)[..], [Step::LetGo(_), Step::LetGo(_)]), "{ends:?}");
    assert!(places(&fleet).iter().all(|it| it.2.is_none()));
    assert_eq!(look(&mut fleet, &policy(3, 3), 6).decisions, []);
}

#[test]
fn one_that_fails_goes_back_to_where_the_old_one_never_ended() {
    let job = blue_green("a.b", 2, 0.5);
    let mut fleet = settled(std::slice::from_ref(&job), 3);
    let before = places(&fleet);
    let bad = deploy(&mut fleet, 2, &job);
    look(&mut fleet, &policy(3, 3), 2);
    set(&mut fleet, "0.z-1.a.b", Phase::Failed, 3);
    look(&mut fleet, &policy(3, 3), 3);
    assert_eq!(fleet.deployments[&bad].state.word(), "failed");
    let back = look(&mut fleet, &policy(3, 3), 4);
    assert!(matches!(steps(&back)[..], [Step::Return(_), Step::Return(_)]), "{back:?}");
    assert_eq!(places(&fleet), before);
    let done = look(&mut fleet, &policy(3, 3), 4);
    assert!(
        matches!(steps(&done)[..], [Step::Finish(_, DeploymentState::Succeeded { .. }, None)]),
        "what its machine said meanwhile counts: {done:?}"
    );
}

#[test]
fn it_asks_for_machines_and_says_what_is_in_the_way_where_there_may_be_none() {
    let job = blue_green("a.b", 1, 3.0);
    let mut fleet = settled(std::slice::from_ref(&job), 1);
    deploy(&mut fleet, 2, &job);
    let asks = plan(&fleet, &policy(1, 2), at(2));
    assert!(matches!(steps(&asks)[..], [Step::Provision { .. }]), "{asks:?}");
    let none = look(&mut fleet, &policy(1, 1), 2);
    let Note::Unplaceable { why, .. } = &none.notes[0] else { panic!("{none:?}") };
    assert!(why.to_string().contains("of 1 machine in z-1 1 lacks cores"), "{why}");
    look(&mut fleet, &policy(1, 1), 200);
    assert_eq!(fleet.deployments[&DeploymentId::nth(2)].state.word(), "failed");

    let small = blue_green("a.b", 1, 0.5);
    let mut fleet = settled(std::slice::from_ref(&small), 1);
    deploy(&mut fleet, 2, &small);
    let none = plan(&fleet, &policy(1, 1), at(2));
    let Note::Unplaceable { why, .. } = &none.notes[0] else { panic!("{none:?}") };
    assert!(why.to_string().contains("1 has it now (m-1)"), "{why}");
}

#[test]
fn what_is_linked_comes_along_and_goes_back() {
    let mut linked = job("c.d", 1, 0.25, 100);
    linked.linked_job = Some("a.b".parse().unwrap());
    let job = blue_green("a.b", 1, 0.5);
    let mut fleet = settled(&[job.clone(), linked], 2);
    let before = places(&fleet);
    deploy(&mut fleet, 3, &job);
    look(&mut fleet, &policy(2, 2), 2);
    let there = places(&fleet);
    assert!(there.iter().all(|it| it.0 != before[0].0 && it.2.is_some()), "{there:?}");
    set(&mut fleet, "0.z-1.a.b", Phase::Failed, 3);
    look(&mut fleet, &policy(2, 2), 3);
    look(&mut fleet, &policy(2, 2), 4);
    assert_eq!(places(&fleet), before);
    settle(&mut fleet, &policy(2, 2), at(5));
    assert_eq!(places(&fleet), before);
}

#[test]
fn the_next_version_takes_the_place_of_one_that_was_tried_and_the_old_one_goes_on() {
    let job = blue_green("a.b", 1, 0.5);
    let mut fleet = settled(std::slice::from_ref(&job), 3);
    let before = places(&fleet);
    let second = deploy(&mut fleet, 2, &job);
    look(&mut fleet, &policy(3, 3), 2);
    let there = places(&fleet)[0].0.clone();
    let third = deploy(&mut fleet, 3, &job);
    fleet.deployments.get_mut(&second).unwrap().state =
        DeploymentState::Superseded { by: third.clone() };
    look(&mut fleet, &policy(3, 3), 3);
    let left = Some((before[0].0.clone(), before[0].1.clone()));
    assert_eq!(places(&fleet), [(there, third.to_string(), left)]);
}

proptest! {
    /// Whatever becomes of a new version: the old one is there until that has succeeded, the two are
    /// never on one machine, and all comes to an end.
    #[test]
    fn the_old_version_is_there_until_the_new_one_has_succeeded(
        count in 1u32..4,
        ways in prop::collection::vec((0u32..4, 0u8..4), 0..12),
    ) {
        let job = blue_green("a.b", count, 0.5);
        let mut fleet = settled(std::slice::from_ref(&job), 5);
        let id = deploy(&mut fleet, 2, &job);
        for (now, (number, way)) in (2..).zip(ways) {
            look(&mut fleet, &policy(5, 5), now);
            let has_succeeded = fleet.deployments[&id].state.has_succeeded();
            for seen in fleet.instances.values() {
                let it = &seen.instance;
                let runs_old = [Some(it.clone()), it.back()]
                    .into_iter()
                    .flatten()
                    .any(|it| it.deployment == DeploymentId::nth(1));
                prop_assert!(runs_old || has_succeeded, "{it:?}");
                prop_assert!(it.leaving.as_ref().is_none_or(|left| left.machine != it.machine));
            }
            let name = format!("{}.z-1.a.b", number % count);
            let runs_new = fleet.instances[&name.parse().unwrap()].instance.deployment == id;
            if runs_new && !has_succeeded {
                let phase = [Phase::Starting, Phase::Unhealthy, Phase::Failed, Phase::Healthy];
                set(&mut fleet, &name, phase[usize::from(way)], now);
            }
        }
        for name in 0..count {
            let name = format!("{name}.z-1.a.b");
            if fleet.instances[&name.parse().unwrap()].instance.deployment == id {
                set(&mut fleet, &name, Phase::Healthy, 20);
            }
        }
        look(&mut fleet, &policy(5, 5), 20);
        settle(&mut fleet, &policy(5, 5), at(20));
        prop_assert!(fleet.deployments.values().all(|it| it.state.has_ended()));
        prop_assert!(fleet.instances.values().all(|it| it.instance.leaving.is_none()));
    }
}
