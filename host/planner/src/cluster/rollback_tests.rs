#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use super::testing::{at, deployment, fleet, job, policy};
use super::tests::{carry_out, settle, steps};
use super::*;
use cerebro_model::{Deployment, Job, OnFailure, Phase};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A fleet of three instances that run the first deployment.
fn settled(job: &Job) -> Fleet {
    let mut fleet = fleet(std::slice::from_ref(job), 3, at(1));
    settle(&mut fleet, &policy(3, 3), at(1));
    fleet
}

fn deploy(fleet: &mut Fleet, n: u64, job: &Job) -> DeploymentId {
    let next = deployment(n, job);
    let id = next.id.clone();
    fleet.deployments.insert(id.clone(), next);
    id
}

fn set(fleet: &mut Fleet, id: &InstanceId, phase: Phase) {
    fleet.instances.get_mut(id).unwrap().status.as_mut().unwrap().phase = phase;
}

/// One round, in which whatever is told to run `bad` fails; what was told to run it.
fn round(fleet: &mut Fleet, bad: &DeploymentId) -> (Plan, Vec<InstanceId>) {
    let plan_now = plan(fleet, &policy(3, 3), at(2));
    carry_out(fleet, &plan_now, at(2));
    let reached: Vec<_> = fleet
        .instances
        .values()
        .filter(|seen| seen.instance.deployment == *bad)
        .map(|seen| seen.instance.id.clone())
        .collect();
    for id in &reached {
        set(fleet, id, Phase::Failed);
    }
    (plan_now, reached)
}

fn rollbacks(fleet: &Fleet) -> Vec<&Deployment> {
    fleet.deployments.values().filter(|it| it.rolls_back.is_some()).collect()
}

#[test]
fn a_failed_deployment_is_taken_back_where_it_was_and_nowhere_else() {
    let job = job("a.b", 3, 0.5, 100);
    let mut fleet = settled(&job);
    let bad = deploy(&mut fleet, 2, &job);
    let (_, reached) = round(&mut fleet, &bad);
    assert_eq!(reached.len(), 1);
    let (failing, _) = round(&mut fleet, &bad);
    let [Step::Finish(id, DeploymentState::Failed { .. }, Some(then))] = steps(&failing)[..] else {
        panic!("{failing:?}")
    };
    assert_eq!((id, &then.from), (&bad, &DeploymentId::nth(1)));
    assert!(then.reason.contains("a.b goes back to 1.0, as d-1 left it"), "{}", then.reason);

    let third = DeploymentId::nth(3);
    assert_eq!(fleet.deployments[&third].rolls_back, Some(bad));
    assert_eq!(fleet.deployments[&third].version, fleet.deployments[&DeploymentId::nth(1)].version);
    let plan_now = plan(&fleet, &policy(3, 3), at(3));
    assert_eq!(steps(&plan_now), [&Step::Retarget(reached[0].clone(), third.clone())]);
    settle(&mut fleet, &policy(3, 3), at(3));
    assert!(fleet.deployments[&third].state.has_succeeded());
    let told: BTreeSet<_> =
        fleet.instances.values().map(|seen| &seen.instance.deployment).collect();
    assert_eq!(told.len(), 2, "those that it never came to keep what they have");
}

#[test]
fn the_same_version_deployed_anew_is_taken_back_too() {
    let job = job("a.b", 2, 0.5, 100);
    let mut fleet = settled(&job);
    let again = deploy(&mut fleet, 2, &job);
    fleet.deployments.get_mut(&again).unwrap().version = "1.0".parse().unwrap();
    let first = plan(&fleet, &policy(3, 3), at(2));
    carry_out(&mut fleet, &first, at(2));
    let second = plan(&fleet, &policy(3, 3), at(2));
    carry_out(&mut fleet, &second, at(2));
    let last = fleet.instances.keys().next_back().unwrap().clone();
    set(&mut fleet, &last, Phase::Failed);
    settle(&mut fleet, &policy(3, 3), at(2));
    let third = DeploymentId::nth(3);
    assert!(fleet.deployments[&third].state.has_succeeded());
    assert!(fleet.instances.values().all(|seen| seen.instance.deployment == third));
}

#[test]
fn nothing_is_taken_back_unasked_or_without_something_to_go_back_to() {
    let mut keeps = job("a.b", 3, 0.5, 100);
    keeps.rollout.on_failure = OnFailure::Keep;
    let mut fleet_of_it = settled(&keeps);
    let bad = deploy(&mut fleet_of_it, 2, &keeps);
    for _ in 0..3 {
        round(&mut fleet_of_it, &bad);
    }
    assert_eq!(fleet_of_it.deployments[&bad].state.word(), "failed");
    assert!(rollbacks(&fleet_of_it).is_empty());

    let first = job("c.d", 3, 0.5, 100);
    let mut fleet = fleet(std::slice::from_ref(&first), 3, at(1));
    for _ in 0..3 {
        round(&mut fleet, &DeploymentId::nth(1));
    }
    assert_eq!(fleet.deployments[&DeploymentId::nth(1)].state.word(), "failed");
    assert!(rollbacks(&fleet).is_empty());
}

#[test]
fn a_deleted_jobs_deployment_ends_and_nothing_follows() {
    let job = job("a.b", 2, 0.5, 100);
    let mut fleet = settled(&job);
    deploy(&mut fleet, 2, &job);
    fleet.jobs.clear();
    settle(&mut fleet, &policy(3, 3), at(2));
    assert!(rollbacks(&fleet).is_empty());
}

/// What happens next: a deployment, whether it is kept when it fails, and what fails in its course.
fn any_course() -> impl Strategy<Value = Vec<(bool, bool, Vec<usize>)>> {
    let failing = proptest::collection::vec(0usize..6, 0..4);
    proptest::collection::vec((any::<bool>(), proptest::bool::weighted(0.2), failing), 1..12)
}

proptest! {
    #[test]
    fn one_rollback_for_a_failure_at_most_and_none_without_an_earlier_success(course in any_course()) {
        let mut first = job("a.b", 3, 0.5, 100);
        let mut fleet = fleet(std::slice::from_ref(&first), 3, at(1));
        for (deploys, keeps, failing) in course {
            let next = fleet.deployments.keys().filter_map(|id| id.ordinal()).max().unwrap() + 1;
            if deploys {
                first.rollout.on_failure =
                    if keeps { OnFailure::Keep } else { OnFailure::RollBack };
                for deployment in fleet.deployments.values_mut().filter(|it| it.state.is_running()) {
                    deployment.state = DeploymentState::Superseded { by: DeploymentId::nth(next) };
                }
                deploy(&mut fleet, next, &first);
            }
            // A controller that plans twice before it acts has still to act once.
            let plan_now = plan(&fleet, &policy(3, 3), at(2));
            prop_assert_eq!(&plan_now, &plan(&fleet, &policy(3, 3), at(2)));
            for step in steps(&plan_now) {
                let Step::Finish(id, state, then) = step else { continue };
                let ended = &fleet.deployments[id];
                let had = last_success_before(&fleet.deployments, ended).map(|it| &it.id);
                let wants = !state.has_succeeded()
                    && ended.rolls_back.is_none()
                    && ended.job.rollout.on_failure == OnFailure::RollBack;
                prop_assert_eq!(then.as_ref().map(|then| &then.from), had.filter(|_| wants));
            }
            carry_out(&mut fleet, &plan_now, at(2));
            let ids: Vec<_> = fleet.instances.keys().cloned().collect();
            for at in failing {
                if let Some(id) = ids.get(at) {
                    set(&mut fleet, id, Phase::Failed);
                }
            }
            let taken_back: Vec<_> =
                rollbacks(&fleet).iter().filter_map(|it| it.rolls_back.clone()).collect();
            let distinct: BTreeSet<_> = taken_back.iter().collect();
            prop_assert_eq!(distinct.len(), taken_back.len());
            for id in &taken_back {
                prop_assert!(fleet.deployments[id].rolls_back.is_none(), "of a rollback");
                prop_assert_eq!(fleet.deployments[id].state.word(), "failed");
                prop_assert!(last_success_before(&fleet.deployments, &fleet.deployments[id]).is_some());
            }
        }
    }
}
