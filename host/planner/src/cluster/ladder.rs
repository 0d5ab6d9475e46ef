//! What is tried with a machine that its provider calls running and that does not answer.
//!
//! The rungs are data, lowest first: those that end no task come before those that do. Each is tried so
//! often, at growing distances; whoever answers again in the meantime is no longer silent, and nothing
//! more is tried. Who may have a rung tried that ends tasks is not decided here.

use super::FlapPolicy;
use cerebro_model::{Attempt, Machine, Rung, Timestamp};
use std::time::Duration;

/// How one rung is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The rung.
    pub rung: Rung,
    /// How long the machine must have been silent, or the rung below have had time to help.
    pub after: Duration,
    /// How often in one silence.
    pub attempts: usize,
    /// How long each attempt has time to help.
    pub each: Duration,
}

/// The rungs, lowest first. A machine has three minutes to boot: as long as a slow one of a cloud's takes.
pub const RULES: [Rule; 2] = [
    Rule {
        rung: Rung::RestartAgent,
        after: Duration::from_secs(15),
        attempts: 3,
        each: Duration::from_secs(20),
    },
    Rule {
        rung: Rung::Reboot,
        after: Duration::from_secs(20),
        attempts: 2,
        each: Duration::from_secs(180),
    },
];

/// How long a machine has to come back after the last attempt before it is replaced.
const RESTS: Duration = Duration::from_secs(180);

/// What may be tried: of a locked machine nothing that ends its tasks, and nothing of one that was joined by hand, for
/// there is no provider to try it.
pub fn rules(machine: &Machine) -> &'static [Rule] {
    let harmless = RULES.iter().take_while(|rule| !rule.rung.ends_tasks()).count();
    let count = match (machine.origin.is_joined(), machine.lock.is_some()) {
        (true, _) => 0,
        (false, true) => harmless,
        (false, false) => RULES.len(),
    };
    RULES.get(..count).unwrap_or_default()
}

/// Whether the last attempt in this silence had all the time that there is.
pub fn has_rested(attempts: &[Attempt], silent_since: Timestamp, now: Timestamp) -> bool {
    let last = attempts.iter().map(|it| it.at).filter(|at| *at > silent_since).max();
    now.since(last.unwrap_or(silent_since)) >= RESTS
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Something has time to help.
    Wait,
    /// This is to be tried.
    Try(Rung),
    /// All was tried.
    Exhausted,
}

/// What comes next for a machine that fell silent, after these attempts, in this silence and before.
/// `excused` is how long it may have been silent by its own recipes' doing.
pub fn next(
    rules: &[Rule],
    attempts: &[Attempt],
    flap: &FlapPolicy,
    excused: Duration,
    silent_since: Timestamp,
    now: Timestamp,
) -> Next {
    if now.since(silent_since) < excused {
        return Next::Wait;
    }
    let in_this_silence = || attempts.iter().filter(|it| it.at > silent_since);
    // Also what helped each time is not tried without end.
    let times: Vec<_> = attempts.iter().map(|it| it.at).collect();
    let backs_off = flap.until(&times, now).is_some();
    let last = in_this_silence().map(|it| it.at).max();
    for Rule { rung, after, attempts, each } in rules {
        let tried = in_this_silence().filter(|it| it.rung == *rung);
        let (count, latest) = (tried.clone().count(), tried.map(|it| it.at).max());
        let waited = match latest {
            Some(at) => now.since(at) >= *each,
            None => now.since(last.unwrap_or(silent_since)) >= *after,
        };
        match (count < *attempts, waited && !backs_off) {
            (true, true) => return Next::Try(*rung),
            (true, false) => return Next::Wait,
            // The last one of a rung has its time too.
            (false, _) if !waited => return Next::Wait,
            (false, _) => {}
        }
    }
    Next::Exhausted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing::{at, machine};
    use cerebro_model::Lock;
    use proptest::prelude::*;

    const RESTART: Next = Next::Try(Rung::RestartAgent);
    const REBOOT: Next = Next::Try(Rung::Reboot);

    fn made() -> Machine {
        machine(1, at(0)).1.machine
    }

    fn look(restarts: &[i64], reboots: &[i64], silent: i64, now: i64) -> Next {
        let of = |rung, times: &[i64]| {
            let attempt = move |at_: &i64| Attempt { rung, at: at(*at_), why: String::new() };
            times.iter().map(attempt).collect::<Vec<_>>()
        };
        let attempts = [of(Rung::RestartAgent, restarts), of(Rung::Reboot, reboots)].concat();
        let flap = FlapPolicy::default();
        next(rules(&made()), &attempts, &flap, Duration::ZERO, at(silent), at(now))
    }

    #[test]
    fn each_rung_has_its_attempts_and_each_attempt_its_time() {
        let look = |restarts: &[i64], reboots: &[i64], now| look(restarts, reboots, 0, now);
        assert_eq!(look(&[], &[], 14), Next::Wait);
        assert_eq!(look(&[], &[], 15), RESTART);
        assert_eq!(look(&[15], &[], 34), Next::Wait);
        assert_eq!(look(&[15], &[], 35), RESTART);
        assert_eq!(look(&[15, 35], &[], 55), RESTART);
        // After the third it backs off; then it is rebooted, twice.
        let restarts = [15, 35, 55];
        assert_eq!(look(&restarts, &[], 114), Next::Wait);
        assert_eq!(look(&restarts, &[], 115), REBOOT);
        assert_eq!(look(&restarts, &[115], 294), Next::Wait);
        assert_eq!(look(&restarts, &[115], 295), REBOOT);
        assert_eq!(look(&restarts, &[115, 295], 474), Next::Wait);
        assert_eq!(look(&restarts, &[115, 295], 475), Next::Exhausted);
    }

    #[test]
    fn a_locked_machine_is_not_rebooted_and_has_as_long_before_it_is_replaced() {
        let attempts: Vec<_> = [15, 35, 55]
            .map(|n| Attempt { rung: Rung::RestartAgent, at: at(n), why: String::new() })
            .to_vec();
        let flap = FlapPolicy::default();
        let locked = made().locked(Lock { reason: "evidence".to_owned(), at: at(0) });
        let rules = rules(&locked.expect("an active one can be locked"));
        let look = |now| next(rules, &attempts, &flap, Duration::ZERO, at(0), at(now));
        assert_eq!([look(74), look(75), look(500)], [Next::Wait, Next::Exhausted, Next::Exhausted]);
        assert!(!has_rested(&attempts, at(0), at(234)) && has_rested(&attempts, at(0), at(235)));
        assert!(!has_rested(&attempts, at(60), at(235)), "another silence");
    }

    #[test]
    fn of_one_that_was_joined_by_hand_nothing_is_tried() {
        let joined = made().joined_by_hand("box".to_owned(), at(0));
        assert_eq!(rules(&joined), []);
        let flap = FlapPolicy::default();
        assert_eq!(next(rules(&joined), &[], &flap, Duration::ZERO, at(0), at(1)), Next::Exhausted);
    }

    #[test]
    fn while_a_recipe_may_have_cut_it_off_it_is_left_to_find_out() {
        let (flap, excused) = (FlapPolicy::default(), Duration::from_secs(90));
        let look = |now| next(&RULES, &[], &flap, excused, at(0), at(now));
        assert_eq!([look(20), look(89)], [Next::Wait; 2]);
        assert_eq!(look(90), RESTART);
    }

    #[test]
    fn an_agent_that_keeps_hanging_is_restarted_at_growing_distances() {
        assert_eq!(look(&[15, 100, 200], &[], 220, 240), Next::Wait);
        assert_eq!(look(&[15, 100, 200], &[], 220, 260), RESTART);
        assert_eq!(look(&[15, 100, 200, 260], &[], 300, 379), Next::Wait);
        assert_eq!(look(&[15, 100, 200, 260], &[], 300, 380), RESTART);
    }

    proptest! {
        #[test]
        fn never_more_than_the_rules_allow_and_never_out_of_order(silence in 1i64..20_000) {
            let (mut restarts, mut reboots) = (Vec::new(), Vec::new());
            for now in (0..silence).step_by(5) {
                match look(&restarts, &reboots, 0, now) {
                    RESTART => {
                        let spaced = restarts.last().is_none_or(|last| now - last >= 20);
                        prop_assert!(now >= 15 && spaced && reboots.is_empty());
                        restarts.push(now);
                    }
                    REBOOT => {
                        let spaced = reboots.last().is_none_or(|last| now - last >= 180);
                        prop_assert!(spaced && restarts.len() == 3);
                        reboots.push(now);
                    }
                    _ => {}
                }
            }
            prop_assert!(restarts.len() <= 3 && reboots.len() <= 2);
        }
    }
}
