//! What is foreseen is what the planner does, and nothing is changed by asking.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use super::*;
use crate::cluster::testing::{at, fleet, job, policy, zone};
use crate::cluster::tests::settle;
use crate::cluster::{Step, plan};
use cerebro_model::{Job, Pause, PauseScope, Seconds};
use proptest::prelude::*;

/// A settled cluster at second 100, all of it heard just now.
fn settled(jobs: &[Job], machines: u32, most: u32) -> (Fleet, Policy) {
    let (mut fleet, mut policy) = (fleet(jobs, machines.into(), at(50)), policy(machines, most));
    settle(&mut fleet, &policy, at(50));
    fleet.machines.values_mut().for_each(|it| it.last_heartbeat = Some(at(100)));
    policy.started_at = at(0);
    (fleet, policy)
}

fn machine_lost(fleet: &Fleet, policy: &Policy, n: u64) -> Foreseen {
    let event = WhatIf::MachineLost { machine: MachineId::nth(n) };
    what_if(fleet, policy, &event, at(100)).unwrap()
}

#[test]
fn a_machine_with_room_elsewhere_leaves_one_gap_and_makes_none() {
    // Two instances, on two of three machines; two are kept.
    let (fleet, mut policy) = settled(&[job("a.b", 2, 0.5, 100)], 3, 4);
    policy.zones.values_mut().for_each(|zone| zone.min = 2);
    let on = fleet.instances.values().next().unwrap().instance.machine.clone();
    let event = WhatIf::MachineLost { machine: on.clone() };
    let foreseen = what_if(&fleet, &policy, &event, at(100)).unwrap();
    assert_eq!(foreseen.made, []);
    assert_eq!(foreseen.given_up.iter().map(|it| &it.machine).collect::<Vec<_>>(), [&on]);
    let [hit] = &*foreseen.hit else { panic!("{foreseen:?}") };
    assert_eq!((hit.wanted, hit.before, hit.worst, hit.in_the_end), (2, 2, 1, 2));
    assert_eq!(hit.none, Seconds::new(0));
    // Three seconds of silence, its witnesses, and the time to start.
    let below = hit.below.duration().as_secs_f64();
    assert!((3.0..5.0).contains(&below), "{below}");
    assert!(foreseen.at_rest && foreseen.approvals.is_empty(), "{foreseen:?}");
    assert!(foreseen.words().contains("a.b loses 1 of the 2 that serve"), "{}", foreseen.words());
}

#[test]
fn one_without_room_elsewhere_waits_for_a_machine_to_join() {
    let (fleet, policy) = settled(&[job("a.b", 1, 3.0, 100), job("c.d", 1, 3.0, 100)], 2, 4);
    let foreseen = machine_lost(&fleet, &policy, 1);
    assert_eq!(foreseen.made.len(), 1);
    let [hit] = &*foreseen.hit else { panic!("{foreseen:?}") };
    assert_eq!((hit.worst, hit.in_the_end), (0, 1));
    assert!(hit.none.duration() > Duration::from_secs(48), "{:?}", hit.none);
    assert_eq!(hit.none, hit.below);
}

#[test]
fn most_of_a_zone_is_left_to_a_person() {
    let (mut fleet, policy) = settled(&[job("a.b", 5, 0.5, 100)], 5, 9);
    // Another zone is larger: the controller has no reason to doubt itself.
    let elsewhere: ZoneName = "z-2".parse().unwrap();
    for n in 11..20 {
        let (id, mut it) = crate::cluster::testing::machine(n, at(100));
        it.machine.zone = elsewhere.clone();
        fleet.machines.insert(id, it);
    }
    let mut policy = policy;
    let allowed = policy.zones[&zone()];
    policy.zones.insert(elsewhere, crate::cluster::ZonePolicy { min: 9, ..allowed });
    let event = WhatIf::ZoneLost { zone: zone() };
    let foreseen = what_if(&fleet, &policy, &event, at(100)).unwrap();
    assert_eq!((foreseen.given_up.len(), foreseen.made.len()), (0, 0));
    assert_eq!(foreseen.approvals.len(), 5, "{foreseen:?}");
    assert!(foreseen.approvals.contains(&"give-up-m-1".to_owned()));
    assert!(foreseen.held.iter().any(|it| it.what.contains("5 of 5 machines in z-1")));
    let [hit] = &*foreseen.hit else { panic!("{foreseen:?}") };
    assert_eq!((hit.worst, hit.in_the_end), (0, 0));
    assert!(foreseen.words().contains("cerebro repair approve give-up-m-1"));
}

#[test]
fn without_a_controller_what_was_begun_stands_still_and_the_next_one_listens_first() {
    let jobs = [job("a.b", 2, 0.5, 100)];
    let (mut fleet, policy) = settled(&jobs, 3, 4);
    let dead = fleet.instances.values().next().unwrap().instance.machine.clone();
    fleet.machines.get_mut(&dead).unwrap().last_heartbeat = Some(at(90));
    let author = "eva".to_owned();
    let (reason, over) = ("no".to_owned(), None);
    let pause = Pause {
        scope: PauseScope::Zone(zone()),
        author,
        reason,
        since: at(90),
        until: at(200),
        over,
    };
    fleet.brakes.pauses.insert(pause.scope.clone(), pause);
    let lasts = Seconds::new(600);
    let event = WhatIf::ControllerLost { lasts };
    let foreseen = what_if(&fleet, &policy, &event, at(100)).unwrap();
    let still = foreseen.stands_still.join("\n");
    for part in [
        format!("{dead} is silent, and is not given up"),
        "the pause of zone z-1 ends at".to_owned(),
        "listened for 6 s".to_owned(),
    ] {
        assert!(still.contains(&part), "{part}: {still}");
    }
    assert!(foreseen.goes_on[0].contains("2 instances on 3 machines run on"));
    assert!(foreseen.course.iter().all(|it| it.after.duration() >= lasts.duration()));
}

#[test]
fn what_is_not_there_cannot_be_lost() {
    let (fleet, policy) = settled(&[job("a.b", 1, 0.5, 100)], 1, 1);
    let lost = |event| what_if(&fleet, &policy, &event, at(100)).unwrap_err().to_string();
    let machine = WhatIf::MachineLost { machine: MachineId::nth(9) };
    assert!(lost(machine).contains("there is no machine `m-9` that runs"));
    let zone = WhatIf::ZoneLost { zone: "z-9".parse().unwrap() };
    assert!(lost(zone).contains("there is no zone `z-9`"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn asking_changes_nothing_and_answers_the_same_again(
        machines in 1u32..6, more in 0u32..3, count in 1u32..6, lost in 1u64..6, event in 0u8..3,
    ) {
        let (fleet, policy) =
            settled(&[job("a.b", count, 0.5, 100), job("c.d", 1, 1.0, 500)], machines, machines + more);
        let event = match event {
            0 => WhatIf::MachineLost { machine: MachineId::nth(lost) },
            1 => WhatIf::ZoneLost { zone: zone() },
            _ => WhatIf::ControllerLost { lasts: Seconds::new(lost * 60) },
        };
        let before = fleet.clone();
        let first = what_if(&fleet, &policy, &event, at(100));
        prop_assert_eq!(&first, &what_if(&fleet, &policy, &event, at(100)));
        prop_assert_eq!(&fleet, &before);
        let Ok(foreseen) = first else { return Ok(()) };
        for hit in &foreseen.hit {
            prop_assert!(hit.worst <= hit.before && hit.none.duration() <= hit.below.duration());
            prop_assert!(hit.instances.len() as u32 <= hit.before);
        }
        // The first thing that is decided is what the planner decides of such a fleet.
        if let WhatIf::ControllerLost { .. } = event {
            let now = plan(&fleet, &policy, at(100)).decisions;
            prop_assert!(!now.iter().any(|it| matches!(it.step, Step::DeclareLost(..))));
        }
    }
}
