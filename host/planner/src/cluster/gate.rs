//! Which instances of a rollout count as healthy, and which will not become so.

use super::SeenInstance;
use cerebro_model::{InstanceStatus, Phase, Rollout, Timestamp};
use std::time::Duration;

/// How long an instance may take in all until it counts.
pub(super) fn patience(rollout: &Rollout) -> Duration {
    rollout.deadline.duration().saturating_add(rollout.healthy_for.duration())
}

/// Whether an instance is well and has been so for long enough, or has done its work.
pub(super) fn counts(seen: &SeenInstance, rollout: &Rollout, now: Timestamp) -> bool {
    let Some(status) = seen.of_target().filter(|_| seen.is_healthy()) else { return false };
    let well_for = seen.well_for(now).unwrap_or_default();
    // An agent that does not count answers, as one of an older version, is not waited for.
    let has_risen = status.life.passes.is_none_or(|passes| passes >= rollout.rise);
    is_done(seen) || (has_risen && well_for >= rollout.healthy_for.duration())
}

/// Whether an instance has done its work, and has nothing more to show.
pub(super) fn is_done(seen: &SeenInstance) -> bool {
    seen.phase_of_target() == Some(Phase::Completed)
}

/// Why a process will not become healthy, or is not to be waited for; none while it may.
pub(super) fn gave_up(seen: &SeenInstance, rollout: &Rollout) -> Option<String> {
    let status = seen.of_target()?;
    let (id, machine) = (&seen.instance.id, &seen.instance.machine);
    match status.phase {
        Phase::Failed => Some(format!("{id} failed on {machine}: {}", words(status))),
        Phase::Stopped => {
            Some(format!("{id} does not run on {machine}, and is not to: {}", words(status)))
        }
        phase if phase.is_well() => None,
        _ => {
            let life = &status.life;
            let too_often = rollout.max_restarts.limit().is_some_and(|max| life.restarts > max);
            too_often.then(|| {
                format!(
                    "{id} crashes on {machine}: its process was started again {} times, and {}",
                    life.restarts,
                    with_lines(&format!("last {}", life.last_exit), status)
                )
            })
        }
    }
}

/// Why an instance has taken too long; none while it has time. One that has counted before has as long
/// again from when it was last well.
pub(super) fn is_late(
    seen: &SeenInstance,
    rollout: &Rollout,
    gone_by: impl Fn(Timestamp) -> Duration,
) -> Option<String> {
    let counted = seen.was_well().filter(|(longest, _)| *longest >= rollout.healthy_for.duration());
    let since = counted.map_or(seen.instance.since, |(_, last)| last.max(seen.instance.since));
    if gone_by(since) <= patience(rollout) {
        return None;
    }
    let (id, machine) = (&seen.instance.id, &seen.instance.machine);
    let said = seen.status.as_ref().map_or("its machine has said nothing".to_owned(), words);
    let Rollout { deadline, healthy_for, rise, .. } = rollout;
    Some(match (seen.is_healthy(), seen.was_well().is_some(), counted) {
        (true, ..) => format!(
            "{id} was not healthy on {machine} for {healthy_for}, with {rise} good answers in a row of each \
             check, within {deadline}"
        ),
        (false, true, None) => {
            format!(
                "{id} did not stay healthy on {machine} for {healthy_for} within {deadline}: {said}"
            )
        }
        (false, _, Some(_)) => {
            format!("{id} was healthy on {machine}, and not again within {deadline}: {said}")
        }
        (false, false, None) => {
            format!("{id} was not healthy on {machine} within {deadline}: {said}")
        }
    })
}

/// What its machine says of it, with the last lines of its task.
fn words(status: &InstanceStatus) -> String {
    let said = if status.message.is_empty() {
        format!("it is {}", status.phase)
    } else {
        status.message.clone()
    };
    with_lines(&said, status)
}

fn with_lines(said: &str, status: &InstanceStatus) -> String {
    let lines = status.life.last_lines.as_str();
    // A machine's word on a task that it gave up may hold them already.
    match lines.is_empty() || said.contains(lines) {
        true => said.to_owned(),
        false => format!("{said}\n{lines}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

    use super::super::testing::{assignment, at, healthy};
    use super::*;
    use cerebro_model::{Life, MaxRestarts, Seconds};

    fn rollout() -> Rollout {
        let (deadline, healthy_for) = (Seconds::new(20), Seconds::new(5));
        Rollout { deadline, healthy_for, ..Rollout::default() }
    }

    fn hear(seen: &mut SeenInstance, phase: Phase, life: Life, now: i64) {
        let status = seen.status.clone().unwrap();
        seen.hear(InstanceStatus { phase, life, ..status }, at(now));
    }

    #[test]
    fn it_counts_after_its_time_and_a_flap_begins_that_anew() {
        let mut seen = healthy(&assignment(1).instance);
        let counts_at = |seen: &SeenInstance, now| counts(seen, &rollout(), at(now));
        assert!(!counts_at(&seen, 4) && counts_at(&seen, 5));
        hear(&mut seen, Phase::Unhealthy, Life::default(), 6);
        assert!(!counts_at(&seen, 7));
        hear(&mut seen, Phase::Healthy, Life::default(), 8);
        assert!(!counts_at(&seen, 12) && counts_at(&seen, 13));
        hear(&mut seen, Phase::Completed, Life::default(), 14);
        assert!(counts_at(&seen, 14), "work that is done has nothing more to show");
    }

    #[test]
    fn each_check_must_have_risen_where_the_agent_counts() {
        let mut seen = healthy(&assignment(1).instance);
        let asks = Rollout { rise: 3, ..Rollout::default() };
        assert!(counts(&seen, &asks, at(1)), "an agent that does not count is not waited for");
        let life = |passes| Life { passes: Some(passes), ..Life::default() };
        hear(&mut seen, Phase::Healthy, life(2), 1);
        assert!(!counts(&seen, &asks, at(1)));
        hear(&mut seen, Phase::Healthy, life(3), 1);
        assert!(counts(&seen, &asks, at(1)));
    }

    #[test]
    fn a_process_that_ends_again_and_again_is_given_up_with_its_last_lines() {
        let mut seen = healthy(&assignment(1).instance);
        let life = |restarts| Life {
            restarts,
            last_exit: "exited with code 3".to_owned(),
            last_lines: "no database\nbye".to_owned(),
            ..Life::default()
        };
        hear(&mut seen, Phase::Starting, life(2), 1);
        assert_eq!(gave_up(&seen, &rollout()), None);
        hear(&mut seen, Phase::Starting, life(3), 1);
        assert_eq!(
            gave_up(&seen, &rollout()).unwrap(),
            "0.z-1.a.b crashes on m-1: its process was started again 3 times, and last exited with code \
             3\nno database\nbye"
        );
        let patient = Rollout { max_restarts: MaxRestarts::default(), ..rollout() };
        assert_eq!(gave_up(&seen, &patient), None, "who says so waits for the deadline");
        hear(&mut seen, Phase::Healthy, life(9), 2);
        assert_eq!(gave_up(&seen, &rollout()), None, "it did become healthy");
        hear(&mut seen, Phase::Stopped, life(0), 3);
        assert!(gave_up(&seen, &patient).unwrap().contains("does not run on m-1, and is not to"));
    }

    #[test]
    fn one_is_late_after_its_deadline_and_one_that_had_counted_has_it_again() {
        let late = |seen: &SeenInstance, now: i64| {
            is_late(seen, &rollout(), |since: Timestamp| at(now).since(since))
        };
        let mut seen = healthy(&assignment(1).instance);
        hear(&mut seen, Phase::Unhealthy, Life::default(), 4);
        assert_eq!(late(&seen, 25), None);
        let why = late(&seen, 26).unwrap();
        assert!(why.contains("did not stay healthy on m-1 for 5 s within 20 s"), "{why}");

        hear(&mut seen, Phase::Healthy, Life::default(), 10);
        hear(&mut seen, Phase::Unhealthy, Life::default(), 20);
        assert_eq!(late(&seen, 45), None);
        let why = late(&seen, 46).unwrap();
        assert!(why.contains("was healthy on m-1, and not again within 20 s"), "{why}");
    }
}
