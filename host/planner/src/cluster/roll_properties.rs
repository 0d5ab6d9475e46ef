//! Whatever agents, people and the controller's own restarts do: what must hold of every rollout.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use super::testing::{at, deployment, fleet, job, policy};
use super::tests::{carry_out, settle};
use super::*;
use cerebro_model::{
    Canary, CanaryStage, Deployment, DeploymentPause, InstanceStatus, Job, Life, Phase, Promote,
    Rollout, Seconds,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What becomes of the instances of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Good,
    Slow,
    Hangs,
    Crashes,
    Fails,
    Flaps,
}

/// What a person does, or what befalls the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Nothing,
    Replace,
    Queue,
    Pause(i64),
    Promote,
    Restart,
}

struct World {
    fleet: Fleet,
    policy: Policy,
    job: Job,
    /// By the number of a version; all of version 1 is good.
    ways: Vec<Way>,
    now: i64,
}

impl World {
    fn new(count: u32, rollout: Rollout, ways: Vec<Way>) -> Self {
        let mut job = job("a.b", count, 0.5, 100);
        job.rollout = rollout;
        let mut fleet = fleet(std::slice::from_ref(&job), 3, at(1));
        settle_first(&mut fleet);
        Self { fleet, policy: policy(3, 3), job, ways, now: 1 }
    }

    fn running(&self) -> Option<&Deployment> {
        let mut running = self.fleet.deployments.values().filter(|it| it.state.is_running());
        let found = running.next();
        assert!(running.next().is_none(), "two at a time");
        found
    }

    fn act(&mut self, act: Act) {
        let now = at(self.now);
        match act {
            Act::Nothing => {}
            Act::Replace | Act::Queue => self.deploy(act == Act::Queue),
            Act::Pause(lasts) => {
                let Some(id) =
                    self.running().filter(|it| it.pause().is_none()).map(|it| it.id.clone())
                else {
                    return;
                };
                let until = Some(at(self.now + lasts));
                let pause =
                    DeploymentPause { at: now, reason: "x".to_owned(), until, ended_at: None };
                self.fleet.deployments.get_mut(&id).unwrap().course.pauses.push(pause);
            }
            Act::Promote => {
                let Some(it) = self.running() else { return };
                let standing = CanaryStanding::of(&self.fleet, it, now);
                if matches!(standing, Some(CanaryStanding::Ready | CanaryStanding::Bakes(_))) {
                    let id = it.id.clone();
                    let course = &mut self.fleet.deployments.get_mut(&id).unwrap().course;
                    course.canary = Some(CanaryStage::Promoted { at: now });
                }
            }
            Act::Restart => {
                self.policy.started_at = now;
                for seen in self.fleet.instances.values_mut() {
                    *seen = SeenInstance::told(seen.instance.clone());
                }
            }
        }
    }

    fn deploy(&mut self, queues: bool) {
        let is_busy = self.fleet.deployments.values().any(|it| !it.state.has_ended());
        let ordinals = self.fleet.deployments.keys().filter_map(|id| id.ordinal());
        let mut next = ordinals.max().unwrap() + 1;
        if queues && is_busy {
            next += 1;
        }
        let mut new = deployment(next, &self.job);
        new.created_at = at(self.now);
        if queues && is_busy {
            new.state = DeploymentState::Queued;
        } else {
            for it in self.fleet.deployments.values_mut().filter(|it| !it.state.has_ended()) {
                it.state = DeploymentState::Superseded { by: new.id.clone() };
            }
            new.course.canary = self.job.rollout.canary.as_ref().map(|_| CanaryStage::Out);
        }
        self.fleet.deployments.insert(new.id.clone(), new);
    }

    /// Every agent tells how its instances are.
    fn report(&mut self) {
        let now = at(self.now);
        for observed in self.fleet.machines.values_mut() {
            observed.last_heartbeat = Some(now);
        }
        for seen in self.fleet.instances.values_mut() {
            let version = &self.fleet.deployments[&seen.instance.deployment].version;
            let version: usize = version.as_str().split('.').next().unwrap().parse().unwrap();
            let turn = version + seen.instance.number as usize;
            let way = if version == 1 { Way::Good } else { self.ways[turn % self.ways.len()] };
            let age = now.since(seen.instance.since).as_secs();
            let (phase, restarts) = match (way, age) {
                (_, 0) => (Phase::Deploying, 0),
                (Way::Good, _) => (Phase::Healthy, 0),
                (Way::Slow, _) => (if age < 5 { Phase::Starting } else { Phase::Healthy }, 0),
                (Way::Hangs, _) => (Phase::Starting, 0),
                (Way::Crashes, _) => (Phase::Starting, u32::try_from(age).unwrap()),
                (Way::Fails, _) => (if age < 3 { Phase::Starting } else { Phase::Failed }, 0),
                (Way::Flaps, _) => {
                    (if age.is_multiple_of(3) { Phase::Unhealthy } else { Phase::Healthy }, 0)
                }
            };
            let status = InstanceStatus {
                id: seen.instance.id.clone(),
                placement: seen.instance.placement,
                deployment: Some(seen.instance.deployment.clone()),
                phase,
                pid: Some(restarts),
                restarts,
                message: String::new(),
                since: now,
                life: Life { restarts, ..Life::default() },
            };
            seen.hear(status, now);
        }
    }

    /// Looks, sees that what it decides may be, and does it. Agents take their time.
    fn look(&mut self) -> Result<bool, TestCaseError> {
        let now = at(self.now);
        let plan = plan(&self.fleet, &self.policy, now);
        self.check(&plan)?;
        for Decision { step, reason } in plan.decisions.clone() {
            match step {
                Step::Retarget(id, deployment) => {
                    let seen = self.fleet.instances.remove(&id).unwrap();
                    let instance = Instance { deployment, since: now, ..seen.instance.clone() };
                    self.fleet.instances.insert(id, seen.told_anew(instance));
                }
                Step::Finish(..) | Step::Begin(_) | Step::Promote(_) | Step::Resume(_) => {
                    let canary = self.job.rollout.canary.as_ref().map(|_| CanaryStage::Out);
                    let begun = if let Step::Begin(id) = &step { Some(id.clone()) } else { None };
                    let decisions = vec![Decision { step, reason }];
                    let one = Plan { decisions, ..Plan::default() };
                    carry_out(&mut self.fleet, &one, now);
                    if let Some(id) = begun {
                        self.fleet.deployments.get_mut(&id).unwrap().course.canary = canary;
                    }
                }
                other => prop_assert!(false, "nothing is lost, and nothing lacks: {other:?}"),
            }
        }
        Ok(!plan.decisions.is_empty())
    }

    fn check(&self, plan: &Plan) -> Result<(), TestCaseError> {
        let now = at(self.now);
        let told = |decision: &Decision| match &decision.step {
            Step::Retarget(id, to) => Some((id.clone(), to.clone())),
            _ => None,
        };
        let told: Vec<_> = plan.decisions.iter().filter_map(told).collect();
        let Some(running) = self.running() else {
            prop_assert!(told.is_empty(), "nothing is on its way");
            return Ok(());
        };
        let rollout = &running.job.rollout;
        prop_assert!(told.iter().all(|(_, to)| *to == running.id));
        prop_assert!(told.is_empty() || running.pause().is_none(), "it is paused");
        let (mut away, mut reached, mut serving) = (0, 0, 0);
        for seen in self.fleet.instances.values() {
            let is_told = told.iter().any(|(id, _)| *id == seen.instance.id);
            if seen.instance.deployment == running.id {
                prop_assert!(!is_told, "none is told twice");
                reached += 1;
                away += u32::from(!gate::counts(seen, rollout, now));
            } else if is_told {
                reached += 1;
                serving += u32::from(seen.is_healthy());
                prop_assert!(seen.status.is_some(), "what was not heard of is left alone");
            }
        }
        prop_assert!(
            serving == 0 || away + serving <= rollout.batch,
            "{away} away, {serving} more"
        );
        if let Some(canary) = rollout.canary.as_ref().filter(|_| running.is_canary()) {
            prop_assert!(reached <= canary.instances.get(), "{reached} have it");
        }
        for decision in &plan.decisions {
            let Step::Finish(id, DeploymentState::Succeeded { .. }, _) = &decision.step else {
                continue;
            };
            prop_assert_eq!(id, &running.id);
            prop_assert!(away == 0 && !running.is_held(), "it succeeded before it had");
        }
        Ok(())
    }

    fn second(&mut self) -> Result<(), TestCaseError> {
        self.now += 1;
        self.report();
        // What follows from a step at once.
        for _ in 0..20 {
            if !self.look()? {
                return Ok(());
            }
        }
        prop_assert!(false, "it does not come to rest");
        Ok(())
    }
}

fn settle_first(fleet: &mut Fleet) {
    settle(fleet, &policy(3, 3), at(1));
}

fn any_rollout() -> impl Strategy<Value = Rollout> {
    let canary = (1u32..3, 0u64..4, any::<bool>()).prop_map(|(instances, bake, by_hand)| Canary {
        instances: instances.try_into().unwrap(),
        bake: Seconds::new(bake),
        promote: if by_hand { Promote::Manual } else { Promote::Automatic },
        promote_within: Seconds::new(15),
    });
    (1u32..4, 0u64..3, proptest::option::of(canary)).prop_map(|(batch, healthy_for, canary)| {
        Rollout {
            batch,
            deadline: Seconds::new(8),
            healthy_for: Seconds::new(healthy_for),
            queue_deadline: Seconds::new(100),
            canary,
            ..Rollout::default()
        }
    })
}

fn any_ways() -> impl Strategy<Value = Vec<Way>> {
    let way = prop_oneof![
        4 => Just(Way::Good), 1 => Just(Way::Slow), 1 => Just(Way::Hangs), 1 => Just(Way::Crashes),
        1 => Just(Way::Fails), 1 => Just(Way::Flaps),
    ];
    proptest::collection::vec(way, 1..6)
}

fn any_course() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        20 => Just(Act::Nothing), 2 => Just(Act::Replace), 3 => Just(Act::Queue),
        1 => (1i64..40).prop_map(Act::Pause), 1 => Just(Act::Promote), 1 => Just(Act::Restart),
    ];
    proptest::collection::vec(act, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_batch_at_a_time_and_everything_comes_to_an_end(
        count in 1u32..6, rollout in any_rollout(), ways in any_ways(), course in any_course(),
    ) {
        let mut world = World::new(count, rollout, ways);
        let mut ended: BTreeMap<DeploymentId, DeploymentState> = BTreeMap::new();
        for act in course {
            world.act(act);
            world.second()?;
            for (id, state) in &ended {
                prop_assert_eq!(&world.fleet.deployments[id].state, state, "an end is an end");
            }
            let over = world.fleet.deployments.values().filter(|it| it.state.has_ended());
            ended = over.map(|it| (it.id.clone(), it.state.clone())).collect();
        }
        // The longest that one of them can take: each instance its time, its canary, its pause.
        let one = i64::from(count + 1) * 2 * (8 + 3) + 20 + 40;
        let left = world.fleet.deployments.values().filter(|it| !it.state.has_ended()).count();
        for _ in 0..i64::try_from(left).unwrap() * 2 * one {
            world.second()?;
        }
        let open: Vec<_> = world.fleet.deployments.values().filter(|it| !it.state.has_ended()).collect();
        prop_assert!(open.is_empty(), "{:?}", open);
    }

    #[test]
    fn as_many_serve_as_must_while_all_goes_well_and_all_get_it(
        count in 1u32..6, rollout in any_rollout(), slow in any::<bool>(),
    ) {
        let batch = rollout.batch;
        let mut world = World::new(count, rollout, vec![if slow { Way::Slow } else { Way::Good }]);
        world.second()?;
        world.deploy(false);
        let id = world.running().unwrap().id.clone();
        for _ in 0..300 {
            if world.fleet.deployments[&id].state.has_ended() {
                break;
            }
            world.act(Act::Promote);
            world.second()?;
            let well = world.fleet.instances.values().filter(|seen| seen.is_healthy()).count();
            prop_assert!(well + batch as usize >= count as usize, "{well} of {count} serve");
        }
        prop_assert!(world.fleet.deployments[&id].state.has_succeeded());
        prop_assert!(world.fleet.instances.values().all(|seen| seen.instance.deployment == id));
    }
}
