//! What a person would try first, and that a seed is one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use crate::faults::Fault;
use crate::operator::ZONES;
use crate::run::{BEGINNING, Faults, JOBS, Options, Outcome, Told, run};
use cerebro_model::EventKind;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const BEAT: Duration = Duration::from_secs(1);
const MACHINES: u32 = 40;
const IN_A_ZONE: usize = MACHINES as usize / 4;

fn with(faults: Faults) -> Outcome {
    let (span, machines, acts, trace) = (BEGINNING + 100 * MINUTE, MACHINES, 0, false);
    let (jobs, replays) = (JOBS, false);
    run(&Options { seed: 7, span, machines, faults, jobs, acts, trace, replays }).unwrap()
}

/// One fault, once all has come to rest, and what is told from then on.
fn after(fault: Fault) -> (Outcome, Vec<Told>) {
    let outcome = with(Faults::These(vec![(BEGINNING, fault)]));
    let told = outcome.history.iter().filter(|told| told.at >= BEGINNING).cloned().collect();
    (outcome, told)
}

fn count(told: &[Told], kind: EventKind) -> usize {
    told.iter().filter(|told| told.kind == kind).count()
}

#[test]
fn a_seed_does_the_same_again() {
    let first = with(Faults::Drawn(25));
    assert_eq!(first, with(Faults::Drawn(25)));
    assert_eq!(first.violations, [] as [String; 0]);
}

#[test]
fn a_controller_that_is_cut_off_from_all_machines_ends_none_and_makes_none() {
    let (outcome, told) = after(Fault::ControllerIsCut(20 * MINUTE));
    assert_eq!(outcome.violations, [] as [String; 0]);
    for kind in [
        EventKind::MachineLost,
        EventKind::MachineTerminated,
        EventKind::MachineProvisioning,
        EventKind::InstancePlaced,
    ] {
        assert_eq!(count(&told, kind), 0, "{kind}");
    }
    let first = told.iter().find(|told| told.kind == EventKind::BreakerOpen).unwrap();
    assert!(first.at <= BEGINNING + Duration::from_secs(5), "{first:?}");
}

#[test]
fn a_fifth_of_a_zone_that_dies_at_once_is_replaced_one_after_the_other() {
    let (outcome, told) = after(Fault::ZoneLosesMachines(20));
    assert_eq!(outcome.violations, [] as [String; 0]);
    let lost: Vec<_> = told.iter().filter(|told| told.kind == EventKind::MachineLost).collect();
    assert_eq!(lost.len(), IN_A_ZONE / 5);
    let apart = |pair: &[&Told]| pair[1].at.saturating_sub(pair[0].at);
    assert!(lost.windows(2).all(|pair| apart(pair) >= Duration::from_secs(10)), "{lost:?}");
    assert_eq!(count(&told, EventKind::BreakerOpen), 0);
}

#[test]
fn most_of_a_zone_that_dies_at_once_is_left_to_a_person() {
    let (outcome, told) = after(Fault::ZoneLosesMachines(60));
    assert_eq!(outcome.violations, [] as [String; 0]);
    assert_eq!(count(&told, EventKind::MachineLost), 0);
    assert_eq!(count(&told, EventKind::MachineTerminated), 0);
    assert!(count(&told, EventKind::BreakerOpen) > 0);
}

#[test]
fn a_zone_that_is_lost_is_stood_in_for_by_others_where_jobs_say_so() {
    let (outcome, told) = after(Fault::ZoneLosesMachines(100));
    assert_eq!(outcome.violations, [] as [String; 0]);
    assert_eq!(count(&told, EventKind::MachineLost), 0);
    let stands_in = told.iter().filter(|told| told.message.contains("it stands in"));
    let times: Vec<_> = stands_in.map(|told| told.at).collect();
    // All of the jobs that want that and have other zones, two minutes after they were heard last.
    let opened = told.iter().find(|told| told.kind == EventKind::BreakerOpen).unwrap();
    let zone = ZONES.into_iter().find(|zone| opened.message.contains(zone)).unwrap();
    let placed = outcome.history.iter().filter(|told| told.at < BEGINNING);
    let placed = placed.filter(|told| told.kind == EventKind::InstancePlaced);
    let placed: Vec<&str> = placed.filter_map(|told| told.message.split(' ').next()).collect();
    let down = placed.iter().filter(|id| {
        let Some((_, job)) = id.split_once(&format!(".{zone}.")) else { return false };
        let wants = ["job-1.", "job-5.", "job-9."].iter().any(|wants| job.starts_with(wants));
        wants && placed.iter().any(|other| other.ends_with(job) && !other.contains(zone))
    });
    let down = down.count();
    assert!(down > 0);
    assert_eq!(times.len(), down, "{told:?}");
    let late = BEGINNING + 3 * MINUTE;
    assert!(
        times.iter().all(|at| *at + 3 * BEAT >= BEGINNING + 2 * MINUTE && *at <= late),
        "{times:?}"
    );
}

#[test]
fn a_provider_that_is_away_or_deaf_makes_no_machine_twice_and_ends_none() {
    for fault in [Fault::ProviderIsAway(10 * MINUTE), Fault::ProviderIsDeaf(10 * MINUTE)] {
        let faults = vec![(BEGINNING, fault), (BEGINNING + MINUTE, Fault::MachineDies)];
        let outcome = with(Faults::These(faults));
        assert_eq!(outcome.violations, [] as [String; 0]);
        let told: Vec<_> =
            outcome.history.into_iter().filter(|told| told.at >= BEGINNING).collect();
        assert_eq!(count(&told, EventKind::MachineLost), 1);
    }
}

#[test]
fn a_disk_that_is_full_or_lies_costs_no_machine() {
    let minute = Duration::from_secs(60);
    for fault in [Fault::StoreIsFull(minute), Fault::StoreIsDeaf(minute)] {
        let faults = vec![(BEGINNING, fault), (BEGINNING + MINUTE / 2, Fault::MachineDies)];
        let outcome = with(Faults::These(faults));
        assert_eq!(outcome.violations, [] as [String; 0]);
    }
}

#[test]
fn a_clock_that_jumps_costs_no_machine() {
    for by in [-3600, -30, 30, 3600] {
        let (outcome, told) = after(Fault::ClockIsWrong(by, 10 * MINUTE));
        assert_eq!(outcome.violations, [] as [String; 0]);
        assert_eq!(count(&told, EventKind::MachineLost), 0, "{by}");
    }
}

/// Of the attempts to have machines answer again, those that end their tasks.
fn reboots(told: &[Told]) -> usize {
    let reboots =
        |told: &&Told| told.kind == EventKind::RepairTried && told.message.contains("reboots it");
    told.iter().filter(reboots).count()
}

#[test]
fn a_machine_that_only_a_reboot_cures_is_rebooted_and_kept() {
    let (outcome, told) = after(Fault::MachineHangsUntilBooted);
    assert_eq!(outcome.violations, [] as [String; 0]);
    assert_eq!((reboots(&told), outcome.rebooted), (1, 1));
    for kind in
        [EventKind::MachineLost, EventKind::MachineTerminated, EventKind::MachineProvisioning]
    {
        assert_eq!(count(&told, kind), 0, "{kind}");
    }
    assert_eq!(count(&told, EventKind::MachineBack), 1);
}

#[test]
fn a_machine_that_nothing_cures_is_replaced_at_last() {
    let (outcome, told) = after(Fault::MachineHangsForEver);
    assert_eq!(outcome.violations, [] as [String; 0]);
    assert_eq!(reboots(&told), 2);
    for kind in [EventKind::MachineLost, EventKind::MachineTerminated] {
        assert_eq!(count(&told, kind), 1, "{kind}");
    }
    let lost = told.iter().find(|told| told.kind == EventKind::MachineLost).unwrap();
    assert!(lost.at < BEGINNING + 10 * MINUTE, "{lost:?}");
    assert!(lost.message.contains("does not reach it either"), "{lost:?}");
}

#[test]
fn a_machine_that_others_reach_is_left_alone_for_as_long_as_that_lasts() {
    let (outcome, told) = after(Fault::MachineIsApart(45 * MINUTE));
    assert_eq!(outcome.violations, [] as [String; 0]);
    assert_eq!((reboots(&told), count(&told, EventKind::MachineLost)), (0, 0));
    assert_eq!(count(&told, EventKind::RepairTried), 0);
}

#[test]
fn whatever_happens_each_decision_is_the_same_when_it_is_planned_again() {
    let (span, faults) = (BEGINNING + 100 * MINUTE, Faults::Drawn(25));
    let (machines, jobs, acts, trace, replays) = (20, JOBS, 20, false, true);
    let outcome =
        run(&Options { seed: 11, span, machines, faults, jobs, acts, trace, replays }).unwrap();
    assert_eq!(outcome.violations, [] as [String; 0]);
    assert!(outcome.replayed > 100, "{} decisions", outcome.replayed);
    assert!(outcome.terms > 1, "more than one controller wrote them");
}
