//! A look that was kept and is taken again decides the same, whatever was heard when.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use super::*;
use crate::cluster::testing::{at, fleet, job, policy};
use crate::cluster::tests::{carry_out, settle};
use crate::cluster::{Condemned, ObservedMachine, Presence, Probe, ProviderWord, mark_idle};
use crate::cluster::{Occupancy, Step};
use cerebro_model::{AfterDrain, Drain, Pause, PauseScope};
use proptest::prelude::*;
use std::time::Duration;

/// The same by way of its JSON, as a log keeps it.
fn written<T: Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    serde_json::from_slice(&serde_json::to_vec(value).unwrap()).unwrap()
}

/// What comes of a plan, without its order of notes: that is its own.
fn told(plan: Plan) -> (Vec<Decision>, Vec<crate::cluster::Note>, Vec<Condemned>, Option<String>) {
    (plan.decisions, plan.notes, plan.condemned, plan.doubt)
}

fn word(at: Timestamp, gone: bool) -> ProviderWord {
    let presence = if gone { Presence::Gone } else { Presence::Running };
    ProviderWord { at, presence, said: "said".to_owned() }
}

/// When a machine was heard last, which witnesses have spoken, and how it stands.
type Observed = (Option<i64>, Option<(i64, bool)>, Option<(i64, bool)>, u8);

fn observed() -> impl Strategy<Value = Observed> {
    let moment = 90i64..104;
    let heard = prop_oneof![4 => (97i64..103).prop_map(Some), 2 => moment.clone().prop_map(Some),
        1 => Just(None)];
    let probe = proptest::option::of((moment.clone(), any::<bool>()));
    let provider = proptest::option::of((moment, any::<bool>()));
    (heard, probe, provider, 0u8..8)
}

fn observe(it: &mut ObservedMachine, (heard, probe, provider, state): Observed) {
    it.last_heartbeat = heard.map(|seconds| at(seconds).after(Duration::from_millis(137)));
    it.probe = probe.map(|(seconds, answered)| Probe {
        at: at(seconds),
        answered,
        said: "said".to_owned(),
    });
    it.provider = provider.map(|(seconds, gone)| word(at(seconds), gone));
    let machine = &it.machine;
    it.machine = match state {
        0 => machine.draining(Drain::new(at(50), String::new(), AfterDrain::Stay)).unwrap(),
        1 => machine.never_joined("for a test".to_owned()).unwrap_or_else(|_| machine.clone()),
        _ => machine.clone(),
    };
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_look_that_is_taken_again_decides_the_same(
        observed in proptest::collection::vec(observed(), 1..8),
        started in 90i64..102, suspect in 0u64..5, anew in proptest::option::of(95i64..101),
        doubt in proptest::option::of(90i64..101),
    ) {
        let jobs = [job("a.b", 4, 0.5, 100), job("c.d", 2, 1.0, 100)];
        let mut fleet = fleet(&jobs, observed.len() as u64, at(80));
        let mut policy = policy(2, 9);
        settle(&mut fleet, &policy, at(80));
        policy.started_at = at(started);
        policy.suspect_after = Duration::from_secs(suspect);
        for (it, observed) in fleet.machines.values_mut().zip(observed) {
            observe(it, observed);
        }
        if let Some(anew) = anew {
            let clocks = |wall: i64, monotonic: u64| crate::cluster::Clocks {
                wall: at(wall), monotonic: Duration::from_secs(monotonic),
            };
            let heard: Vec<_> = fleet.machines.values().map(|it| it.last_heartbeat).collect();
            fleet.look(clocks(10, 10), &policy);
            prop_assert!(fleet.look(clocks(anew, 11), &policy));
            for (it, heard) in fleet.machines.values_mut().zip(heard) {
                it.last_heartbeat = heard;
            }
        }
        if let Some(doubt) = doubt {
            fleet.own.doubt(at(doubt), "for a test");
        }
        let now = at(102);
        let occupancy = Occupancy::of(&fleet);
        mark_idle(&mut fleet, &occupancy, now);
        let look = Look::of(&fleet, &policy, now);
        prop_assert_eq!(&written(&look), &look);
        prop_assert_eq!(told(written(&look).plan()), told(plan(&fleet, &policy, now)));
    }

    #[test]
    fn what_has_changed_since_makes_the_next_look_of_the_one_before(
        acts in proptest::collection::vec((0u8..7, 0usize..6), 1..25),
    ) {
        let jobs = [job("a.b", 4, 0.5, 100), job("c.d", 2, 1.0, 100)];
        let mut fleet = fleet(&jobs, 6, at(1));
        let (policy, mut recorder) = (policy(2, 9), Recorder::default());
        let Entry::Whole(mut look) = recorder.entry(&fleet, &policy, at(1), false) else {
            panic!("the first is whole");
        };
        for ((act, which), now) in acts.into_iter().zip(2..) {
            let (before, now) = (fleet.clone(), at(now));
            if let Some((id, it)) = fleet.machines.iter_mut().nth(which) {
                match act {
                    0 => it.last_heartbeat = Some(now),
                    1 => it.probe = Some(Probe { at: now, answered: false, said: id.to_string() }),
                    2 => it.provider = Some(word(now, true)),
                    _ => {}
                }
            }
            match act {
                3 => fleet.machines.values_mut().for_each(|it| it.last_heartbeat = Some(now)),
                4 => {
                    let plan = plan(&fleet, &policy, now);
                    carry_out(&mut fleet, &plan, now);
                }
                5 => {
                    let (author, reason) = ("eva".to_owned(), "no".to_owned());
                    let (since, until, over) = (now, now.after(Duration::from_secs(3)), None);
                    let pause =
                        Pause { scope: PauseScope::Cluster, author, reason, since, until, over };
                    fleet.brakes.pauses.insert(PauseScope::Cluster, pause);
                }
                _ => {}
            }
            let occupancy = Occupancy::of(&fleet);
            mark_idle(&mut fleet, &occupancy, now);
            touch(&mut recorder, &before, &fleet);
            let Entry::Since(since) = recorder.entry(&fleet, &policy, now, false) else {
                panic!("only the first is whole");
            };
            look.follow(written(&*since));
            prop_assert_eq!(&*look, &Look::of(&fleet, &policy, now));
            prop_assert_eq!(told(look.plan()), told(plan(&fleet, &policy, now)));
        }
    }
}

/// Tells the recorder what it is to be told: which records have changed, but for heartbeats.
fn touch(recorder: &mut Recorder, before: &Fleet, after: &Fleet) {
    for id in before.instances.keys().chain(after.instances.keys()) {
        if before.instances.get(id) != after.instances.get(id) {
            recorder.instance(id);
        }
    }
    let quiet = |it: &ObservedMachine| ObservedMachine {
        last_heartbeat: None,
        idle_since: None,
        ..it.clone()
    };
    for id in before.machines.keys().chain(after.machines.keys()) {
        if before.machines.get(id).map(quiet) != after.machines.get(id).map(quiet) {
            recorder.machine(id);
        }
    }
    for id in before.deployments.keys().chain(after.deployments.keys()) {
        if before.deployments.get(id) != after.deployments.get(id) {
            recorder.deployment(id);
        }
    }
}

#[test]
fn heartbeats_alone_are_no_change_and_another_policy_is_told_as_a_difference() {
    let mut fleet = fleet(&[job("a.b", 2, 0.5, 100)], 3, at(1));
    let (mut policy, mut recorder) = (policy(3, 4), Recorder::default());
    recorder.entry(&fleet, &policy, at(1), false);
    fleet.machines.values_mut().for_each(|it| it.last_heartbeat = Some(at(2)));
    let Entry::Since(since) = recorder.entry(&fleet, &policy, at(2), false) else { panic!() };
    assert_eq!(serde_json::to_value(&since).unwrap(), serde_json::json!({ "now": at(2) }));

    let decided = plan(&fleet, &policy, at(2)).decisions;
    let mut look = Look::of(&fleet, &policy, at(2));
    assert_eq!(compare(&decided, &look.plan().decisions), Again::Same);
    policy.zones.values_mut().for_each(|zone| zone.min = 4);
    look.policy = policy;
    let Again::Differs { at: place, then, now } = compare(&decided, &look.plan().decisions) else {
        panic!("it is the same");
    };
    assert!(decided.iter().all(|it| !matches!(it.step, Step::Provision { .. })));
    assert_eq!(place, decided.len());
    assert_eq!(then, None);
    assert_eq!(now.unwrap(), "a machine is made in z-1: z-1 should have 4 machines");
}
