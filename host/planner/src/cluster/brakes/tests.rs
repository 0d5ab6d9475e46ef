#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use crate::cluster::testing::{at, fleet, job, machine, policy};
use crate::cluster::tests::{carry_out, settle, steps};
use crate::cluster::*;
use cerebro_model::{Job, Machine, Timestamp};
use std::time::Duration;

/// All that plans do at this moment: verdicts, and what follows from them.
fn give_up(fleet: &mut Fleet, policy: &Policy, now: Timestamp) -> (Vec<MachineId>, Vec<Note>) {
    let mut given_up = Vec::new();
    for _ in 0..20 {
        let plan = plan(fleet, policy, now);
        if plan.decisions.is_empty() {
            return (given_up, plan.notes);
        }
        given_up.extend(plan.decisions.iter().filter_map(|it| match &it.step {
            Step::DeclareLost(id, _) => Some(id.clone()),
            _ => None,
        }));
        carry_out(fleet, &plan, now);
    }
    panic!("still busy");
}

fn held(notes: &[Note]) -> Vec<&Brake> {
    let held = notes.iter().filter_map(|note| match note {
        Note::Held { brake, .. } => Some(brake),
        _ => None,
    });
    held.collect()
}

fn hear(fleet: &mut Fleet, but: &[u64], now: Timestamp) {
    let dead: Vec<_> = but.iter().copied().map(MachineId::nth).collect();
    for (id, observed) in &mut fleet.machines {
        if !dead.contains(id) {
            observed.last_heartbeat = Some(now);
        }
    }
}

#[test]
fn two_that_die_at_once_are_replaced_one_after_the_other_and_it_is_told() {
    let (mut fleet, policy) = (fleet(&[], 8, at(10)), policy(8, 12));
    hear(&mut fleet, &[1, 2], at(20));
    let (first, notes) = give_up(&mut fleet, &policy, at(20));
    assert_eq!(first, [MachineId::nth(1)]);
    assert_eq!(held(&notes), [&Brake::Losses(Some("z-1".parse().unwrap()))]);
    let Note::Held { why, .. } = &notes[0] else { panic!("{notes:?}") };
    assert!(
        why.starts_with("in z-1 1 of 1 allowed machines were given up in the last 10 s"),
        "{why}"
    );
    assert!(notes.iter().any(|it| matches!(it, Note::Suspect { machine, why }
        if *machine == MachineId::nth(2) && why.ends_with("as soon as nothing holds that"))));
    // While a witness is asked again, it is still told.
    hear(&mut fleet, &[2], at(25));
    let plan_now = plan(&fleet, &policy, at(25));
    assert_eq!(steps(&plan_now), [&Step::Probe(MachineId::nth(2))]);
    assert_eq!(held(&plan_now.notes).len(), 1);
    hear(&mut fleet, &[2], at(30));
    let (second, notes) = give_up(&mut fleet, &policy, at(30));
    assert_eq!(second, [MachineId::nth(2)]);
    assert_eq!(held(&notes), [] as [&Brake; 0]);
    assert_eq!(fleet.machines.len(), 8, "both were replaced");
}

#[test]
fn one_that_dies_alone_is_given_up_and_nothing_is_told_to_be_held() {
    let (mut fleet, policy) = (fleet(&[], 8, at(10)), policy(8, 12));
    hear(&mut fleet, &[1], at(20));
    let plan_now = look(&mut fleet, &policy, at(20));
    assert!(matches!(steps(&plan_now)[..], [Step::DeclareLost(..)]), "{plan_now:?}");
    assert_eq!(plan_now.notes, []);
}

#[test]
fn what_was_given_up_before_a_restart_counts() {
    let (mut before, policy) = (fleet(&[], 8, at(10)), policy(8, 12));
    for (n, now) in [(1, 20), (2, 40), (3, 60)] {
        hear(&mut before, &[n], at(now));
        assert_eq!(give_up(&mut before, &policy, at(now)).0.len(), 1);
    }
    // Another controller, that knows only what was recorded.
    let mut after = fleet(&[], 0, at(0));
    after.machines = (4..12).map(|n| machine(n, at(80))).collect();
    after.brakes = before.brakes.clone();
    hear(&mut after, &[4], at(90));
    let (given_up, notes) = give_up(&mut after, &policy, at(90));
    assert_eq!(given_up, []);
    let Note::Held { why, .. } = &notes[0] else { panic!("{notes:?}") };
    assert!(why.contains("3 of 3 allowed machines were given up in the last 10 min"), "{why}");
    hear(&mut after, &[4], at(621));
    assert_eq!(give_up(&mut after, &policy, at(621)).0, [MachineId::nth(4)]);
}

#[test]
fn machines_that_never_join_are_not_made_without_end() {
    let (mut fleet, policy) = (fleet(&[], 0, at(0)), policy(1, 1));
    for now in 0..100 * 600 {
        let plan = plan(&fleet, &policy, at(now));
        carry_out(&mut fleet, &plan, at(now));
        for observed in fleet.machines.values_mut() {
            let Machine { id, zone, capacity, created_at, .. } = observed.machine.clone();
            if observed.machine.state.is_active() {
                observed.machine = Machine::new(id, zone, capacity, created_at);
            }
        }
        if fleet.brakes.tombstones.len() >= 20 {
            assert!(now > 20 * 60, "{now}");
            let rest = crate::cluster::plan(&fleet, &policy, at(now + 1));
            assert!(
                !steps(&rest).iter().any(|it| matches!(it, Step::Provision { .. })),
                "{rest:?}"
            );
            let Note::Held { why, .. } = &rest.notes[0] else { panic!("{rest:?}") };
            assert!(why.contains("budget") && why.contains("20 of 20 allowed"), "{why}");
            let next_day = crate::cluster::plan(&fleet, &policy, at(now + 2 * 86_400));
            assert!(steps(&next_day).iter().any(|it| matches!(it, Step::Provision { .. })));
            return;
        }
    }
    panic!("it made machines for ever: {}", fleet.brakes.tombstones.len());
}

#[test]
fn an_instance_that_brings_its_machines_down_is_placed_at_growing_distances() {
    let jobs: [Job; 1] = [job("killer.b", 1, 0.5, 100)];
    let policy = Policy {
        limits: Limits { zone_losses: [Rate::NONE; 2], ..Limits::default() },
        ..policy(5, 9)
    };
    let mut fleet = fleet(&jobs, 5, at(1));
    settle(&mut fleet, &policy, at(1));
    let id: InstanceId = "0.z-1.killer.b".parse().unwrap();
    let mut now = 10;
    let mut waits = Vec::new();
    for _ in 0..5 {
        let on = fleet.instances[&id].instance.machine.clone();
        hear(&mut fleet, &[], at(now - 5));
        let number: u64 = on.as_str()[2..].parse().unwrap();
        hear(&mut fleet, &[number], at(now));
        let (given_up, _) = give_up(&mut fleet, &policy, at(now));
        assert_eq!(given_up, std::slice::from_ref(&on));
        let mut waited = 0;
        while fleet.instances[&id].instance.machine == on {
            let plan = plan(&fleet, &policy, at(now + waited));
            assert!(held(&plan.notes).contains(&&Brake::Instance(id.clone())), "{plan:?}");
            waited += 20;
            hear(&mut fleet, &[], at(now + waited));
            settle(&mut fleet, &policy, at(now + waited));
        }
        waits.push(waited);
        now += waited + 10;
    }
    assert_eq!(waits, [0, 0, 60, 120, 240]);
}

#[test]
fn a_machine_that_comes_and_goes_gets_nothing_new_for_a_while() {
    let mut fleet = fleet(&[job("a.b", 1, 0.5, 100)], 1, at(100));
    let policy = policy(1, 1);
    fleet.machines.get_mut(&MachineId::nth(1)).unwrap().comebacks = [70, 80, 90].map(at).to_vec();
    let plan_now = plan(&fleet, &policy, at(100));
    assert_eq!(plan_now.decisions, []);
    assert_eq!(held(&plan_now.notes), [&Brake::Machine(MachineId::nth(1))]);
    let unplaceable = plan_now.notes.iter().find_map(|note| match note {
        Note::Unplaceable { why, .. } => Some(why.to_string()),
        _ => None,
    });
    assert!(unplaceable.unwrap().contains("1 is flapping"));
    hear(&mut fleet, &[], at(150));
    settle(&mut fleet, &policy, at(150));
    assert_eq!(fleet.instances.len(), 1);
}

#[test]
fn a_controller_that_hears_of_less_than_half_does_nothing_until_it_has_listened() {
    // In no zone more than may be silent, and nothing heard of all of them.
    let mut fleet = fleet(&[job("a.b", 1, 0.5, 100)], 6, at(10));
    for (n, observed) in (0..).zip(fleet.machines.values_mut()) {
        observed.machine.zone = format!("z-{n}").parse().unwrap();
    }
    let policy = Policy {
        zones: (0..7).map(|n| (format!("z-{n}").parse().unwrap(), ZonePolicy::new(1, 2))).collect(),
        ..policy(1, 2)
    };
    fleet.machines.get_mut(&MachineId::nth(6)).unwrap().last_heartbeat = Some(at(20));
    let (given_up, notes) = give_up(&mut fleet, &policy, at(20));
    assert_eq!(given_up, []);
    let Note::Doubt { why } = notes.iter().min().unwrap() else { panic!("{notes:?}") };
    assert!(why.starts_with("5 of 6 machines are silent at once"), "{why}");
    let plan_now = plan(&fleet, &policy, at(20));
    assert!(fleet.instances.is_empty() && plan_now.standstill.holds_zone(&"z-6".parse().unwrap()));
    // It hears them again, and listens for a while before it does anything.
    fleet.own.doubt(at(20), plan_now.doubt.unwrap());
    hear(&mut fleet, &[], at(25));
    assert_eq!(plan(&fleet, &policy, at(25)).decisions, []);
    hear(&mut fleet, &[], at(27));
    assert!(!plan(&fleet, &policy, at(27)).decisions.is_empty());
}

fn clocks(wall: i64, monotonic: u64) -> Clocks {
    Clocks { wall: at(wall), monotonic: Duration::from_secs(monotonic) }
}

#[test]
fn a_clock_that_is_set_starts_the_listening_anew_and_condemns_nobody() {
    for (jump, word) in [(3600, "forward by 3600.0 s"), (-3600, "back by 3600.0 s")] {
        let (mut fleet, policy) = (fleet(&[], 3, at(5000)), policy(4, 4));
        fleet.look(clocks(5000, 100), &policy);
        fleet.look(clocks(5001, 101), &policy);
        assert_eq!(plan(&fleet, &policy, at(5001)).decisions.len(), 1);
        let set = 5001 + jump;
        fleet.look(clocks(set + 1, 102), &policy);
        let plan_now = plan(&fleet, &policy, at(set + 1));
        assert_eq!(plan_now.decisions, []);
        let [Note::Doubt { why }] = &plan_now.notes[..] else { panic!("{plan_now:?}") };
        assert!(why.contains(word), "{why}");
        // Two are heard by the new clock. The third has died, and is found out by it.
        hear(&mut fleet, &[1], at(set + 20));
        let (given_up, _) = give_up(&mut fleet, &policy, at(set + 20));
        assert_eq!(given_up, [MachineId::nth(1)]);
    }
}

#[test]
fn a_controller_that_stood_still_listens_first() {
    let (mut fleet, policy) = (fleet(&[], 3, at(10)), policy(4, 4));
    fleet.look(clocks(10, 10), &policy);
    fleet.look(clocks(40, 40), &policy);
    let plan_now = plan(&fleet, &policy, at(40));
    assert!(steps(&plan_now).iter().all(|it| matches!(it, Step::Probe(_))), "{plan_now:?}");
    assert!(plan_now.notes.iter().any(|it| matches!(it, Note::Doubt { .. })));
    // Small steps of a clock, and looks that come late, are nothing.
    fleet.look(clocks(45, 45), &policy);
    fleet.own = Own::default();
    fleet.look(clocks(45, 45), &policy);
    fleet
        .look(Clocks { wall: at(50).after(Duration::from_millis(400)), ..clocks(50, 50) }, &policy);
    hear(&mut fleet, &[], at(50));
    assert_eq!(plan(&fleet, &policy, at(50)).notes, []);
}

#[test]
fn no_verdict_comes_before_a_whole_detection_after_a_start() {
    let mut fleet = fleet(&[], 4, at(101));
    let policy = Policy { started_at: at(100), ..policy(4, 6) };
    hear(&mut fleet, &[1], at(105));
    assert_eq!(give_up(&mut fleet, &policy, at(105)).0, []);
    hear(&mut fleet, &[1], at(106));
    assert_eq!(give_up(&mut fleet, &policy, at(106)).0, [MachineId::nth(1)]);
}

/// A look, at which witnesses are asked as often as needed.
fn look(fleet: &mut Fleet, policy: &Policy, now: Timestamp) -> Plan {
    loop {
        let plan = plan(fleet, policy, now);
        let asks = |it: &&Decision| {
            matches!(it.step, Step::Probe(_) | Step::AskProvider(_) | Step::AskPeer(..))
        };
        if !plan.decisions.iter().any(|it| asks(&it)) {
            return plan;
        }
        carry_out(fleet, &plan, now);
    }
}

#[test]
fn who_only_observes_proposes_and_does_what_is_approved_for_the_same_reason() {
    let mut fleet = fleet(&[], 4, at(10));
    let limits = Limits { observe_only: true, ..Limits::default() };
    let policy = Policy { limits, ..policy(4, 6) };
    hear(&mut fleet, &[1], at(20));
    let plan_now = look(&mut fleet, &policy, at(20));
    assert_eq!(plan_now.decisions, []);
    let [proposal] = &plan_now.proposals[..] else { panic!("{plan_now:?}") };
    assert_eq!(
        (proposal.id.as_str(), proposal.since, proposal.approved),
        ("give-up-m-1", at(10), false)
    );
    let Note::Proposed { why, .. } = &plan_now.notes[0] else { panic!("{plan_now:?}") };
    assert!(
        why.contains("only observes") && why.contains("cerebro repair approve give-up-m-1"),
        "{why}"
    );

    // It is heard again: the proposal vanishes, and an approval of it says nothing of the next silence.
    fleet.approvals.insert(proposal.id.clone(), proposal.since);
    hear(&mut fleet, &[], at(21));
    assert_eq!(look(&mut fleet, &policy, at(21)).proposals, []);
    hear(&mut fleet, &[1], at(40));
    let again = look(&mut fleet, &policy, at(40));
    assert_eq!((again.decisions.len(), again.proposals[0].approved), (0, false));
    fleet.approvals.insert("give-up-m-1".to_owned(), again.proposals[0].since);
    assert_eq!(give_up(&mut fleet, &policy, at(40)).0, [MachineId::nth(1)]);

    // A person can switch it off.
    hear(&mut fleet, &[2], at(60));
    assert_eq!(give_up(&mut fleet, &policy, at(60)).0, []);
    fleet.brakes.observe_only = Some(false);
    assert_eq!(give_up(&mut fleet, &policy, at(60)).0, [MachineId::nth(2)]);
}

#[test]
fn a_person_can_have_given_up_what_the_breaker_and_doubt_hold() {
    // The host of all of them has ended, and with it the controller: it never heard of any.
    let (mut fleet, policy) = (fleet(&[], 3, at(10)), policy(3, 5));
    let policy = Policy { started_at: at(100), ..policy };
    fleet.machines.values_mut().for_each(|it| it.last_heartbeat = None);
    let look = |now, fleet: &mut Fleet| {
        let plan = look(fleet, &policy, at(now));
        if let Some(why) = &plan.doubt {
            fleet.own.doubt(at(now), why.clone());
        }
        plan
    };
    for now in 106..110 {
        let plan_now = look(now, &mut fleet);
        assert_eq!((plan_now.decisions.len(), plan_now.proposals.len()), (0, 3), "{plan_now:?}");
    }
    for proposal in look(110, &mut fleet).proposals {
        fleet.approvals.insert(proposal.id, proposal.since);
    }
    // Of them there is no doubt any longer; what there was before ends first.
    assert_eq!(look(111, &mut fleet).decisions, []);
    let given_up: Vec<_> = steps(&look(116, &mut fleet)).into_iter().cloned().collect();
    assert!(
        given_up.iter().filter(|it| matches!(it, Step::DeclareLost(..))).count() == 3,
        "{given_up:?}"
    );
}
