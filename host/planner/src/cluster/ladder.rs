//! What is tried with a machine that its provider calls running and that does not answer.
//!
//! The rungs are data, lowest first. Each is tried so often, at growing distances; whoever answers again
//! in the meantime is no longer silent, and nothing more is tried. A rung that ends tasks is not among
//! them: a controller cannot tell a machine that hangs from one that only it cannot reach.

use super::FlapPolicy;
use cerebro_model::{Attempt, Rung, Timestamp};
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

/// The rungs, lowest first.
pub const RULES: [Rule; 1] = [Rule {
    rung: Rung::RestartAgent,
    after: Duration::from_secs(15),
    attempts: 3,
    each: Duration::from_secs(20),
}];

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
    use crate::cluster::testing::at;
    use proptest::prelude::*;

    fn attempt(seconds: i64) -> Attempt {
        Attempt { rung: Rung::RestartAgent, at: at(seconds), why: String::new() }
    }

    fn look(attempts: &[i64], silent: i64, now: i64) -> Next {
        let attempts: Vec<_> = attempts.iter().copied().map(attempt).collect();
        next(&RULES, &attempts, &FlapPolicy::default(), Duration::ZERO, at(silent), at(now))
    }

    #[test]
    fn each_rung_has_its_attempts_and_each_attempt_its_time() {
        let restart = Next::Try(Rung::RestartAgent);
        assert_eq!(look(&[], 0, 14), Next::Wait);
        assert_eq!(look(&[], 0, 15), restart);
        assert_eq!(look(&[15], 0, 34), Next::Wait);
        assert_eq!(look(&[15], 0, 35), restart);
        assert_eq!(look(&[15, 35], 0, 55), restart);
        assert_eq!(look(&[15, 35, 55], 0, 60), Next::Wait);
        // After the third it backs off, and all was tried.
        assert_eq!(look(&[15, 35, 55], 0, 120), Next::Exhausted);
    }

    #[test]
    fn while_a_recipe_may_have_cut_it_off_it_is_left_to_find_out() {
        let (flap, excused) = (FlapPolicy::default(), Duration::from_secs(90));
        let look = |now| next(&RULES, &[], &flap, excused, at(0), at(now));
        assert_eq!([look(20), look(89)], [Next::Wait; 2]);
        assert_eq!(look(90), Next::Try(Rung::RestartAgent));
    }

    #[test]
    fn an_agent_that_keeps_hanging_is_restarted_at_growing_distances() {
        assert_eq!(look(&[15, 100, 200], 220, 240), Next::Wait);
        assert_eq!(look(&[15, 100, 200], 220, 260), Next::Try(Rung::RestartAgent));
        assert_eq!(look(&[15, 100, 200, 260], 300, 379), Next::Wait);
        assert_eq!(look(&[15, 100, 200, 260], 300, 380), Next::Try(Rung::RestartAgent));
    }

    proptest! {
        #[test]
        fn never_more_than_the_rules_allow(silence in 1i64..20_000) {
            let mut attempts = Vec::new();
            for now in (0..silence).step_by(5) {
                if look(&attempts, 0, now) == Next::Try(Rung::RestartAgent) {
                    prop_assert!(now >= 15 && attempts.last().is_none_or(|last| now - last >= 20));
                    attempts.push(now);
                }
            }
            prop_assert!(attempts.len() <= 3);
        }
    }
}
