#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use super::testing::{at, fleet, healthy, job, policy};
use super::tests::{carry_out, settle};
use super::*;
use cerebro_model::{InstanceStatus, Job, Phase};
use proptest::prelude::*;
use serde_json::json;

/// A job of two zones, with so many instances in each, whose zones stand in after a minute.
fn two_zones(count: u32) -> Job {
    let mut job = job("a.b", count, 0.1, 10);
    job.deployment_layout = serde_json::from_value(json!({
        "z-1": { "mem": 1, "count": count }, "z-2": { "mem": 1, "count": count },
    }))
    .unwrap();
    job.placement.failover = Some(serde_json::from_value(json!({ "after": 60 })).unwrap());
    job
}

/// Half of so many machines in each of two zones, with a job that has its instances there, and a policy that lets
/// a zone have no more.
fn settled(job: Job, machines: u64) -> (Fleet, Policy) {
    let mut fleet = fleet(&[job], machines, at(1));
    let mut policy = policy(0, machines as u32 / 2);
    let z2: ZoneName = "z-2".parse().unwrap();
    for (n, observed) in (1..).zip(fleet.machines.values_mut()) {
        if n > machines / 2 {
            observed.machine.zone = z2.clone();
        }
    }
    policy.zones.insert(z2, *policy.zones.values().next().unwrap());
    settle(&mut fleet, &policy, at(1));
    (fleet, policy)
}

/// All machines but those of these zones are heard.
fn hear(fleet: &mut Fleet, but: &[&str], now: i64) {
    let heard = fleet.machines.values_mut();
    heard
        .filter(|it| !but.contains(&it.machine.zone.as_str()))
        .for_each(|it| it.last_heartbeat = Some(at(now)));
}

fn placed(plan: &Plan) -> Vec<String> {
    let places = plan.decisions.iter().filter_map(|it| match &it.step {
        Step::Place(instance) => Some(instance.id.to_string()),
        _ => None,
    });
    places.collect()
}

fn ids(fleet: &Fleet) -> Vec<&str> {
    fleet.instances.keys().map(|id| id.as_str()).collect()
}

const LAYOUT: [&str; 4] = ["0.z-1.a.b", "0.z-2.a.b", "1.z-1.a.b", "1.z-2.a.b"];

#[test]
fn a_zone_that_is_silent_for_long_is_stood_in_for_and_nothing_of_it_is_given_up() {
    let (mut fleet, policy) = settled(two_zones(2), 4);
    assert_eq!(ids(&fleet), LAYOUT);
    hear(&mut fleet, &["z-1"], 60);
    assert_eq!(placed(&plan(&fleet, &policy, at(60))), [""; 0]);
    hear(&mut fleet, &["z-1"], 61);
    let plan = plan(&fleet, &policy, at(61));
    assert_eq!(placed(&plan), ["2.z-2.a.b", "3.z-2.a.b"]);
    let reason =
        &plan.decisions.iter().find(|it| matches!(it.step, Step::Place(_))).unwrap().reason;
    assert_eq!(
        reason,
        "it stands in: for more than 60 s, 2 in z-1 have had no machine that is heard"
    );
    assert!(plan.notes.iter().any(|note| matches!(note, Note::BreakerOpen { .. })));
    let gives_up = |it: &Decision| matches!(it.step, Step::DeclareLost(..) | Step::Remove(_));
    assert!(!plan.decisions.iter().any(gives_up), "{:?}", plan.decisions);
    carry_out(&mut fleet, &plan, at(61));
    assert_eq!(placed(&super::plan(&fleet, &policy, at(62))), [""; 0], "enough stands in");
}

#[test]
fn what_stands_in_goes_once_what_it_stood_in_for_is_well_again() {
    let (mut fleet, policy) = settled(two_zones(2), 4);
    hear(&mut fleet, &["z-1"], 100);
    settle_places(&mut fleet, &policy, 100);
    assert_eq!(fleet.instances.len(), 6);
    // They are heard again, but one of them has to be started first.
    hear(&mut fleet, &[], 200);
    let id: InstanceId = "1.z-1.a.b".parse().unwrap();
    let well = fleet.instances[&id].status.clone().unwrap();
    let starts = InstanceStatus { phase: Phase::Starting, ..well.clone() };
    fleet.instances.get_mut(&id).unwrap().hear(starts, at(200));
    settle(&mut fleet, &policy, at(200));
    assert_eq!(ids(&fleet), ["0.z-1.a.b", "0.z-2.a.b", "1.z-1.a.b", "1.z-2.a.b", "2.z-2.a.b"]);
    fleet.instances.get_mut(&id).unwrap().hear(well, at(201));
    settle(&mut fleet, &policy, at(201));
    assert_eq!(ids(&fleet), LAYOUT);
}

/// Has whatever is placed be there.
fn settle_places(fleet: &mut Fleet, policy: &Policy, now: i64) {
    for _ in 0..5 {
        let plan = plan(fleet, policy, at(now));
        for decision in plan.decisions {
            if let Step::Place(instance) = decision.step {
                fleet.next_placement = fleet.next_placement.max(instance.placement + 1);
                fleet.instances.insert(instance.id.clone(), healthy(&instance));
            }
        }
    }
}

#[test]
fn where_hardly_anything_is_heard_nothing_is_started_and_what_stands_in_there_stays() {
    let (mut fleet, policy) = settled(two_zones(2), 4);
    hear(&mut fleet, &["z-1"], 100);
    settle_places(&mut fleet, &policy, 100);
    // The other zone is silent too: the controller doubts itself, and what there is stays.
    let plan = plan(&fleet, &policy, at(300));
    assert!(plan.doubt.is_some());
    assert!(!plan.decisions.iter().any(|it| matches!(it.step, Step::Place(_) | Step::Remove(_))));
}

#[test]
fn what_stands_in_and_may_serve_stays_also_when_no_zone_of_its_job_can_stand_in_any_more() {
    let (mut fleet, mut policy) = settled(two_zones(2), 4);
    hear(&mut fleet, &["z-1"], 100);
    settle_places(&mut fleet, &policy, 100);
    assert_eq!(fleet.instances.len(), 6);
    // There are others, so that the controller has no reason to doubt itself.
    let z3: ZoneName = "z-3".parse().unwrap();
    for n in 11..=20 {
        let (id, mut other) = super::testing::machine(n, at(300));
        other.machine.zone = z3.clone();
        fleet.machines.insert(id, other);
    }
    policy.zones.insert(z3, ZonePolicy::new(0, 10));
    let plan = plan(&fleet, &policy, at(300));
    assert_eq!(plan.doubt, None);
    assert!(!plan.decisions.iter().any(|it| matches!(it.step, Step::Place(_) | Step::Remove(_))));
}

/// Machines of `z-1` are gone, and its provider has none to give.
fn full(fleet: &mut Fleet, gone: usize) {
    let of_it = fleet.machines.values().filter(|it| it.machine.zone.as_str() == "z-1");
    let of_it: Vec<MachineId> = of_it.map(|it| it.machine.id.clone()).collect();
    of_it.iter().take(gone).for_each(|id| drop(fleet.machines.remove(id)));
    let full = Full { since: at(20), at: at(20), why: "there is none".to_owned() };
    fleet.full.insert("z-1".parse().unwrap(), full);
}

#[test]
fn a_zone_without_a_machine_to_give_is_stood_in_for_at_once_and_until_it_has_one() {
    let (mut fleet, policy) = settled(two_zones(2), 4);
    full(&mut fleet, 2);
    hear(&mut fleet, &[], 20);
    let plan = plan(&fleet, &policy, at(20));
    assert_eq!(placed(&plan), ["2.z-2.a.b", "3.z-2.a.b"]);
    let reason =
        &plan.decisions.iter().find(|it| matches!(it.step, Step::Place(_))).unwrap().reason;
    assert_eq!(
        reason,
        "it stands in: 2 in z-1 have no room, and there is no machine to be had there"
    );
    let asks_on =
        |it: &Decision| matches!(&it.step, Step::Provision { zone } if zone.as_str() == "z-1");
    assert!(plan.decisions.iter().any(asks_on), "{:?}", plan.decisions);
    settle_places(&mut fleet, &policy, 20);
    assert_eq!(fleet.instances.len(), 6);
    // There is one: what stands in stays until all are well there.
    fleet.full.clear();
    let (id, mut machine) = super::testing::machine(9, at(30));
    machine.machine.zone = "z-1".parse().unwrap();
    fleet.machines.insert(id, machine);
    hear(&mut fleet, &[], 30);
    let plan = super::plan(&fleet, &policy, at(30));
    assert_eq!(placed(&plan), ["0.z-1.a.b", "1.z-1.a.b"]);
    assert!(!plan.decisions.iter().any(|it| matches!(it.step, Step::Remove(_))));
    settle(&mut fleet, &policy, at(30));
    assert_eq!(ids(&fleet), LAYOUT);
}

#[test]
fn a_full_zone_with_room_left_needs_nobody_and_stands_in_for_nobody() {
    let (mut fleet, policy) = settled(two_zones(2), 4);
    full(&mut fleet, 1);
    hear(&mut fleet, &[], 20);
    let ran = placed(&plan(&fleet, &policy, at(20)));
    assert!(ran.len() == 1 && ran[0].contains("z-1"), "{ran:?}");
    // What was said long ago says nothing.
    let (mut fleet, policy) = settled(two_zones(2), 4);
    full(&mut fleet, 2);
    fleet.full.values_mut().for_each(|full| full.at = at(20 - 300));
    hear(&mut fleet, &[], 20);
    assert_eq!(placed(&plan(&fleet, &policy, at(20))), [""; 0]);
    // Nor does it where a job has nobody to stand in for it.
    let mut job = two_zones(2);
    job.placement.failover = None;
    let (mut fleet, policy) = settled(job, 4);
    full(&mut fleet, 2);
    hear(&mut fleet, &[], 20);
    assert_eq!(placed(&plan(&fleet, &policy, at(20))), [""; 0]);
}

#[test]
fn nobody_stands_in_who_was_not_asked_to() {
    let mut job = two_zones(2);
    job.placement.failover = None;
    let (mut fleet, policy) = settled(job, 4);
    hear(&mut fleet, &["z-1"], 1000);
    assert_eq!(placed(&plan(&fleet, &policy, at(1000))), [""; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Never more stands in than is not well, however machines come and go; and when all are heard, nothing does.
    #[test]
    fn never_more_stands_in_than_is_down_and_in_the_end_nothing_does(
        silences in proptest::collection::vec(proptest::collection::vec(any::<bool>(), 12), 1..12)
    ) {
        let (mut fleet, policy) = settled(two_zones(6), 12);
        let mut now = 10;
        for silent in silences {
            now += 70;
            for (machine, silent) in fleet.machines.values_mut().zip(silent) {
                if !silent {
                    machine.last_heartbeat = Some(at(now));
                }
            }
            let down = fleet.instances.values().filter(|it| {
                let machine = &fleet.machines[&it.instance.machine];
                now - machine.last_heartbeat.unwrap().millis() / 1000 >= 60
            });
            let down = down.count();
            // What stands in may be down itself.
            let before = fleet.instances.len();
            settle_places(&mut fleet, &policy, now);
            let there = fleet.instances.len();
            prop_assert!(there <= before.max(12 + down), "{there} with {down} down, {before} before");
        }
        hear(&mut fleet, &[], now + 10);
        settle(&mut fleet, &policy, at(now + 10));
        prop_assert_eq!(fleet.instances.len(), 12);
    }
}
