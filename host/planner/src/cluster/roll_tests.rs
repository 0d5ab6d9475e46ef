#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use super::testing::{at, deployment, fleet, job, policy};
use super::tests::{carry_out, settle, steps};
use super::*;
use cerebro_model::{
    Canary, CanaryStage, Deployment, DeploymentPause, Job, Phase, Promote, Seconds,
};

/// A fleet of three instances that run the first deployment.
fn settled(job: &Job) -> Fleet {
    let mut fleet = fleet(std::slice::from_ref(job), 3, at(1));
    settle(&mut fleet, &policy(3, 3), at(1));
    fleet
}

fn deploy(fleet: &mut Fleet, n: u64, job: &Job, state: DeploymentState) -> DeploymentId {
    let canary = job.rollout.canary.as_ref().map(|_| CanaryStage::Out);
    let mut next = deployment(n, job);
    (next.state, next.created_at, next.course.canary) = (state, at(1), canary);
    let id = next.id.clone();
    fleet.deployments.insert(id.clone(), next);
    id
}

/// The plan of a moment, in which all machines are heard; carried out.
fn look(fleet: &mut Fleet, now: i64) -> Plan {
    for observed in fleet.machines.values_mut() {
        observed.last_heartbeat = Some(at(now));
    }
    let plan_now = plan(fleet, &policy(3, 3), at(now));
    carry_out(fleet, &plan_now, at(now));
    plan_now
}

fn of<'a>(fleet: &'a Fleet, id: &DeploymentId) -> &'a Deployment {
    &fleet.deployments[id]
}

fn set(fleet: &mut Fleet, id: &str, phase: Phase, now: i64) {
    let seen = fleet.instances.get_mut(&id.parse().unwrap()).unwrap();
    let mut status = seen.status.clone().unwrap();
    status.phase = phase;
    seen.hear(status, at(now));
}

#[test]
fn the_next_batch_waits_until_an_instance_was_healthy_for_a_while() {
    let mut job = job("a.b", 3, 0.5, 100);
    job.rollout.healthy_for = Seconds::new(10);
    let mut fleet = settled(&job);
    let id = deploy(&mut fleet, 2, &job, DeploymentState::Running);
    assert_eq!(
        steps(&look(&mut fleet, 2)),
        [&Step::Retarget("0.z-1.a.b".parse().unwrap(), id.clone())]
    );
    assert_eq!(look(&mut fleet, 11).decisions, []);
    set(&mut fleet, "0.z-1.a.b", Phase::Unhealthy, 11);
    set(&mut fleet, "0.z-1.a.b", Phase::Healthy, 11);
    assert_eq!(look(&mut fleet, 20).decisions, [], "a flap begins it anew");
    assert_eq!(steps(&look(&mut fleet, 21)), [&Step::Retarget("1.z-1.a.b".parse().unwrap(), id)]);
}

#[test]
fn what_is_not_heard_of_ends_a_deployment_too() {
    let job = job("a.b", 2, 0.5, 100);
    let mut fleet = settled(&job);
    let id = deploy(&mut fleet, 2, &job, DeploymentState::Running);
    for seen in fleet.instances.values_mut() {
        *seen = SeenInstance::told(seen.instance.clone());
    }
    assert_eq!(look(&mut fleet, 240).decisions, []);
    look(&mut fleet, 250);
    let DeploymentState::Failed { reason, .. } = &of(&fleet, &id).state else {
        panic!("it goes on")
    };
    assert!(reason.contains("nothing was heard of 0.z-1.a.b, 1.z-1.a.b"), "{reason}");
}

#[test]
fn a_queued_one_waits_for_the_rollback_of_the_one_before_and_comes_after_it() {
    let job = job("a.b", 2, 0.5, 100);
    let mut fleet = settled(&job);
    let bad = deploy(&mut fleet, 2, &job, DeploymentState::Running);
    let (first, second) = (
        deploy(&mut fleet, 4, &job, DeploymentState::Queued),
        deploy(&mut fleet, 6, &job, DeploymentState::Queued),
    );
    look(&mut fleet, 2);
    set(&mut fleet, "0.z-1.a.b", Phase::Failed, 2);
    look(&mut fleet, 2);
    assert_eq!(of(&fleet, &bad).state.word(), "failed");
    let back = DeploymentId::nth(3);
    assert_eq!(of(&fleet, &back).rolls_back, Some(bad), "the number that was kept for it");
    assert!(of(&fleet, &first).state.is_queued());
    settle(&mut fleet, &policy(3, 3), at(3));
    for id in [&back, &first, &second] {
        assert!(of(&fleet, id).state.has_succeeded(), "{id}: {:?}", of(&fleet, id).state);
    }
    assert_eq!(of(&fleet, &first).begun_at(), at(3));
    assert!(fleet.instances.values().all(|seen| seen.instance.deployment == second));
}

#[test]
fn who_waits_too_long_in_the_queue_fails_and_nothing_is_taken_back() {
    let mut job = job("a.b", 2, 0.5, 100);
    job.rollout.queue_deadline = Seconds::new(60);
    let mut fleet = settled(&job);
    let held = deploy(&mut fleet, 2, &job, DeploymentState::Running);
    let pause = DeploymentPause { at: at(1), reason: "x".to_owned(), until: None, ended_at: None };
    fleet.deployments.get_mut(&held).unwrap().course.pauses.push(pause);
    let waits = deploy(&mut fleet, 4, &job, DeploymentState::Queued);
    assert_eq!(look(&mut fleet, 61).decisions, []);
    let plan_now = look(&mut fleet, 62);
    let [Step::Finish(id, DeploymentState::Failed { reason, .. }, None)] = steps(&plan_now)[..]
    else {
        panic!("{plan_now:?}")
    };
    assert_eq!(id, &waits);
    assert!(reason.contains("within 60 s: it waited for d-2, which is paused"), "{reason}");
}

#[test]
fn a_paused_one_touches_nothing_tells_what_fails_and_loses_no_time() {
    let mut job = job("a.b", 3, 0.5, 100);
    job.rollout.deadline = Seconds::new(20);
    let mut fleet = settled(&job);
    let id = deploy(&mut fleet, 2, &job, DeploymentState::Running);
    look(&mut fleet, 2);
    set(&mut fleet, "0.z-1.a.b", Phase::Unhealthy, 2);
    let pause = DeploymentPause {
        at: at(3),
        reason: "x".to_owned(),
        until: Some(at(1000)),
        ended_at: None,
    };
    fleet.deployments.get_mut(&id).unwrap().course.pauses.push(pause);
    assert_eq!(look(&mut fleet, 999), Plan::default());
    set(&mut fleet, "0.z-1.a.b", Phase::Failed, 999);
    let held = look(&mut fleet, 999);
    let [Note::Failing { deployment, why, .. }] = &held.notes[..] else { panic!("{held:?}") };
    assert!(deployment == &id && why.contains("0.z-1.a.b failed on"), "{why}");
    assert_eq!(held.decisions, []);
    set(&mut fleet, "0.z-1.a.b", Phase::Unhealthy, 999);
    assert_eq!(steps(&look(&mut fleet, 1000)), [&Step::Resume(id.clone())]);
    assert_eq!(look(&mut fleet, 1018).decisions, [], "19 s of its 20 are gone");
    look(&mut fleet, 1020);
    assert_eq!(of(&fleet, &id).state.word(), "failed");
}

fn with_canary(promote: Promote) -> Job {
    let mut job = job("a.b", 3, 0.5, 100);
    let (bake, promote_within) = (Seconds::new(10), Seconds::new(100));
    let instances = 1.try_into().unwrap();
    job.rollout.canary = Some(Canary { instances, bake, promote, promote_within });
    job
}

#[test]
fn a_canary_bakes_and_goes_on_by_itself() {
    let job = with_canary(Promote::Automatic);
    let mut fleet = settled(&job);
    let id = deploy(&mut fleet, 2, &job, DeploymentState::Running);
    assert_eq!(look(&mut fleet, 2).decisions.len(), 1);
    assert_eq!(look(&mut fleet, 11).decisions, []);
    assert_eq!(steps(&look(&mut fleet, 12)), [&Step::Promote(id.clone())]);
    settle(&mut fleet, &policy(3, 3), at(12));
    assert!(of(&fleet, &id).state.has_succeeded());
}

#[test]
fn a_canary_waits_for_a_person_and_not_for_ever() {
    let job = with_canary(Promote::Manual);
    let mut fleet = settled(&job);
    let id = deploy(&mut fleet, 2, &job, DeploymentState::Running);
    look(&mut fleet, 2);
    let ready = look(&mut fleet, 12);
    assert_eq!(ready.decisions, []);
    assert!(
        matches!(&ready.notes[..], [Note::DeploymentWaits { deployment, .. }] if *deployment == id)
    );
    assert_eq!(CanaryStanding::of(&fleet, of(&fleet, &id), at(12)), Some(CanaryStanding::Ready));
    // A controller that comes back does not give it more time, by the calendar.
    let last = 2 + 2 * 120 + 10 + 100;
    assert_eq!(look(&mut fleet, last).decisions, []);
    look(&mut fleet, last + 1);
    let DeploymentState::Failed { reason, .. } = &of(&fleet, &id).state else {
        panic!("it goes on")
    };
    assert_eq!(reason, "nobody promoted its canary within 100 s");
}

#[test]
fn what_is_lost_while_a_canary_is_out_comes_back_as_it_ran() {
    let job = with_canary(Promote::Manual);
    let mut fleet = settled(&job);
    let id = deploy(&mut fleet, 2, &job, DeploymentState::Running);
    look(&mut fleet, 2);
    let canary = fleet.instances.values().find(|seen| seen.instance.deployment == id).unwrap();
    let canary = canary.instance.id.clone();
    let ran = |fleet: &Fleet| -> Vec<_> {
        fleet.instances.values().map(|seen| seen.instance.deployment.clone()).collect()
    };
    let before = ran(&fleet);
    for id in fleet.instances.keys().cloned().collect::<Vec<_>>() {
        let machine = fleet.instances[&id].instance.machine.clone();
        let certificate = serde_json::json!({ "at": at(3), "probe": "", "provider": "" });
        let certificate: DeathCertificate = serde_json::from_value(certificate).unwrap();
        let Some(observed) = fleet.machines.get_mut(&machine) else { continue };
        observed.machine = observed.machine.lost(certificate).unwrap();
        for _ in 0..4 {
            look(&mut fleet, 3);
        }
        assert_eq!(ran(&fleet), before, "{id} was on {machine}");
        assert_ne!(fleet.instances[&id].instance.machine, machine);
    }
    assert_eq!(fleet.instances[&canary].instance.deployment, id);
}

#[test]
fn what_is_linked_follows_its_masters_instance_before_the_next_batch_in_chains_too() {
    let link = |name: &str, master: &str| {
        let mut it = job(name, 1, 0.1, 10);
        it.linked_job = Some(master.parse().unwrap());
        it
    };
    let master = job("a.b", 2, 0.5, 100);
    let jobs = [master.clone(), link("b.b", "a.b"), link("c.b", "b.b")];
    let mut fleet = fleet(&jobs, 3, at(1));
    settle(&mut fleet, &policy(3, 3), at(1));
    assert_eq!(fleet.instances.len(), 6);
    assert_eq!(
        plan(&fleet, &policy(3, 3), at(1)).decisions,
        [],
        "nothing is started twice at first"
    );

    let next = deploy(&mut fleet, 4, &master, DeploymentState::Running);
    let d = DeploymentId::nth;
    for number in 0..2 {
        let id = |job: &str| -> InstanceId { format!("{number}.z-1.{job}").parse().unwrap() };
        let expected = [
            Step::Retarget(id("a.b"), next.clone()),
            Step::Restart(id("b.b"), vec![d(4)]),
            Step::Restart(id("c.b"), vec![d(2), d(4)]),
        ];
        for step in expected {
            assert_eq!(steps(&look(&mut fleet, 2)), [&step]);
        }
    }
    let done = look(&mut fleet, 2);
    assert!(matches!(steps(&done)[..], [Step::Finish(_, DeploymentState::Succeeded { .. }, None)]));
    assert_eq!(look(&mut fleet, 2).decisions, []);
}

#[test]
fn a_master_waits_for_what_is_linked_to_it_and_fails_with_it() {
    let master = job("a.b", 2, 0.5, 100);
    let mut linked = job("b.b", 1, 0.1, 10);
    linked.linked_job = Some("a.b".parse().unwrap());
    let mut fleet = fleet(&[master.clone(), linked], 3, at(1));
    settle(&mut fleet, &policy(3, 3), at(1));
    let bad = deploy(&mut fleet, 3, &master, DeploymentState::Running);
    look(&mut fleet, 2);
    look(&mut fleet, 2);
    set(&mut fleet, "0.z-1.b.b", Phase::Starting, 2);
    assert_eq!(look(&mut fleet, 100).decisions, [], "the other batch waits");
    look(&mut fleet, 123);
    let DeploymentState::Failed { reason, .. } = &of(&fleet, &bad).state else {
        panic!("it goes on")
    };
    assert!(
        reason.contains("what is linked to it") && reason.contains("0.z-1.b.b was"),
        "{reason}"
    );
    assert_eq!(of(&fleet, &DeploymentId::nth(4)).rolls_back, Some(bad));
}
