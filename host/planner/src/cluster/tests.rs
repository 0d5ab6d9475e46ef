#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use super::testing::{at, capacity, deployment, fleet, healthy, job, machine, policy, zone};
use super::*;
use cerebro_model::{CanaryStage, Cores, Machine, Megabytes, Moves, PeerWord, Phase, Sight};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Carries a plan out as an executor would for whom everything goes well at once.
pub(crate) fn carry_out(fleet: &mut Fleet, plan: &Plan, now: Timestamp) {
    for decision in &plan.decisions {
        match &decision.step {
            Step::Provision { zone } => {
                // No number is used twice.
                let known = fleet.machines.keys().chain(fleet.brakes.tombstones.keys());
                let n = known.filter_map(|id| id.as_str()[2..].parse().ok()).max().unwrap_or(0);
                let (id, mut made) = machine(n + 1, now);
                made.machine.created_at = now;
                made.machine.zone = zone.clone();
                fleet.machines.insert(id, made);
            }
            Step::Place(instance) => {
                fleet.next_placement = fleet.next_placement.max(instance.placement + 1);
                if let Some(left) = &instance.leaving
                    && left.moves == Moves::StopFirst
                {
                    let from = fleet.machines.get_mut(&left.machine).unwrap();
                    from.ended.insert(left.placement);
                }
                let instance = &linked(fleet, instance.clone());
                let mut seen = healthy(instance);
                // What the machine that it leaves said of it holds.
                if let Some(before) = fleet.instances.remove(&instance.id) {
                    let status = seen.status.take().unwrap();
                    seen = before.told_anew(instance.clone());
                    seen.hear(status, now);
                }
                fleet.instances.insert(instance.id.clone(), seen);
            }
            Step::Remove(id) => drop(fleet.instances.remove(id)),
            Step::Retarget(id, deployment) => {
                let mut instance = fleet.instances[id].instance.clone();
                instance.deployment = deployment.clone();
                instance.since = now;
                let instance = linked(fleet, instance);
                fleet.instances.insert(id.clone(), healthy(&instance));
            }
            Step::Restart(id, beside) => {
                let mut instance = fleet.instances[id].instance.clone();
                (instance.beside, instance.since) = (beside.clone(), now);
                fleet.instances.insert(id.clone(), healthy(&instance));
            }
            Step::Finish(id, state, then) => {
                fleet.deployments.get_mut(id).unwrap().state = state.clone();
                if let Some(Restore { from, .. }) = then {
                    let next =
                        fleet.deployments.keys().filter_map(|id| id.ordinal()).max().unwrap() + 1;
                    let job = fleet.deployments[id].job_name();
                    let next = number_of_rollback(&fleet.deployments, job, next).unwrap().0;
                    let next = DeploymentId::nth(next);
                    let rollback = fleet.deployments[from].restored(next.clone(), id.clone(), now);
                    fleet.deployments.insert(next, rollback);
                }
            }
            // Names are changed by whoever tests them.
            Step::Publish(_) | Step::ForgetName(..) => {}
            Step::EndPause(scope) => {
                fleet.brakes.pauses.get_mut(scope).unwrap().over = Some(now);
            }
            Step::Begin(id) => {
                let deployment = fleet.deployments.get_mut(id).unwrap();
                deployment.state = DeploymentState::Running;
                deployment.course.begun_at = Some(now);
            }
            Step::Promote(id) => {
                let course = &mut fleet.deployments.get_mut(id).unwrap().course;
                course.canary = Some(CanaryStage::Promoted { at: now });
            }
            Step::Resume(id) => {
                let course = &mut fleet.deployments.get_mut(id).unwrap().course;
                course.pauses.last_mut().unwrap().ended_at = Some(now);
            }
            Step::DeclareLost(id, certificate) => {
                bury(fleet, id, &decision.reason, now);
                let machine = &mut fleet.machines.get_mut(id).unwrap().machine;
                *machine = machine.lost(certificate.clone()).unwrap();
            }
            Step::Try(id, rung) => {
                let attempt =
                    cerebro_model::Attempt { rung: *rung, at: now, why: decision.reason.clone() };
                fleet.machines.get_mut(id).unwrap().attempts.push(attempt);
            }
            Step::Destroy(id) => drop(fleet.machines.remove(id)),
            Step::Probe(id) => {
                let probe =
                    Probe { at: now, answered: false, said: "connection refused".to_owned() };
                fleet.machines.get_mut(id).unwrap().probe = Some(probe);
            }
            Step::AskPeer(id, peer) => {
                let (sight, said) = (Sight::Silent, "no answer in time".to_owned());
                let word = PeerWord { peer: peer.clone(), at: now, sight, said };
                fleet.machines.get_mut(id).unwrap().peers.insert(peer.clone(), word);
            }
            Step::AskProvider(id) => {
                let word = ProviderWord {
                    at: now,
                    presence: Presence::Gone,
                    said: "its init is gone".to_owned(),
                };
                fleet.machines.get_mut(id).unwrap().provider = Some(word);
            }
            Step::GiveUp(id) => {
                bury(fleet, id, &decision.reason, now);
                let machine = &mut fleet.machines.get_mut(id).unwrap().machine;
                *machine = machine.terminating(decision.reason.clone()).unwrap();
            }
            Step::Return(id) => {
                let seen = fleet.instances.remove(id).unwrap();
                let back = seen.instance.back().unwrap();
                fleet.instances.insert(id.clone(), seen.told_anew(back));
            }
            Step::LetGo(id) => {
                // It may have been removed by the same look.
                let Some(seen) = fleet.instances.get(id) else { continue };
                let mut instance = seen.instance.clone();
                instance.leaving = None;
                fleet.instances.insert(id.clone(), healthy(&instance));
            }
            Step::Turn(id, turn) => {
                let machine = &mut fleet.machines.get_mut(id).unwrap().machine;
                *machine = match turn {
                    Turn::Drained => machine.drained(now),
                    Turn::Maintained => machine.maintained_as_asked(now),
                    Turn::MaintenanceOver => machine.maintained_until(now),
                    Turn::Terminated => machine.terminating(decision.reason.clone()),
                }
                .unwrap();
            }
        }
    }
}

fn bury(fleet: &mut Fleet, id: &MachineId, why: &str, now: Timestamp) {
    let machine = &fleet.machines[id].machine;
    let on_it = fleet.instances.values().filter(|seen| seen.instance.machine == *id);
    let tombstone = cerebro_model::Tombstone {
        machine: id.clone(),
        zone: machine.zone.clone(),
        created_at: machine.created_at,
        at: now,
        why: why.to_owned(),
        certificate: None,
        instances: on_it.map(|seen| seen.instance.id.clone()).collect(),
        gone_at: None,
    };
    fleet.brakes.tombstones.insert(id.clone(), tombstone);
}

/// With what it runs beside.
fn linked(fleet: &Fleet, instance: Instance) -> Instance {
    let find = |id: &InstanceId| fleet.instances.get(id).map(|seen| &seen.instance);
    let beside = beside(&instance, &fleet.deployments[&instance.deployment].job, find);
    Instance { beside, ..instance }
}

/// Plans and carries out until there is nothing to do; the number of rounds that took.
pub(crate) fn settle(fleet: &mut Fleet, policy: &Policy, now: Timestamp) -> usize {
    for round in 0..50 {
        let plan = plan(fleet, policy, now);
        if plan.decisions.is_empty() {
            return round;
        }
        carry_out(fleet, &plan, now);
    }
    panic!("still busy: {:?}", plan(fleet, policy, now));
}

pub(crate) fn steps(plan: &Plan) -> Vec<&Step> {
    plan.decisions.iter().map(|decision| &decision.step).collect()
}

#[test]
fn an_empty_cluster_gets_machines_instances_and_an_end() {
    let mut fleet = fleet(&[job("a.b", 3, 0.5, 100)], 0, at(1));
    settle(&mut fleet, &policy(2, 4), at(1));
    assert_eq!(fleet.instances.len(), 3);
    assert_eq!(fleet.machines.len(), 2);
    assert!(matches!(
        fleet.deployments.values().next().unwrap().state,
        DeploymentState::Succeeded { .. }
    ));
    let machines: BTreeSet<_> =
        fleet.instances.values().map(|seen| &seen.instance.machine).collect();
    assert_eq!(machines.len(), 2, "spread before packed");
}

#[test]
fn what_fits_nowhere_says_what_is_short_by_how_much() {
    let fleet = fleet(&[job("big.b", 1, 4.5, 4300)], 3, at(1));
    let plan = plan(&fleet, &policy(3, 3), at(1));
    assert_eq!(plan.decisions, []);
    let Note::Unplaceable { why, .. } = &plan.notes[0] else { panic!("{:?}", plan.notes) };
    assert_eq!(
        why.to_string(),
        "needs 4.5 cores and 4300 MB: of 3 machines in z-1 3 lack cores and memory (nearest m-1: 4 \
         cores and 4000 MB free); a new machine there is no way out, it lacks cores and memory (4 cores \
         and 4000 MB free)"
    );
}

#[test]
fn a_deployment_without_a_place_ends_at_its_deadline() {
    let mut fleet = fleet(&[job("big.b", 1, 4.5, 100)], 1, at(121));
    settle(&mut fleet, &policy(1, 1), at(121));
    let state = &fleet.deployments.values().next().unwrap().state;
    assert!(
        matches!(state, DeploymentState::Failed { reason, .. } if reason.contains("1 lacks cores (m-1: 4 cores free)")),
        "{state:?}"
    );
}

#[test]
fn a_zone_that_is_not_there_is_named() {
    let mut job = job("a.b", 1, 0.5, 100);
    job.deployment_layout = BTreeMap::from([(
        "z-9".parse().unwrap(),
        cerebro_model::ZoneLayout::new(Megabytes::new(1), 1),
    )]);
    let plan = plan(&fleet(&[job], 1, at(1)), &policy(1, 1), at(1));
    assert!(
        matches!(&plan.notes[0], Note::Unplaceable { why, .. } if why.to_string().contains("no zone z-9; it has: z-1"))
    );
}

#[test]
fn a_machine_is_lost_only_when_all_witnesses_agree() {
    let mut fleet = fleet(&[job("a.b", 2, 0.5, 100)], 3, at(10));
    settle(&mut fleet, &policy(3, 4), at(10));
    let silent = fleet.instances.values().next().unwrap().instance.machine.clone();
    let now = at(14);
    for (id, observed) in &mut fleet.machines {
        observed.last_heartbeat = Some(if *id == silent { at(10) } else { now });
    }
    let plan_now = plan(&fleet, &policy(3, 4), now);
    assert_eq!(steps(&plan_now), [&Step::Probe(silent.clone())]);
    carry_out(&mut fleet, &plan_now, now);
    let plan_now = plan(&fleet, &policy(3, 4), now);
    assert_eq!(steps(&plan_now), [&Step::AskProvider(silent.clone())]);

    // The provider sees it run: it is suspect, and others are asked to look.
    let mut contradicted = fleet.clone();
    let word = ProviderWord { at: now, presence: Presence::Running, said: "running".to_owned() };
    contradicted.machines.get_mut(&silent).unwrap().provider = Some(word);
    let plan_contradicted = plan(&contradicted, &policy(3, 4), now);
    let peers = fleet.machines.keys().filter(|id| **id != silent);
    let asks: Vec<_> = peers.map(|id| Step::AskPeer(silent.clone(), id.clone())).collect();
    assert_eq!(steps(&plan_contradicted), asks.iter().collect::<Vec<_>>());
    assert!(
        matches!(&plan_contradicted.notes[0], Note::Suspect { why, .. } if why.contains("running"))
    );

    carry_out(&mut fleet, &plan_now, now);
    settle(&mut fleet, &policy(3, 4), now);
    assert!(!fleet.machines.contains_key(&silent));
    assert!(fleet.instances.values().all(|seen| seen.instance.machine != silent));
    assert_eq!(fleet.machines.len(), 3, "the warm machine that took over was replaced");
}

#[test]
fn a_silent_machine_that_is_being_ended_is_given_up_and_what_must_be_alone_waits_for_its_end() {
    for alone in [false, true] {
        let mut job = job("a.b", 3, 0.5, 100);
        if alone {
            job.placement.moves = cerebro_model::Moves::StopFirst;
        }
        let mut fleet = fleet(&[job], 4, at(10));
        settle(&mut fleet, &policy(4, 5), at(10));
        let ends = fleet.instances.values().next().unwrap().instance.machine.clone();
        for (id, observed) in &mut fleet.machines {
            observed.last_heartbeat = Some(if *id == ends { at(10) } else { at(20) });
        }
        let observed = fleet.machines.get_mut(&ends).unwrap();
        observed.probe = Some(Probe { at: at(20), answered: false, said: "time-out".to_owned() });
        let said = "it is being terminated".to_owned();
        observed.provider = Some(ProviderWord { at: at(20), presence: Presence::Ending, said });
        let plan_now = plan(&fleet, &policy(4, 5), at(20));
        let lost = plan_now.decisions.iter().find_map(|it| match &it.step {
            Step::DeclareLost(id, certificate) => Some((id.clone(), certificate.verdict)),
            _ => None,
        });
        assert_eq!(lost, Some((ends.clone(), cerebro_model::Verdict::Ending)));
        carry_out(&mut fleet, &plan_now, at(20));
        let plan_now = plan(&fleet, &policy(4, 5), at(20));
        let placed = plan_now.decisions.iter().find_map(|it| match &it.step {
            Step::Place(instance) => Some(instance.leaving.is_some()),
            _ => None,
        });
        assert_eq!(placed, Some(alone), "what must be alone waits beside what it leaves");
        let ended = Step::Turn(ends.clone(), Turn::Terminated);
        assert!(plan_now.decisions.iter().any(|it| it.step == ended), "{:?}", plan_now.decisions);
    }
}

#[test]
fn when_too_much_is_silent_nothing_is_given_up() {
    let mut fleet = fleet(&[job("a.b", 4, 0.5, 100)], 4, at(10));
    settle(&mut fleet, &policy(4, 8), at(10));
    for observed in fleet.machines.values_mut().take(2) {
        observed.probe = Some(Probe { at: at(20), answered: false, said: "time-out".to_owned() });
        observed.provider =
            Some(ProviderWord { at: at(20), presence: Presence::Gone, said: "gone".to_owned() });
    }
    for observed in fleet.machines.values_mut().skip(2) {
        observed.last_heartbeat = Some(at(20));
    }
    let plan = plan(&fleet, &policy(4, 8), at(20));
    assert_eq!(plan.decisions, []);
    assert!(
        matches!(&plan.notes[0], Note::BreakerOpen { why, .. } if why.contains("2 of 4 machines"))
    );
}

#[test]
fn a_controller_that_just_started_blames_nobody() {
    let mut fleet = fleet(&[], 2, at(0));
    for observed in fleet.machines.values_mut() {
        observed.last_heartbeat = None;
    }
    let policy = Policy { started_at: at(100), ..policy(2, 2) };
    assert_eq!(plan(&fleet, &policy, at(104)).decisions, []);
}

#[test]
fn a_machine_that_has_just_joined_is_not_silent() {
    let mut fleet = fleet(&[], 2, at(100));
    for observed in fleet.machines.values_mut() {
        observed.last_heartbeat = None;
        let pending = Machine::new(observed.machine.id.clone(), zone(), capacity(4.0, 4000), at(0));
        observed.machine = pending.joined(at(100)).unwrap();
    }
    assert_eq!(plan(&fleet, &policy(2, 2), at(101)).decisions, []);
    assert!(!plan(&fleet, &policy(2, 2), at(110)).decisions.is_empty());
}

#[test]
fn a_new_version_goes_out_a_batch_at_a_time_and_stops_at_a_failure() {
    let mut job = job("a.b", 3, 0.5, 100);
    job.rollout.on_failure = cerebro_model::OnFailure::Keep;
    let mut fleet = fleet(std::slice::from_ref(&job), 3, at(1));
    settle(&mut fleet, &policy(3, 3), at(1));
    let second = deployment(2, &job);
    fleet.deployments.insert(second.id.clone(), second);
    let plan_now = plan(&fleet, &policy(3, 3), at(2));
    let [Step::Retarget(id, _)] = steps(&plan_now)[..] else { panic!("{plan_now:?}") };
    carry_out(&mut fleet, &plan_now, at(2));

    let status = fleet.instances.get_mut(id).unwrap().status.as_mut().unwrap();
    status.phase = Phase::Failed;
    status.message = "port in use".to_owned();
    let plan_now = plan(&fleet, &policy(3, 3), at(2));
    let [Step::Finish(_, DeploymentState::Failed { reason, .. }, _)] = steps(&plan_now)[..] else {
        panic!("{plan_now:?}")
    };
    assert!(reason.contains(id.as_str()) && reason.contains("port in use"), "{reason}");
    carry_out(&mut fleet, &plan_now, at(2));
    assert_eq!(plan(&fleet, &policy(3, 3), at(2)).decisions, [], "the rest keep what they have");
}

#[test]
fn work_that_is_done_holds_up_no_deployment() {
    let job = job("a.b", 2, 0.5, 100);
    let mut fleet = fleet(std::slice::from_ref(&job), 1, at(1));
    settle(&mut fleet, &policy(1, 1), at(1));
    let second = deployment(2, &job);
    fleet.deployments.insert(second.id.clone(), second);
    for number in 1..=2 {
        let plan_now = plan(&fleet, &policy(1, 1), at(2));
        let [Step::Retarget(id, _)] = steps(&plan_now)[..] else {
            panic!("{number}: {plan_now:?}")
        };
        carry_out(&mut fleet, &plan_now, at(2));
        fleet.instances.get_mut(id).unwrap().status.as_mut().unwrap().phase = Phase::Completed;
    }
    let plan_now = plan(&fleet, &policy(1, 1), at(2));
    assert!(
        matches!(steps(&plan_now)[..], [Step::Finish(_, DeploymentState::Succeeded { .. }, None)]),
        "{plan_now:?}"
    );
}

#[test]
fn a_controller_that_has_heard_of_nothing_takes_nothing_away() {
    let job = job("a.b", 3, 0.5, 100);
    let mut fleet = fleet(std::slice::from_ref(&job), 3, at(1));
    settle(&mut fleet, &policy(3, 3), at(1));
    let second = deployment(2, &job);
    fleet.deployments.insert(second.id.clone(), second);
    let healthy = fleet.instances.clone();
    fleet.instances.values_mut().for_each(|seen| seen.status = None);
    assert_eq!(plan(&fleet, &policy(3, 3), at(2)).decisions, []);
    fleet.instances = healthy;
    assert_eq!(plan(&fleet, &policy(3, 3), at(2)).decisions.len(), 1, "heard of, they roll on");
}

#[test]
fn a_deleted_job_loses_its_instances() {
    let mut fleet = fleet(&[job("a.b", 2, 0.5, 100)], 1, at(1));
    settle(&mut fleet, &policy(1, 1), at(1));
    fleet.jobs.clear();
    settle(&mut fleet, &policy(1, 1), at(1));
    assert!(fleet.instances.is_empty());
}

fn any_jobs() -> impl Strategy<Value = Vec<Job>> {
    let one = (0u32..6, 1u32..30, 1u64..3000, proptest::option::of(80u16..83));
    proptest::collection::vec(one, 1..6).prop_map(|jobs| {
        let build = |(n, (count, cpu, mem, port)): (usize, (u32, u32, u64, Option<u16>))| {
            let mut job = job(&format!("j{n}.b"), count, f64::from(cpu) / 10.0, mem);
            if let Some(port) = port {
                job.ports.values_mut().for_each(|own| *own = port);
            }
            job
        };
        jobs.into_iter().enumerate().map(build).collect()
    })
}

use cerebro_model::Job;

proptest! {
    #[test]
    fn machines_are_never_given_more_than_they_have_and_work_comes_to_an_end(
        jobs in any_jobs(), machines in 0u64..5, max in 0u32..6,
    ) {
        let mut fleet = fleet(&jobs, machines, at(1));
        let policy = policy(0, max);
        settle(&mut fleet, &policy, at(1));
        for id in fleet.machines.keys() {
            let on = || fleet.instances.values().map(|seen| &seen.instance).filter(|i| i.machine == *id);
            let reserved = on().map(|i| fleet.deployments[&i.deployment].job.reserves(&zone()));
            let (cpu, mem) = reserved.fold((Cores::ZERO, Megabytes::ZERO), |(cpu, mem), (c, m)| {
                (cpu.saturating_add(c), mem.saturating_add(m))
            });
            let has = capacity(4.0, 4000);
            prop_assert!(cpu <= has.cpu && mem <= has.mem);
            let ports: Vec<_> = on().flat_map(|i| i.ports.values()).collect();
            prop_assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), ports.len(), "a port was given twice");
        }
        // What is missing is accounted for.
        let missing = jobs.iter().any(|job| {
            let wanted = job.deployment_layout[&zone()].instances() as usize;
            fleet.instances.values().filter(|seen| seen.instance.job == job.dns_basename).count() < wanted
        });
        prop_assert_eq!(missing, !plan(&fleet, &policy, at(1)).notes.is_empty());
    }

    #[test]
    fn the_same_snapshot_gives_the_same_plan(jobs in any_jobs(), machines in 0u64..5) {
        let fleet = fleet(&jobs, machines, at(1));
        prop_assert_eq!(plan(&fleet, &policy(1, 3), at(1)), plan(&fleet, &policy(1, 3), at(1)));
    }
}
