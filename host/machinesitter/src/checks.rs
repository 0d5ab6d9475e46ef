//! Health checks: when each runs, and what its results mean.

use crate::agent::Agent;
use crate::disk::chain;
use crate::{recipes, sitters, tasks, time};
use cerebro_model::{
    Assignment, CheckAction, CheckKind, EventKind, HealthCheck, InstanceId, Phase, Readiness,
};
use cerebro_recipe_engine::{CheckStatus, beat};
use cerebro_tasksitter::protocol::{Request, TaskState};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// How often an instance is checked that has just started, so that its health is soon known.
const EAGER: Duration = Duration::from_millis(150);
/// No check runs more often.
const SHORTEST: Duration = Duration::from_millis(10);
/// How long a process must have run that no check looks after.
const UNCHECKED: Duration = Duration::from_secs(1);

/// The health of one process.
#[derive(Debug, Default)]
pub struct Health {
    /// One per check; for a job without checks, whether it has lived long enough.
    verdicts: Vec<Verdict>,
    /// Good answers in a row, one per check.
    passes: Vec<u32>,
}

/// What is known from one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Not enough yet; what the last failure said.
    Unknown(String),
    /// It passes.
    Passing,
    /// It has failed too often.
    Failing(String),
}

impl Health {
    /// Nothing is known yet.
    pub fn unknown(checks: usize) -> Self {
        let verdicts = vec![Verdict::Unknown(String::new()); checks.max(1)];
        Self { verdicts, passes: vec![0; checks] }
    }

    /// Takes a verdict.
    pub fn set(&mut self, check: usize, verdict: Verdict) {
        if let Some(known) = self.verdicts.get_mut(check) {
            *known = verdict;
        }
    }

    /// Takes how often a check has passed in a row.
    pub fn rise(&mut self, check: usize, passes: u32) {
        if let Some(known) = self.passes.get_mut(check) {
            *known = passes;
        }
    }

    /// How often the check has passed in a row that has the least; none without checks.
    pub fn passes(&self) -> Option<u32> {
        self.passes.iter().min().copied()
    }

    /// What all of them mean for a process that runs.
    pub fn phase(&self) -> (Phase, String) {
        let mut phase = (Phase::Healthy, String::new());
        for verdict in &self.verdicts {
            match verdict {
                Verdict::Failing(why) => return (Phase::Unhealthy, why.clone()),
                Verdict::Unknown(why) => phase = (Phase::Starting, why.clone()),
                Verdict::Passing => {}
            }
        }
        if self.verdicts.is_empty() { (Phase::Starting, String::new()) } else { phase }
    }
}

/// Counts the results of one check.
#[derive(Debug)]
struct Tally {
    rise: u32,
    fall: u32,
    grace: Duration,
    passes: u32,
    failures: u32,
    verdict: Verdict,
}

impl Tally {
    fn new(check: &HealthCheck) -> Self {
        Self {
            rise: check.rise.max(1),
            fall: check.fall.max(1),
            grace: check.start_grace.duration(),
            passes: 0,
            failures: 0,
            verdict: Verdict::Unknown(String::new()),
        }
    }

    /// Takes the result for a process of this age; answers whether it has just failed too often.
    fn count(&mut self, result: Result<(), String>, age: Duration) -> bool {
        match result {
            Ok(()) => {
                (self.passes, self.failures) = (self.passes.saturating_add(1), 0);
                if self.passes >= self.rise {
                    self.verdict = Verdict::Passing;
                }
                false
            }
            Err(why) => {
                self.passes = 0;
                if matches!(self.verdict, Verdict::Unknown(_)) {
                    self.verdict = Verdict::Unknown(why.clone());
                }
                if age < self.grace {
                    return false;
                }
                self.failures += 1;
                if self.failures < self.fall {
                    return false;
                }
                // Where it is started again, what follows is counted from nothing.
                self.failures = 0;
                self.verdict = Verdict::Failing(why);
                true
            }
        }
    }

    /// From the beginning of one run to that of the next. A young process's health is soon known;
    /// one that takes long to come up is asked less and less often.
    fn pause(&self, check: &HealthCheck, age: Duration, jitter: f64) -> Duration {
        let interval = check.interval.duration().max(SHORTEST);
        match self.verdict {
            Verdict::Unknown(_) => interval.min(EAGER.max(age / 10)),
            _ => interval.mul_f64(0.9 + jitter / 5.0),
        }
    }
}

/// How long after a process is seen its check runs first: so that the checks of all tasks, found
/// at once by an agent that starts, do not run at once.
fn first_pause(check: &HealthCheck, jitter: f64) -> Duration {
    check.interval.duration().min(EAGER).mul_f64(jitter)
}

/// Starts the checks of a process; they end when this is dropped.
pub fn start(agent: &Arc<Agent>, assignment: &Assignment, state: &TaskState) -> JoinSet<()> {
    let mut checks = JoinSet::new();
    let born = Duration::from_micros(state.started_after_boot.unwrap_or(0));
    let job = &assignment.deployment.job;
    for (number, check) in job.health_checks.iter().enumerate() {
        let (agent, assignment, check) = (agent.clone(), assignment.clone(), check.clone());
        checks.spawn(async move { watch(&agent, &assignment, number, &check, born).await });
    }
    if checks.is_empty() {
        let (agent, id) = (agent.clone(), assignment.instance.id.clone());
        // Whoever says that it is ready is to be believed.
        let says_so = job.task_configuration.readiness != Readiness::None;
        let wait = if says_so { Duration::ZERO } else { UNCHECKED.saturating_sub(age(born)) };
        checks.spawn(async move {
            sleep(wait).await;
            agent.table.update(&id, |entry| entry.health.set(0, Verdict::Passing));
        });
    }
    checks
}

/// The age of a process that was born so long after the machine's boot.
fn age(born: Duration) -> Duration {
    time::since_boot().saturating_sub(born)
}

async fn watch(
    agent: &Arc<Agent>,
    assignment: &Assignment,
    number: usize,
    check: &HealthCheck,
    born: Duration,
) {
    let id = &assignment.instance.id;
    let asked_for = assignment.deployment.job.rollout.rise;
    let Some(digest) = assignment.deployment.checks.get(&check.check).copied() else { return };
    let mut tally = Tally::new(check);
    sleep_until(beat(Instant::now() + first_pause(check, time::jitter()))).await;
    loop {
        let begun = Instant::now();
        let within = check.timeout.duration();
        let result = match recipes::check(agent, assignment, digest, &check.options, within).await {
            Ok(report) if report.status == CheckStatus::Critical => Some(Err(report.message)),
            Ok(_) => Some(Ok(())),
            // That a check cannot be run says nothing about the instance, which must not be started
            // again for it; but nobody may call it healthy either.
            Err(error) if !error.has_run() => {
                if let Verdict::Unknown(known) = &mut tally.verdict {
                    *known = format!("check `{}`: {}", check.check, chain(&error));
                    let verdict = tally.verdict.clone();
                    agent.table.update(id, |entry| entry.health.set(number, verdict));
                }
                None
            }
            Err(error) => Some(Err(chain(&error))),
        };
        if let Some(result) = result {
            let result = result.map_err(|why| format!("check `{}`: {why}", check.check));
            if result.is_err() {
                tasks::keep_last_lines(agent, id).await;
            }
            let (before, risen) = (tally.verdict.clone(), tally.passes.min(asked_for));
            let fell = tally.count(result, age(born));
            // More than is asked for is no news.
            let rises = tally.passes.min(asked_for);
            if tally.verdict != before || rises != risen {
                let verdict = tally.verdict.clone();
                agent.table.update(id, |entry| {
                    entry.health.set(number, verdict);
                    entry.health.rise(number, rises);
                });
            }
            if let (true, Verdict::Failing(why)) = (fell, &tally.verdict) {
                act(agent, id, check, why, !matches!(before, Verdict::Failing(_))).await;
            }
        }
        let pause = tally.pause(check, age(born), time::jitter());
        // However long it took: it rests for a moment.
        sleep_until(beat((begun + pause).max(Instant::now() + SHORTEST))).await;
    }
}

/// A check has failed too often; `is_news` if it had not before.
async fn act(agent: &Agent, id: &InstanceId, check: &HealthCheck, why: &str, is_news: bool) {
    let tell = |what: &str| agent.tell_of(id, EventKind::InstancePhase, format!("{what}: {why}"));
    match (check.kind, check.action) {
        (CheckKind::Liveness, CheckAction::Restart) => {
            tell("the task is started again, since it is unhealthy");
            if let Err(error) = sitters::ask(&agent.disk.task_dir(id), Request::Restart).await {
                tracing::warn!(%id, %error, "the task sitter could not be asked to restart");
            }
        }
        (CheckKind::Readiness, _) if is_news => {
            tell("the instance is out of rotation until it can serve again");
        }
        (CheckKind::Liveness, CheckAction::Warn) if is_news => {
            tell("the task is unhealthy, and left alone as its job says");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tally() -> Tally {
        let grace = Duration::from_secs(5);
        let verdict = Verdict::Unknown(String::new());
        Tally { rise: 2, fall: 3, grace, passes: 0, failures: 0, verdict }
    }

    #[test]
    fn it_rises_and_falls_in_a_row() {
        let (mut tally, old) = (tally(), Duration::from_secs(60));
        let bad = || Err("closed".to_owned());
        let given = [Ok(()), bad(), Ok(()), Ok(())];
        assert!(given.into_iter().all(|result| !tally.count(result, old)));
        assert_eq!(tally.verdict, Verdict::Passing);
        let fell: Vec<_> = [bad(), bad(), Ok(()), bad(), bad(), bad()]
            .into_iter()
            .map(|result| tally.count(result, old))
            .collect();
        assert_eq!(fell, [false, false, false, false, false, true]);
        assert_eq!(tally.verdict, Verdict::Failing("closed".to_owned()));
    }

    #[test]
    fn failures_of_a_young_process_do_not_count() {
        let mut tally = tally();
        for _ in 0..9 {
            assert!(!tally.count(Err("not yet".to_owned()), Duration::from_secs(4)));
        }
        assert_eq!(tally.verdict, Verdict::Unknown("not yet".to_owned()));
    }

    #[test]
    fn a_check_recovers_after_it_fell() {
        let (mut tally, old) = (tally(), Duration::from_secs(60));
        let fell = (0..3).map(|_| tally.count(Err("full".to_owned()), old));
        assert!(fell.fold(false, |_, last| last));
        assert_eq!(tally.verdict, Verdict::Failing("full".to_owned()));
        tally.count(Ok(()), old);
        assert_eq!(tally.verdict, Verdict::Failing("full".to_owned()));
        tally.count(Ok(()), old);
        assert_eq!(tally.verdict, Verdict::Passing);
    }

    #[test]
    fn runs_are_soon_at_first_then_spread_around_the_interval() {
        let check = json!({ "check": "c", "interval": 10 });
        let check: HealthCheck = serde_json::from_value(check).unwrap();
        let mut tally = tally();
        let pause =
            |tally: &Tally, age, jitter| tally.pause(&check, Duration::from_secs(age), jitter);
        assert_eq!(pause(&tally, 0, 0.5), EAGER);
        assert_eq!(pause(&tally, 20, 0.5), Duration::from_secs(2));
        assert_eq!(pause(&tally, 500, 0.5), Duration::from_secs(10));
        tally.verdict = Verdict::Passing;
        assert_eq!(pause(&tally, 0, 0.0), Duration::from_secs(9));
        assert_eq!(pause(&tally, 0, 1.0), Duration::from_secs(11));
        assert!(first_pause(&check, 1.0) <= EAGER);
    }

    #[test]
    fn healthy_is_what_passes_every_check() {
        let mut health = Health::unknown(2);
        health.set(0, Verdict::Passing);
        assert_eq!(health.phase().0, Phase::Starting);
        health.set(1, Verdict::Passing);
        assert_eq!(health.phase().0, Phase::Healthy);
        health.rise(0, 3);
        assert_eq!(health.passes(), Some(0), "the one that has the least");
        health.rise(1, 2);
        assert_eq!((health.passes(), Health::unknown(0).passes()), (Some(2), None));
        health.set(0, Verdict::Failing("why".to_owned()));
        assert_eq!(health.phase(), (Phase::Unhealthy, "why".to_owned()));
    }
}
