use super::*;
use proptest::prelude::*;

const FIRST_WAIT: Duration = Duration::from_millis(100);

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn policy() -> Policy {
    Policy::default()
}

fn with(rules: Rules) -> Policy {
    Policy { rules, ..policy() }
}

fn started(policy: Policy) -> Watch {
    let mut watch = Watch::new(policy, Past::default());
    assert_eq!(watch.step(Event::Begin, s(0), 0.0), [Effect::Start]);
    watch
}

fn crash() -> Event {
    Event::Ended(Exit::Code(1))
}

#[test]
fn the_first_restart_comes_at_once_and_later_ones_keep_their_distance() {
    let mut watch = started(policy());
    assert_eq!(watch.step(crash(), s(0), 0.0), [Effect::KillTree, Effect::Start]);
    assert_eq!(watch.step(crash(), s(0), 0.0), [Effect::KillTree]);
    assert_eq!(watch.deadline(), Some(FIRST_WAIT));
    assert_eq!(watch.step(Event::Tick, s(0), 0.0), []);
    assert_eq!(watch.step(Event::Tick, s(1), 0.0), [Effect::Start]);
    assert_eq!(watch.step(crash(), s(1), 0.0), [Effect::KillTree]);
    assert_eq!(watch.deadline(), Some(s(1) + 2 * FIRST_WAIT));
    assert_eq!(watch.step(Event::Tick, s(2), 0.0), [Effect::Start]);
    // It lived longer than the next distance is.
    assert_eq!(watch.step(crash(), s(3), 0.0), [Effect::KillTree, Effect::Start]);
    // It has settled: as if nothing had been.
    assert_eq!(watch.step(crash(), s(13), 0.0), [Effect::KillTree, Effect::Start]);
    assert_eq!(watch.step(crash(), s(13), 0.0), [Effect::KillTree, Effect::Start]);
    assert_eq!(watch.step(crash(), s(13), 0.0), [Effect::KillTree]);
    assert_eq!(watch.deadline(), Some(s(13) + FIRST_WAIT));
    assert_eq!(watch.restarts(), 7);
}

#[test]
fn a_normal_exit_stands_only_where_it_may() {
    let mut watch = started(Policy { allow_exit: true, ..policy() });
    assert_eq!(watch.step(Event::Ended(Exit::Code(0)), s(1), 0.0), [Effect::KillTree]);
    assert_eq!(*watch.phase(), Phase::Stopped);

    let mut watch = started(policy());
    assert_eq!(
        watch.step(Event::Ended(Exit::Code(0)), s(1), 0.0),
        [Effect::KillTree, Effect::Start]
    );

    let mut watch = started(Policy { ensure_alive: false, ..policy() });
    watch.step(crash(), s(1), 0.0);
    assert_eq!(*watch.phase(), Phase::Failed(Reason::Ended));
}

#[test]
fn it_is_given_up_after_so_many_restarts() {
    let mut watch = started(Policy { max_restarts: Some(1), ..policy() });
    watch.step(crash(), s(1), 0.0);
    watch.step(crash(), s(2), 0.0);
    assert_eq!(*watch.phase(), Phase::Failed(Reason::MaxRestarts));
}

#[test]
fn a_stop_asks_then_kills() {
    let mut watch = started(policy());
    assert_eq!(watch.step(Event::Stop, s(1), 0.0), [Effect::AskToStop]);
    assert_eq!(watch.step(Event::Tick, s(10), 0.0), []);
    assert_eq!(watch.step(Event::Tick, s(11), 0.0), [Effect::KillTree]);
    assert_eq!(watch.step(Event::Ended(Exit::Signal(9)), s(11), 0.0), [Effect::KillTree]);
    assert_eq!(*watch.phase(), Phase::Stopped);
}

#[test]
fn one_that_lives_too_long_is_ended_and_restart_decides() {
    let rules = Rules { lifetime: Some(s(5)), ..Rules::default() };
    let again = Phase::Running { since: s(6), ready: true };
    let failed = Phase::Failed(Reason::Violation(Constraint::TimeLimit));
    for (restart, phase) in [(true, again), (false, failed)] {
        let mut watch = started(Policy { restart, ..with(rules.clone()) });
        assert_eq!(watch.deadline(), Some(s(5)));
        let violated = Effect::Tell(Finding::Violated { constraint: Constraint::TimeLimit });
        assert_eq!(watch.step(Event::Tick, s(5), 0.0), [violated, Effect::AskToStop]);
        watch.step(Event::Ended(Exit::Signal(15)), s(6), 0.0);
        assert_eq!(*watch.phase(), phase);
    }
}

#[test]
fn a_lifetime_warns_before_it_ends_and_each_threshold_once() {
    let rule = Rule { warn_at: vec![50.0, 80.0], hold: s(2), action: Action::Warn };
    let rules = Rules { lifetime: Some(s(10)), time_limit: rule, ..Rules::default() };
    let mut watch = started(with(rules));
    let mut told = Vec::new();
    while let Some(at) = watch.deadline() {
        told.extend(
            watch.step(Event::Tick, at, 0.0).into_iter().map(|effect| (at.as_secs(), effect)),
        );
    }
    let warned =
        |threshold| Effect::Tell(Finding::Warned { constraint: Constraint::TimeLimit, threshold });
    let violated = Effect::Tell(Finding::Violated { constraint: Constraint::TimeLimit });
    assert_eq!(told, [(5, warned(50.0)), (8, warned(80.0)), (12, violated)]);
    assert_eq!(watch.violations(), [0, 0, 1]);
}

#[test]
fn a_limit_may_be_broken_for_a_while_and_then_the_rule_decides() {
    let rule = |action| Rule { warn_at: vec![80.0], hold: s(3), action };
    let use_cpu = |watch: &mut Watch, share, at| {
        watch.step(Event::Measured(Constraint::Cpu, share), s(at), 0.0)
    };
    let mut watch = started(with(Rules { cpu: rule(Action::Kill), ..Rules::default() }));
    assert_eq!(use_cpu(&mut watch, 0.5, 1), []);
    let warned = Effect::Tell(Finding::Warned { constraint: Constraint::Cpu, threshold: 80.0 });
    assert_eq!(use_cpu(&mut watch, 0.9, 2), [warned]);
    assert_eq!(use_cpu(&mut watch, 1.2, 3), []);
    // A breath in between, and it is counted from nothing; the warning is not repeated.
    assert_eq!(use_cpu(&mut watch, 0.9, 5), []);
    assert_eq!(use_cpu(&mut watch, 1.2, 6), []);
    let violated = Effect::Tell(Finding::Violated { constraint: Constraint::Cpu });
    assert_eq!(use_cpu(&mut watch, 1.2, 9), [violated, Effect::AskToStop]);
    watch.step(Event::Ended(Exit::Signal(15)), s(9), 0.0);
    assert_eq!(*watch.phase(), Phase::Failed(Reason::Violation(Constraint::Cpu)));
    assert_eq!(watch.violations(), [1, 0, 0]);
}

#[test]
fn memory_that_the_kernel_took_is_a_violation() {
    let mut watch = started(policy());
    let violated = Effect::Tell(Finding::Violated { constraint: Constraint::Mem });
    let effects = watch.step(Event::Ended(Exit::OutOfMemory), s(1), 0.0);
    assert_eq!(effects, [violated, Effect::KillTree, Effect::Start]);
    let mut watch = started(Policy { restart: false, ..policy() });
    watch.step(Event::Ended(Exit::OutOfMemory), s(1), 0.0);
    assert_eq!(*watch.phase(), Phase::Failed(Reason::Violation(Constraint::Mem)));
}

#[test]
fn one_that_starts_over_and_over_is_given_up_until_it_is_asked_for() {
    let flap = Some(Flap { restarts: 2, window: s(60) });
    let mut watch = started(Policy { flap, ..policy() });
    for at in [20, 40] {
        watch.step(crash(), s(at), 0.0);
        assert!(matches!(watch.phase(), Phase::Running { .. }));
    }
    // The first is out of the window by now.
    watch.step(crash(), s(85), 0.0);
    assert!(matches!(watch.phase(), Phase::Running { .. }));
    watch.step(crash(), s(86), 0.0);
    assert_eq!(*watch.phase(), Phase::Failed(Reason::Flapping));
    assert_eq!(watch.step(Event::Start, s(90), 0.0), [Effect::Start]);
    watch.step(crash(), s(91), 0.0);
    assert!(matches!(watch.phase(), Phase::Running { .. }));
}

#[test]
fn one_that_is_not_ready_in_time_is_ended() {
    let mut watch = started(Policy { ready_within: Some(s(5)), ..policy() });
    assert_eq!(watch.deadline(), Some(s(5)));
    assert_eq!(watch.step(Event::Tick, s(5), 0.0), [Effect::AskToStop]);
    watch.step(Event::Ended(Exit::Signal(15)), s(5), 0.0);
    assert_eq!(*watch.phase(), Phase::Running { since: s(5), ready: false });
    watch.step(Event::Ready, s(6), 0.0);
    assert_eq!(*watch.phase(), Phase::Running { since: s(5), ready: true });
    assert_eq!(watch.deadline(), None);
}

#[test]
fn the_watchdog_bites_one_that_is_silent() {
    let mut watch = started(Policy { watchdog: Some(s(3)), restart: false, ..policy() });
    assert_eq!(watch.step(Event::Alive, s(2), 0.0), []);
    assert_eq!(watch.step(Event::Tick, s(4), 0.0), []);
    assert_eq!(watch.deadline(), Some(s(5)));
    assert_eq!(watch.step(Event::Tick, s(5), 0.0), [Effect::Abort]);
    watch.step(Event::Ended(Exit::Signal(6)), s(5), 0.0);
    assert_eq!(*watch.phase(), Phase::Failed(Reason::Watchdog));
}

#[test]
fn one_that_was_adopted_keeps_its_age() {
    let rules = Rules { lifetime: Some(s(100)), ..Rules::default() };
    let mut watch = Watch::new(with(rules), Past { restarts: 3, ..Past::default() });
    watch.step(Event::Adopted { since: s(10), ready: true }, s(90), 0.0);
    assert_eq!(watch.deadline(), Some(s(110)));
    assert_eq!(watch.restarts(), 3);
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Ended(Exit::Code(0))),
        Just(crash()),
        Just(Event::Tick),
        Just(Event::Stop),
        Just(Event::Start),
        Just(Event::Restart),
        Just(Event::Ready),
        Just(Event::Ended(Exit::OutOfMemory)),
        (0.0..2.0f64).prop_map(|share| Event::Measured(Constraint::Cpu, share)),
    ]
}

proptest! {
    #[test]
    fn never_two_at_a_time_and_none_after_a_stop(
        events in proptest::collection::vec((any_event(), 0u64..40), 1..60),
        max in proptest::option::of(0u32..4),
        allow_exit: bool,
        ready_within in proptest::option::of((1u64..50).prop_map(s)),
        watchdog in proptest::option::of((1u64..50).prop_map(s)),
        lifetime in proptest::option::of((1u64..100).prop_map(s)),
    ) {
        let rules = Rules { cpu: Rule::new(Action::Restart), lifetime, ..Rules::default() };
        let policy = Policy { max_restarts: max, allow_exit, ready_within, watchdog, ..with(rules) };
        let mut watch = started(policy);
        let (mut running, mut stopped, mut now) = (true, false, s(0));
        for (event, passed) in events {
            now += s(passed);
            if matches!(event, Event::Ended(_)) {
                // Only what runs can end.
                if !running { continue }
                running = false;
            }
            stopped = match event {
                Event::Stop => true,
                Event::Start | Event::Restart => false,
                _ => stopped,
            };
            for effect in watch.step(event, now, 0.5) {
                if effect == Effect::Start {
                    prop_assert!(!running, "a second one was started");
                    prop_assert!(!stopped, "started after a stop");
                    running = true;
                }
            }
            let has_one = matches!(watch.phase(), Phase::Running { .. } | Phase::Stopping { .. });
            prop_assert_eq!(running, has_one);
        }
    }
}
