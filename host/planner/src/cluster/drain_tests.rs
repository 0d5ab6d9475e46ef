#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use super::testing::{at, deployment, fleet, job, policy};
use super::tests::{carry_out, settle, steps};
use super::*;
use cerebro_model::{
    AfterDrain, Drain, Job, Lock, MachineState, Maintenance, Moves, Phase, Seconds,
};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn drain(fleet: &mut Fleet, id: &MachineId, then: AfterDrain) {
    let machine = &mut fleet.machines.get_mut(id).unwrap().machine;
    *machine = machine.draining(Drain::new(at(1), String::new(), then)).unwrap();
}

fn m(n: u64) -> MachineId {
    MachineId::nth(n)
}

fn state(fleet: &Fleet, id: &MachineId) -> &'static str {
    fleet.machines.get(id).map_or("gone", |it| it.machine.state.word())
}

fn on(fleet: &Fleet, id: &MachineId) -> usize {
    fleet.instances.values().filter(|seen| seen.instance.machine == *id).count()
}

fn waits(plan: &Plan) -> Vec<&str> {
    let why = |note: &'_ Note| matches!(note, Note::Waits { .. });
    plan.notes
        .iter()
        .filter(|note| why(note))
        .map(|note| match note {
            Note::Waits { why, .. } => why.as_str(),
            _ => "",
        })
        .collect()
}

#[test]
fn one_batch_moves_at_a_time_and_serves_there_before_it_ends_here() {
    let mut fleet = fleet(&[job("a.b", 3, 1.0, 100)], 1, at(1));
    settle(&mut fleet, &policy(1, 1), at(1));
    fleet.machines.extend([super::testing::machine(2, at(1))]);
    drain(&mut fleet, &m(1), AfterDrain::Stay);
    for left in [2, 1, 0] {
        let moved = plan(&fleet, &policy(1, 2), at(2));
        let [Step::Place(instance)] = steps(&moved)[..] else { panic!("{moved:?}") };
        let from = instance.leaving.as_ref().unwrap();
        assert_eq!((&instance.machine, &from.machine), (&m(2), &m(1)));
        let id = instance.id.clone();
        carry_out(&mut fleet, &moved, at(2));
        // It starts there: both sides hold their room, and nothing else moves.
        fleet.instances.get_mut(&id).unwrap().status.as_mut().unwrap().phase = Phase::Starting;
        assert_eq!(plan(&fleet, &policy(1, 2), at(2)).decisions, []);
        assert!(!Occupancy::of(&fleet).is_free(&m(1)));
        fleet.instances.get_mut(&id).unwrap().status.as_mut().unwrap().phase = Phase::Healthy;
        let let_go = plan(&fleet, &policy(1, 2), at(2));
        assert_eq!(steps(&let_go), [&Step::LetGo(id)]);
        carry_out(&mut fleet, &let_go, at(2));
        assert_eq!(on(&fleet, &m(1)), left);
    }
    assert_eq!(steps(&plan(&fleet, &policy(1, 2), at(2))), [&Step::Turn(m(1), Turn::Drained)]);
    settle(&mut fleet, &policy(1, 2), at(2));
    assert_eq!(state(&fleet, &m(1)), "draining", "it stays until somebody says");
}

#[test]
fn what_must_be_alone_ends_before_it_starts() {
    let mut alone = job("a.b", 1, 1.0, 100);
    alone.placement.moves = Moves::StopFirst;
    let mut fleet = fleet(&[alone], 1, at(1));
    settle(&mut fleet, &policy(1, 1), at(1));
    fleet.machines.extend([super::testing::machine(2, at(1))]);
    drain(&mut fleet, &m(1), AfterDrain::Stay);
    let moved = plan(&fleet, &policy(1, 2), at(2));
    let [Step::Place(instance)] = steps(&moved)[..] else { panic!("{moved:?}") };
    // Until its old machine says that it has ended, it is to run nowhere.
    assert_eq!((instance.on(&m(1)), instance.on(&m(2))), (None, None));
    let id = instance.id.clone();
    carry_out(&mut fleet, &moved, at(2));
    let ended = std::mem::take(&mut fleet.machines.get_mut(&m(1)).unwrap().ended);
    assert_eq!(plan(&fleet, &policy(1, 2), at(2)).decisions, []);
    fleet.machines.get_mut(&m(1)).unwrap().ended = ended;
    let let_go = plan(&fleet, &policy(1, 2), at(2));
    assert_eq!(steps(&let_go), [&Step::LetGo(id.clone())]);
    carry_out(&mut fleet, &let_go, at(2));
    assert!(fleet.instances[&id].instance.on(&m(2)).is_some());
}

#[test]
fn a_drain_without_room_says_so_before_and_while_and_goes_on_once_there_is() {
    let jobs = [job("a.b", 4, 1.0, 100)];
    let mut fleet = fleet(&jobs, 2, at(1));
    settle(&mut fleet, &policy(2, 2), at(1));
    let big = job("c.d", 2, 2.0, 100);
    let next = deployment(9, &big);
    let record = cerebro_model::JobRecord { job: big, revision: 1, changed_at: at(0) };
    fleet.jobs.insert(next.job_name().clone(), record);
    fleet.deployments.insert(next.id.clone(), next);
    settle(&mut fleet, &policy(2, 2), at(1));
    let found = stuck(fleet.clone(), &policy(2, 2), &m(1), at(2)).unwrap();
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found[0]
            .to_string()
            .contains("1 is drained and lacks cores (m-1: 0 cores free), 1 lacks cores")
            || found[0].to_string().contains("nowhere to go: needs"),
        "{}",
        found[0]
    );
    // With room for one more machine it would be made.
    assert_eq!(stuck(fleet.clone(), &policy(2, 3), &m(1), at(2)).unwrap(), []);

    drain(&mut fleet, &m(1), AfterDrain::Stay);
    let plan_now = plan(&fleet, &policy(2, 2), at(2));
    assert_eq!(plan_now.decisions, []);
    assert!(waits(&plan_now)[0].contains("m-1 cannot be drained yet"), "{plan_now:?}");
    settle(&mut fleet, &policy(2, 3), at(2));
    assert_eq!((on(&fleet, &m(1)), fleet.machines.len()), (0, 3));
}

#[test]
fn a_rollout_ends_before_its_instances_move_and_that_is_told() {
    let job = job("a.b", 2, 1.0, 100);
    let mut fleet = fleet(std::slice::from_ref(&job), 2, at(1));
    settle(&mut fleet, &policy(2, 2), at(1));
    drain(&mut fleet, &m(1), AfterDrain::Stay);
    let second = deployment(2, &job);
    fleet.deployments.insert(second.id.clone(), second);
    let plan_now = plan(&fleet, &policy(2, 2), at(2));
    assert!(matches!(steps(&plan_now)[..], [Step::Retarget(..)]), "{plan_now:?}");
    assert!(waits(&plan_now)[0].contains("once d-2 of a.b has ended"), "{plan_now:?}");
    settle(&mut fleet, &policy(2, 2), at(2));
    assert_eq!(on(&fleet, &m(1)), 0);
    assert!(fleet.instances.values().all(|it| it.instance.deployment == DeploymentId::nth(2)));
}

#[test]
fn a_removed_machine_is_replaced_emptied_and_forgotten_and_a_locked_one_kept() {
    let mut fleet = fleet(&[job("a.b", 2, 1.0, 100)], 2, at(1));
    settle(&mut fleet, &policy(2, 3), at(1));
    let locked = {
        let mut locked = fleet.clone();
        drain(&mut locked, &m(1), AfterDrain::Remove);
        let machine = &mut locked.machines.get_mut(&m(1)).unwrap().machine;
        // Locked all the same, as by a record that somebody edited.
        machine.lock = Some(Lock { reason: "evidence".to_owned(), at: at(1) });
        settle(&mut locked, &policy(2, 3), at(2));
        locked
    };
    assert_eq!((state(&locked, &m(1)), on(&locked, &m(1))), ("draining", 0));
    let told = plan(&locked, &policy(2, 3), at(2));
    assert!(waits(&told)[0].contains("locked (evidence)"), "{told:?}");

    drain(&mut fleet, &m(1), AfterDrain::Remove);
    // Its agent still ends something: nothing is taken from under it.
    fleet.machines.get_mut(&m(1)).unwrap().reported = Some(1);
    settle(&mut fleet, &policy(2, 3), at(2));
    assert_eq!((state(&fleet, &m(1)), on(&fleet, &m(1))), ("draining", 0));
    fleet.machines.get_mut(&m(1)).unwrap().reported = Some(0);
    settle(&mut fleet, &policy(2, 3), at(2));
    assert_eq!(state(&fleet, &m(1)), "gone");
    assert_eq!(fleet.machines.len(), 2, "the zone keeps two");
}

#[test]
fn a_lost_machine_that_is_locked_is_replaced_and_kept() {
    let mut fleet = fleet(&[job("a.b", 2, 1.0, 100)], 3, at(10));
    settle(&mut fleet, &policy(3, 4), at(10));
    let silent = fleet.instances.values().next().unwrap().instance.machine.clone();
    let machine = &mut fleet.machines.get_mut(&silent).unwrap().machine;
    *machine = machine.locked(Lock { reason: "evidence".to_owned(), at: at(1) }).unwrap();
    for (id, observed) in &mut fleet.machines {
        observed.last_heartbeat = Some(if *id == silent { at(10) } else { at(14) });
    }
    settle(&mut fleet, &policy(3, 4), at(14));
    assert_eq!((state(&fleet, &silent), on(&fleet, &silent)), ("lost", 0));
    assert_eq!(fleet.instances.len(), 2);
    let told = plan(&fleet, &policy(3, 4), at(14));
    assert!(waits(&told)[0].contains("`cerebro machine unlock"), "{told:?}");
}

#[test]
fn a_machine_in_maintenance_is_left_alone_until_its_time_is_over() {
    let mut fleet = fleet(&[job("a.b", 2, 1.0, 100)], 2, at(10));
    settle(&mut fleet, &policy(2, 3), at(10));
    let machine = &mut fleet.machines.get_mut(&m(1)).unwrap().machine;
    let maintenance = Maintenance { begun_at: at(10), until: at(60), reason: "disk".to_owned() };
    *machine = machine.maintained(maintenance).unwrap();
    let hear = |fleet: &mut Fleet, now| {
        fleet.machines.get_mut(&m(2)).unwrap().last_heartbeat = Some(now);
    };
    hear(&mut fleet, at(59));
    let quiet = plan(&fleet, &policy(2, 3), at(59));
    assert_eq!((quiet.decisions, quiet.notes), (vec![], vec![]), "49 s of silence are no matter");
    // Nothing new comes to it.
    let bigger = deployment(2, &job("a.b", 6, 1.0, 100));
    fleet.deployments.insert(bigger.id.clone(), bigger);
    settle(&mut fleet, &policy(2, 2), at(59));
    assert_eq!((on(&fleet, &m(1)), on(&fleet, &m(2))), (1, 4));

    hear(&mut fleet, at(60));
    let over = plan(&fleet, &policy(2, 2), at(60));
    assert!(steps(&over).contains(&&Step::Turn(m(1), Turn::MaintenanceOver)), "{over:?}");
    carry_out(&mut fleet, &over, at(60));
    // It is waited for as one that has just joined is.
    hear(&mut fleet, at(64));
    let after = plan(&fleet, &policy(2, 2), at(64));
    assert!(!after.decisions.iter().any(|it| matches!(it.step, Step::Probe(_))), "{after:?}");
    hear(&mut fleet, at(67));
    let after = plan(&fleet, &policy(2, 2), at(67));
    assert!(steps(&after).contains(&&Step::Probe(m(1))), "{after:?}");
}

#[test]
fn a_maintenance_that_was_to_follow_a_drain_does() {
    let mut fleet = fleet(&[job("a.b", 2, 1.0, 100)], 2, at(1));
    settle(&mut fleet, &policy(2, 2), at(1));
    let then = AfterDrain::Maintain { reason: "disk".to_owned(), lasts: Seconds::new(60) };
    drain(&mut fleet, &m(1), then);
    settle(&mut fleet, &policy(2, 2), at(2));
    let MachineState::Maintenance { maintenance, .. } = &fleet.machines[&m(1)].machine.state else {
        panic!("{:?}", fleet.machines[&m(1)].machine.state)
    };
    assert_eq!((on(&fleet, &m(1)), maintenance.until), (0, at(62)));
}

fn any_jobs() -> impl Strategy<Value = Vec<Job>> {
    let one = (1u32..5, 1u32..20, 1u32..3, any::<bool>(), proptest::option::of(0usize..3));
    proptest::collection::vec(one, 1..4).prop_map(|jobs| {
        let build = |(n, (count, cpu, batch, alone, link)): (
            usize,
            (u32, u32, u32, bool, Option<usize>),
        )| {
            let mut job = job(&format!("j{n}.b"), count, f64::from(cpu) / 10.0, 10);
            job.rollout.batch = batch;
            job.placement.moves = if alone { Moves::StopFirst } else { Moves::StartFirst };
            job.linked_job =
                link.filter(|to| *to < n).map(|to| format!("j{to}.b").parse().unwrap());
            job
        };
        jobs.into_iter().enumerate().map(build).collect()
    })
}

/// Instances that serve: at one of their places at least, by what is told to their machines.
fn serving(fleet: &Fleet, job: &JobName) -> usize {
    let of_job = fleet.instances.values().filter(|seen| seen.instance.job == *job);
    let serves = |seen: &&SeenInstance| {
        let instance = &seen.instance;
        let old =
            instance.leaving.as_ref().is_some_and(|left| instance.on(&left.machine).is_some());
        old || (seen.is_healthy() && instance.on(&instance.machine).is_some())
    };
    of_job.filter(serves).count()
}

proptest! {
    #[test]
    fn a_drain_ends_never_takes_more_than_a_batch_and_never_doubles_what_is_alone(
        jobs in any_jobs(), first in 1u64..4, second in proptest::option::of(1u64..4), spare in 0u32..3,
    ) {
        let mut fleet = fleet(&jobs, 3, at(1));
        let policy = policy(3, 3 + spare);
        settle(&mut fleet, &policy, at(1));
        let drained: BTreeSet<MachineId> = [Some(first), second].into_iter().flatten().map(m).collect();
        let before: Vec<(JobName, usize)> =
            jobs.iter().map(|job| (job.dns_basename.clone(), serving(&fleet, &job.dns_basename))).collect();
        for id in &drained {
            drain(&mut fleet, id, AfterDrain::Stay);
        }
        for _ in 0..200 {
            let plan_now = plan(&fleet, &policy, at(2));
            for decision in &plan_now.decisions {
                let Step::Place(instance) = &decision.step else { continue };
                prop_assert!(!drained.contains(&instance.machine), "{} came to a drained machine", instance.id);
            }
            carry_out(&mut fleet, &plan_now, at(2));
            for (name, count) in &before {
                let job = &fleet.jobs[name].job;
                let serve = serving(&fleet, name);
                prop_assert!(serve + job.rollout.batch as usize >= *count, "{name}: {serve} of {count}");
                if job.placement.moves == Moves::StopFirst {
                    for seen in fleet.instances.values().filter(|it| it.instance.job == *name) {
                        let places = fleet.machines.keys().filter(|id| seen.instance.on(id).is_some());
                        prop_assert!(places.count() <= 1, "{} is there twice", seen.instance.id);
                    }
                }
            }
            if plan_now.decisions.is_empty() {
                let is_told = |id: &MachineId| plan_now.notes.iter().any(
                    |note| matches!(note, Note::Waits { machine, .. } if machine == id),
                );
                for id in &drained {
                    prop_assert!(on(&fleet, id) == 0 || is_told(id), "{id} keeps something, and nobody says why");
                }
                return Ok(());
            }
        }
        prop_assert!(false, "never at rest: {:?}", plan(&fleet, &policy, at(2)));
    }
}
