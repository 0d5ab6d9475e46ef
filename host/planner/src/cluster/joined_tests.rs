#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use super::climb_tests::World;
use super::testing::{at, fleet, job, machine, policy};
use super::tests::{carry_out, settle, steps};
use super::*;
use cerebro_model::{AfterDrain, Drain, MachineState, Moves, Verdict};
use std::time::Duration;

/// The machine of this number, which an operator joined by hand.
fn join(fleet: &mut Fleet, n: u64) {
    let observed = fleet.machines.get_mut(&MachineId::nth(n)).unwrap();
    observed.machine = observed.machine.clone().joined_by_hand("box".to_owned(), at(900));
}

fn provisioned(plan: &Plan) -> usize {
    plan.decisions.iter().filter(|it| matches!(it.step, Step::Provision { .. })).count()
}

fn ends(plan: &Plan) -> Vec<&Step> {
    let ends = |step: &&Step| {
        matches!(
            step,
            Step::Turn(_, Turn::Terminated) | Step::Destroy(_) | Step::Try(..) | Step::GiveUp(_)
        )
    };
    steps(plan).into_iter().filter(ends).collect()
}

#[test]
fn it_has_room_and_counts_neither_for_what_a_zone_keeps_nor_for_what_it_may_have() {
    // One of ours and one that was joined, each with room for four.
    let mut world = fleet(&[job("a.b", 8, 1.0, 100)], 2, at(1));
    join(&mut world, 2);
    let first = plan(&world, &policy(1, 1), at(1));
    assert_eq!(provisioned(&first), 0, "{first:?}");
    carry_out(&mut world, &first, at(1));
    let on =
        |n| world.instances.values().filter(|it| it.instance.machine == MachineId::nth(n)).count();
    assert_eq!((on(1), on(2)), (4, 4));

    let mut empty = fleet(&[], 2, at(1));
    join(&mut empty, 2);
    assert_eq!(provisioned(&plan(&empty, &policy(2, 4), at(1))), 1, "two of ours are kept");
    let mut full = fleet(&[job("a.b", 9, 1.0, 100)], 2, at(1));
    join(&mut full, 2);
    assert_eq!(provisioned(&plan(&full, &policy(1, 2), at(1))), 1, "a second of ours may be made");
}

#[test]
fn it_is_never_one_too_many() {
    let mut world = fleet(&[], 3, at(1));
    join(&mut world, 2);
    join(&mut world, 3);
    let mut policy = policy(0, 6);
    for zone in policy.zones.values_mut() {
        (zone.idle, zone.idle_for) = (Some(0), Duration::from_secs(60));
    }
    let mut gone = Vec::new();
    for now in 2..400 {
        for observed in world.machines.values_mut() {
            observed.last_heartbeat = Some(at(now));
        }
        let occupancy = Occupancy::of(&world);
        mark_idle(&mut world, &occupancy, at(now));
        let plan = plan(&world, &policy, at(now));
        gone.extend(ends(&plan).into_iter().cloned());
        carry_out(&mut world, &plan, at(now));
    }
    let first = MachineId::nth(1);
    assert_eq!(gone, [Step::Turn(first.clone(), Turn::Terminated), Step::Destroy(first)]);
}

fn silent_at_ten(jobs: &[cerebro_model::Job]) -> World {
    let mut world = World::new(jobs, 3);
    world.policy = policy(2, 4);
    join(&mut world.fleet, 1);
    world.passes(2..10);
    world.hung.insert(MachineId::nth(1));
    world
}

#[test]
fn one_that_nobody_reaches_is_lost_after_a_while_and_nothing_else_is_done_with_it() {
    let job = job("a.b", 3, 0.5, 100);
    let mut world = silent_at_ten(&[job]);
    let last = world.passes(10..1200);
    let lost = world.when(|step| matches!(step, Step::DeclareLost(..))).unwrap();
    assert!(lost >= 180, "it had its time: {lost}");
    let harmed = |step: &Step| {
        let ends = matches!(
            step,
            Step::Turn(..)
                | Step::Destroy(_)
                | Step::Try(..)
                | Step::GiveUp(_)
                | Step::Provision { .. }
        );
        ends && !matches!(step, Step::Turn(id, _) if *id != MachineId::nth(1))
    };
    assert_eq!(world.when(harmed), None, "{:?}", world.done);
    let state = &world.fleet.machines[&MachineId::nth(1)].machine.state;
    let MachineState::Lost { certificate, .. } = state else { panic!("{state:?}") };
    assert_eq!(certificate.verdict, Verdict::Hangs);
    assert!(!certificate.peers.is_empty(), "others have looked");
    for n in 0..3 {
        let id: InstanceId = format!("{n}.z-1.a.b").parse().unwrap();
        assert_ne!(world.fleet.instances[&id].instance.machine, MachineId::nth(1));
    }
    let waits = |note: &Note| {
        matches!(note, Note::Waits { machine, why }
            if *machine == MachineId::nth(1) && why.contains("cerebro machine remove m-1"))
    };
    assert!(last.notes.iter().any(waits), "{:?}", last.notes);
}

#[test]
fn what_must_be_alone_waits_until_an_operator_lets_the_machine_go() {
    let mut job = job("a.b", 1, 0.5, 100);
    job.placement.moves = Moves::StopFirst;
    let mut world = silent_at_ten(&[job]);
    let on_it = |world: &World| world.instance("a.b").machine == MachineId::nth(1);
    assert!(on_it(&world), "it is the first machine");
    world.passes(10..600);
    let instance = world.instance("a.b");
    let left = instance.leaving.map(|left| left.machine);
    assert!(instance.machine == MachineId::nth(1) || left == Some(MachineId::nth(1)));
    let observed = world.fleet.machines.get_mut(&MachineId::nth(1)).unwrap();
    observed.machine = observed.machine.let_go("let go".to_owned()).unwrap();
    world.passes(600..700);
    let instance = world.instance("a.b");
    assert!(instance.machine != MachineId::nth(1) && instance.leaving.is_none(), "{instance:?}");
}

#[test]
fn one_that_is_removed_is_forgotten_once_it_is_drained() {
    let mut world = fleet(&[job("a.b", 2, 0.5, 100)], 2, at(1));
    join(&mut world, 1);
    settle(&mut world, &policy(1, 2), at(1));
    let observed = world.machines.get_mut(&MachineId::nth(1)).unwrap();
    let drain = Drain::new(at(2), String::new(), AfterDrain::Remove);
    observed.machine = observed.machine.draining(drain).unwrap();
    for now in 3..60 {
        for observed in world.machines.values_mut() {
            observed.last_heartbeat = Some(at(now));
        }
        let plan = plan(&world, &policy(1, 2), at(now));
        carry_out(&mut world, &plan, at(now));
    }
    assert!(!world.machines.contains_key(&MachineId::nth(1)), "{:?}", world.machines);
}

#[test]
fn one_that_was_not_joined_in_time_is_forgotten_and_counts_as_no_loss() {
    let mut world = fleet(&[], 1, at(1));
    let (id, mut observed) = machine(2, at(1));
    let made = cerebro_model::Machine::new(
        id.clone(),
        observed.machine.zone.clone(),
        observed.machine.capacity,
        at(0),
    );
    observed.machine = made.joined_by_hand("box".to_owned(), at(900));
    (observed.last_heartbeat, observed.reported) = (None, None);
    world.machines.insert(id.clone(), observed);
    let look = |world: &mut Fleet, now| {
        world.machines.get_mut(&MachineId::nth(1)).unwrap().last_heartbeat = Some(at(now));
        plan(world, &policy(1, 1), at(now))
    };
    for now in [61, 300, 900] {
        assert_eq!(look(&mut world, now).decisions, [], "{now}");
    }
    let over = look(&mut world, 901);
    assert_eq!(steps(&over), [&Step::Turn(id, Turn::Terminated)]);
    assert!(over.decisions[0].reason.contains("box was to be joined by hand"), "{over:?}");
    assert_eq!(over.condemned, []);
}
