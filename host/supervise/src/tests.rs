use super::*;
use proptest::prelude::*;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn policy() -> Policy {
    Policy {
        ensure_alive: true,
        allow_exit: false,
        restart: true,
        max_restarts: None,
        time_limit: None,
        stop_grace: s(10),
    }
}

fn started(policy: Policy) -> Watch {
    let mut watch = Watch::new(policy, 0);
    assert_eq!(watch.step(Event::Begin, s(0), 0.0), [Effect::Start]);
    watch
}

fn crash() -> Event {
    Event::Ended(Exit::Code(1))
}

#[test]
fn the_first_restart_comes_at_once_and_later_ones_keep_their_distance() {
    let mut watch = started(policy());
    assert_eq!(watch.step(crash(), s(0), 1.0), [Effect::KillTree, Effect::Start]);
    assert_eq!(watch.step(crash(), s(0), 1.0), [Effect::KillTree]);
    assert_eq!(watch.deadline(), Some(FIRST_WAIT));
    assert_eq!(watch.step(Event::Tick, s(0), 1.0), []);
    assert_eq!(watch.step(Event::Tick, s(1), 1.0), [Effect::Start]);
    assert_eq!(watch.step(crash(), s(1), 1.0), [Effect::KillTree]);
    assert_eq!(watch.deadline(), Some(s(1) + 2 * FIRST_WAIT));
    assert_eq!(watch.step(Event::Tick, s(2), 1.0), [Effect::Start]);
    // It lived longer than the next distance is.
    assert_eq!(watch.step(crash(), s(3), 1.0), [Effect::KillTree, Effect::Start]);
    // It lived long enough: as if nothing had been.
    assert_eq!(watch.step(crash(), s(13), 1.0), [Effect::KillTree, Effect::Start]);
    assert_eq!(watch.step(crash(), s(13), 1.0), [Effect::KillTree]);
    assert_eq!(watch.deadline(), Some(s(13) + FIRST_WAIT));
    assert_eq!(watch.restarts(), 6);
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
    assert_eq!(*watch.phase(), Phase::Failed);
}

#[test]
fn it_is_given_up_after_so_many_restarts() {
    let mut watch = started(Policy { max_restarts: Some(1), ..policy() });
    watch.step(crash(), s(1), 0.0);
    watch.step(crash(), s(2), 0.0);
    assert_eq!(*watch.phase(), Phase::Failed);
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
    for (restart, phase) in [(true, Phase::Running { since: s(6) }), (false, Phase::Failed)] {
        let mut watch = started(Policy { time_limit: Some(s(5)), restart, ..policy() });
        assert_eq!(watch.step(Event::Tick, s(5), 0.0), [Effect::AskToStop]);
        watch.step(Event::Ended(Exit::Signal(15)), s(6), 0.0);
        assert_eq!(*watch.phase(), phase);
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Ended(Exit::Code(0))),
        Just(crash()),
        Just(Event::Tick),
        Just(Event::Stop),
        Just(Event::Restart),
    ]
}

proptest! {
    #[test]
    fn never_two_at_a_time_and_none_after_a_stop(
        events in proptest::collection::vec((any_event(), 0u64..40), 1..60),
        max in proptest::option::of(0u32..4),
        allow_exit: bool,
    ) {
        let mut watch = started(Policy { max_restarts: max, allow_exit, ..policy() });
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
                Event::Restart => false,
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
