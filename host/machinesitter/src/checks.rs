//! Health checks: when each runs, and what its results mean.

use crate::agent::Agent;
use crate::disk::chain;
use crate::{recipes, tasks, time};
use cerebro_model::{Assignment, EventKind, HealthCheck, Phase};
use cerebro_recipe_engine::CheckStatus;
use cerebro_tasksitter::protocol::{Request, TaskState};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// How often an instance is checked that has just started, so that its health is soon known.
const EAGER: Duration = Duration::from_millis(150);
/// How long a process must have run that no check looks after.
const UNCHECKED: Duration = Duration::from_secs(1);

/// The health of one process.
#[derive(Debug, Default)]
pub struct Health {
    /// One per check; for a job without checks, whether it has lived long enough.
    verdicts: Vec<Verdict>,
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
        Self { verdicts: vec![Verdict::Unknown(String::new()); checks.max(1)] }
    }

    /// Takes a verdict.
    pub fn set(&mut self, check: usize, verdict: Verdict) {
        if let Some(known) = self.verdicts.get_mut(check) {
            *known = verdict;
        }
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
                // It is about to be started again: what follows is counted from nothing.
                self.failures = 0;
                self.verdict = Verdict::Failing(why);
                true
            }
        }
    }

    fn pause(&self, check: &HealthCheck) -> Duration {
        let interval = check.interval.duration().max(Duration::from_millis(10));
        match self.verdict {
            Verdict::Unknown(_) => interval.min(EAGER),
            _ => interval.mul_f64(0.9 + time::jitter() / 5.0),
        }
    }
}

/// Starts the checks of a process; they end when this is dropped.
pub fn start(agent: &Arc<Agent>, assignment: &Assignment, state: &TaskState) -> JoinSet<()> {
    let mut checks = JoinSet::new();
    let begun = age_of(state);
    let started = SystemTime::now() - begun;
    for (number, check) in assignment.deployment.job.health_checks.iter().enumerate() {
        let (agent, assignment, check) = (agent.clone(), assignment.clone(), check.clone());
        checks.spawn(async move { watch(&agent, &assignment, number, &check, started).await });
    }
    if checks.is_empty() {
        let (agent, id) = (agent.clone(), assignment.instance.id.clone());
        checks.spawn(async move {
            sleep(UNCHECKED.saturating_sub(begun)).await;
            agent.table.update(&id, |entry| entry.health.set(0, Verdict::Passing));
        });
    }
    checks
}

fn age_of(state: &TaskState) -> Duration {
    let started = Duration::from_micros(state.started_at.unwrap_or(u64::MAX));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(started)
}

async fn watch(
    agent: &Arc<Agent>,
    assignment: &Assignment,
    number: usize,
    check: &HealthCheck,
    started: SystemTime,
) {
    let id = &assignment.instance.id;
    let Some(digest) = assignment.deployment.checks.get(&check.check).copied() else { return };
    let mut tally = Tally::new(check);
    loop {
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
        let age = started.elapsed().unwrap_or_default();
        if let Some(result) = result {
            let result = result.map_err(|why| format!("check `{}`: {why}", check.check));
            let (before, fell) = (tally.verdict.clone(), tally.count(result, age));
            if tally.verdict != before {
                let verdict = tally.verdict.clone();
                agent.table.update(id, |entry| entry.health.set(number, verdict));
            }
            if let (true, Verdict::Failing(why)) = (fell, &tally.verdict) {
                let message = format!("the task is started again, since it is unhealthy: {why}");
                agent.tell_of(id, EventKind::InstancePhase, message);
                if let Err(error) = tasks::ask(&agent.disk.task_dir(id), Request::Restart).await {
                    tracing::warn!(%id, %error, "the task sitter could not be asked to restart");
                }
            }
        }
        sleep(tally.pause(check)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn healthy_is_what_passes_every_check() {
        let mut health = Health::unknown(2);
        health.set(0, Verdict::Passing);
        assert_eq!(health.phase().0, Phase::Starting);
        health.set(1, Verdict::Passing);
        assert_eq!(health.phase().0, Phase::Healthy);
        health.set(0, Verdict::Failing("why".to_owned()));
        assert_eq!(health.phase(), (Phase::Unhealthy, "why".to_owned()));
    }
}
