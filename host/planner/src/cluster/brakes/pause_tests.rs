#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use crate::cluster::testing::{at, deployment, fleet, job, machine, policy, zone};
use crate::cluster::tests::{carry_out, settle, steps};
use crate::cluster::*;
use cerebro_model::{AfterDrain, DeploymentState, Drain, Job, Machine, Maintenance, Moves, Pause};

fn pause(scope: PauseScope, from: i64, until: i64) -> Pause {
    let (author, reason) = ("eva".to_owned(), "the network is rebuilt".to_owned());
    Pause { scope, author, reason, since: at(from), until: at(until), over: None }
}

fn paused(fleet: &mut Fleet, scope: PauseScope, until: i64) {
    fleet.brakes.pauses.insert(scope.clone(), pause(scope, 0, until));
}

fn of(job: &str) -> PauseScope {
    PauseScope::Job(job.parse().unwrap())
}

#[test]
fn a_paused_cluster_is_only_looked_at_and_goes_on_by_itself() {
    let mut fleet = fleet(&[job("a.b", 2, 0.5, 100)], 2, at(1));
    paused(&mut fleet, PauseScope::Cluster, 100);
    // Nothing is placed; and once both are silent, witnesses are asked and nothing comes of it.
    let now = plan(&fleet, &policy(3, 3), at(2));
    assert_eq!(now.decisions, []);
    assert!(now.standstill.holds_zone(&zone()));
    assert!(matches!(&now.notes[..], [Note::Paused { why, .. }] if why
        == "the cluster is paused by eva until 1970-01-01T00:01:40.000Z: the network is rebuilt"));
    fleet.machines.get_mut(&MachineId::nth(2)).unwrap().last_heartbeat = Some(at(60));
    let now = plan(&fleet, &policy(2, 3), at(60));
    assert_eq!(steps(&now), [&Step::Probe(MachineId::nth(1))]);
    carry_out(&mut fleet, &now, at(60));
    let now = plan(&fleet, &policy(2, 3), at(60));
    assert_eq!(steps(&now), [&Step::AskProvider(MachineId::nth(1))]);
    carry_out(&mut fleet, &now, at(60));
    assert_eq!(plan(&fleet, &policy(2, 3), at(60)).decisions, []);

    for observed in fleet.machines.values_mut() {
        observed.last_heartbeat = Some(at(100));
    }
    let now = plan(&fleet, &policy(2, 3), at(100));
    assert!(steps(&now).contains(&&Step::EndPause(PauseScope::Cluster)));
    settle(&mut fleet, &policy(2, 3), at(100));
    assert_eq!(fleet.instances.len(), 2);
    assert_eq!(fleet.brakes.pauses[&PauseScope::Cluster].over, Some(at(100)));
}

#[test]
fn a_paused_job_stands_still_and_the_others_go_on() {
    let mut fleet = fleet(&[job("a.b", 1, 0.5, 100), job("c.d", 1, 0.5, 100)], 1, at(1));
    settle(&mut fleet, &policy(1, 1), at(1));
    for n in [3, 4] {
        let of = fleet.deployments[&DeploymentId::nth(n - 2)].job.clone();
        fleet.deployments.insert(DeploymentId::nth(n), deployment(n, &of));
    }
    fleet.jobs.remove(&"a.b".parse().unwrap());
    paused(&mut fleet, of("a.b"), 50);
    settle(&mut fleet, &policy(1, 1), at(2));
    let instances: Vec<_> = fleet.instances.keys().map(InstanceId::as_str).collect();
    assert_eq!(instances, ["0.z-1.a.b", "0.z-1.c.d"], "it was deleted, and stays");
    assert_eq!(fleet.deployments[&DeploymentId::nth(3)].state, DeploymentState::Running);
    assert!(fleet.deployments[&DeploymentId::nth(4)].state.has_succeeded());
    settle(&mut fleet, &policy(1, 1), at(50));
    assert_eq!(fleet.instances.len(), 1);
}

#[test]
fn in_a_paused_zone_nothing_is_made_nor_given_up() {
    let mut fleet = fleet(&[], 1, at(1));
    let machine = &mut fleet.machines.get_mut(&MachineId::nth(1)).unwrap().machine;
    *machine = Machine::new(machine.id.clone(), zone(), machine.capacity, at(0));
    paused(&mut fleet, PauseScope::Zone(zone()), 1000);
    let policy = policy(2, 3);
    assert_eq!(plan(&fleet, &policy, at(500)).decisions, []);
    // It had no time to join, and gets that now.
    let after = plan(&fleet, &policy, at(1000));
    assert!(!steps(&after).contains(&&Step::GiveUp(MachineId::nth(1))), "{after:?}");
    fleet.brakes.pauses.get_mut(&PauseScope::Zone(zone())).unwrap().over = Some(at(1000));
    let late = plan(&fleet, &policy, at(1061));
    assert!(steps(&late).contains(&&Step::GiveUp(MachineId::nth(1))), "{late:?}");
}

#[test]
fn a_deployment_that_stood_still_lost_no_time_of_its_deadline() {
    let mut fleet = fleet(&[job("big.b", 1, 4.5, 100)], 1, at(121));
    paused(&mut fleet, of("big.b"), 120);
    let policy = policy(1, 1);
    assert_eq!(plan(&fleet, &policy, at(119)).decisions, []);
    let over = plan(&fleet, &policy, at(121));
    assert_eq!(steps(&over), [&Step::EndPause(of("big.b"))]);
    carry_out(&mut fleet, &over, at(121));
    fleet.machines.get_mut(&MachineId::nth(1)).unwrap().last_heartbeat = Some(at(242));
    let late = plan(&fleet, &policy, at(242));
    assert!(matches!(steps(&late)[..], [Step::Finish(_, DeploymentState::Failed { .. }, _)]));
}

fn drain(fleet: &mut Fleet, n: u64, then: AfterDrain) {
    let machine = &mut fleet.machines.get_mut(&MachineId::nth(n)).unwrap().machine;
    *machine = machine.draining(Drain::new(at(1), String::new(), then)).unwrap();
}

/// One machine with an instance of each job, and another one that is empty.
fn occupied(jobs: &[Job]) -> Fleet {
    let mut fleet = fleet(jobs, 1, at(1));
    settle(&mut fleet, &policy(1, 1), at(1));
    fleet.machines.extend([machine(2, at(1))]);
    fleet
}

#[test]
fn in_a_paused_zone_a_drain_waits_and_so_does_what_follows_it() {
    let mut fleet = occupied(&[job("a.b", 1, 0.5, 100)]);
    let (zone, policy) = (PauseScope::Zone(zone()), policy(2, 2));
    drain(&mut fleet, 1, AfterDrain::Remove);
    let mut turns = Vec::new();
    for _ in 0..10 {
        let mut held = fleet.clone();
        paused(&mut held, zone.clone(), 1000);
        assert_eq!(plan(&held, &policy, at(2)).decisions, [], "after {turns:?}");
        let next = plan(&fleet, &policy, at(2));
        let turn = |it: &&Step| matches!(it, Step::Turn(..) | Step::LetGo(_) | Step::Destroy(_));
        turns.extend(steps(&next).into_iter().filter(turn).cloned());
        carry_out(&mut fleet, &next, at(2));
    }
    let id = MachineId::nth(1);
    let ends = [Turn::Drained, Turn::Terminated].map(|turn| Step::Turn(id.clone(), turn));
    assert_eq!(turns[1..3], ends, "{turns:?}");
    assert!(matches!(&turns[0], Step::LetGo(_)) && turns[3] == Step::Destroy(id), "{turns:?}");
    assert_eq!(fleet.brakes.tombstones.len(), 0, "it was not given up");
}

#[test]
fn what_has_ended_where_it_was_starts_elsewhere_in_a_pause_and_not_in_doubt() {
    let mut alone = job("a.b", 1, 0.5, 100);
    alone.placement.moves = Moves::StopFirst;
    let mut fleet = occupied(&[alone]);
    drain(&mut fleet, 1, AfterDrain::Stay);
    let moved = plan(&fleet, &policy(2, 2), at(2));
    carry_out(&mut fleet, &moved, at(2));
    paused(&mut fleet, PauseScope::Cluster, 1000);
    let now = plan(&fleet, &policy(2, 2), at(2));
    assert!(matches!(steps(&now)[..], [Step::LetGo(_)]), "{now:?}");
    fleet.own.doubt(at(2), "its store fails");
    assert_eq!(plan(&fleet, &policy(2, 2), at(2)).decisions, []);
}

#[test]
fn a_maintenance_ends_when_it_was_to_end_but_for_doubt() {
    let mut fleet = fleet(&[], 1, at(1));
    let machine = &mut fleet.machines.get_mut(&MachineId::nth(1)).unwrap().machine;
    let (begun_at, until, reason) = (at(1), at(60), "disk".to_owned());
    *machine = machine.maintained(Maintenance { begun_at, until, reason }).unwrap();
    paused(&mut fleet, PauseScope::Cluster, 1000);
    assert_eq!(plan(&fleet, &policy(1, 1), at(59)).decisions, []);
    let now = plan(&fleet, &policy(1, 1), at(60));
    assert_eq!(steps(&now), [&Step::Turn(MachineId::nth(1), Turn::MaintenanceOver)]);
    fleet.own.doubt(at(60), "its clock was set");
    assert_eq!(plan(&fleet, &policy(1, 1), at(60)).decisions, []);
}

#[test]
fn who_is_linked_to_a_paused_job_stays_beside_it_on_a_drained_machine() {
    let mut linked = job("c.d", 1, 0.5, 100);
    linked.linked_job = Some("a.b".parse().unwrap());
    let mut fleet = occupied(&[job("a.b", 1, 0.5, 100), linked, job("e.f", 1, 0.5, 100)]);
    paused(&mut fleet, of("c.d"), 1000);
    drain(&mut fleet, 1, AfterDrain::Stay);
    let policy = policy(2, 2);
    settle(&mut fleet, &policy, at(2));
    let left = fleet.instances.values().filter(|it| it.instance.machine == MachineId::nth(1));
    let left: Vec<_> = left.map(|seen| seen.instance.job.as_str()).collect();
    assert_eq!(left, ["a.b", "c.d"]);
    let notes = plan(&fleet, &policy, at(2)).notes;
    let why = "m-1 cannot be drained yet: 0.z-1.a.b goes once c.d is paused no longer";
    let told = |note: &Note| matches!(note, Note::Waits { why: it, .. } if it == why);
    assert!(notes.iter().any(told), "{notes:?}");
}
