//! The watch: what follows from each event.

use crate::constraint::{Action, Constraint, Finding, Judge};
use crate::{Effect, Event, Exit, Phase, Policy, Reason, Then};
use std::collections::VecDeque;
use std::time::Duration;

/// What an earlier watch over the same task has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Past {
    /// Restarts.
    pub restarts: u32,
    /// Violations, by [`Constraint::index`].
    pub violations: [u32; Constraint::ALL.len()],
}

/// The watch over one process.
#[derive(Debug, Clone, PartialEq)]
pub struct Watch {
    policy: Policy,
    phase: Phase,
    restarts: u32,
    /// Restarts since the process last lived long enough.
    streak: u32,
    /// When the last restarts were, as many as [`crate::Flap`] counts.
    recent: VecDeque<Duration>,
    /// When the watchdog bites.
    well_until: Option<Duration>,
    judge: Judge,
    violations: [u32; Constraint::ALL.len()],
}

impl Watch {
    /// A watch over a task with a past.
    pub fn new(policy: Policy, past: Past) -> Self {
        Self {
            policy,
            phase: Phase::Idle,
            restarts: past.restarts,
            streak: 0,
            recent: VecDeque::new(),
            well_until: None,
            judge: Judge::default(),
            violations: past.violations,
        }
    }

    /// A watch over a process that was stopped, or given up, and is to stay so.
    pub fn resting(policy: Policy, past: Past, failed: Option<Reason>) -> Self {
        let phase = failed.map_or(Phase::Stopped, Phase::Failed);
        Self { phase, ..Self::new(policy, past) }
    }

    /// Where it stands.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// How often it was started again.
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// How often each limit was broken, by [`Constraint::index`].
    pub fn violations(&self) -> [u32; Constraint::ALL.len()] {
        self.violations
    }

    /// When a [`Event::Tick`] is due, if nothing else happens.
    pub fn deadline(&self) -> Option<Duration> {
        match self.phase {
            Phase::Running { since, ready } => {
                let age = self.judge.next_age(&self.policy.rules, since);
                let ready =
                    self.policy.ready_within.filter(|_| !ready).map(|within| since + within);
                [age, ready, self.well_until].into_iter().flatten().min()
            }
            Phase::BackingOff { until } => Some(until),
            Phase::Stopping { kill_at, .. } => Some(kill_at),
            Phase::Idle | Phase::Stopped | Phase::Failed(_) => None,
        }
    }

    /// What follows from an event. `jitter`, from 0 to 1, spreads the waits of many.
    pub fn step(&mut self, event: Event, now: Duration, jitter: f64) -> Vec<Effect> {
        match (event, self.phase.clone()) {
            (Event::Begin, Phase::Idle) => self.start(now),
            (Event::Adopted { since, ready }, Phase::Idle) => {
                self.begin_life(since, ready);
                self.well_until = self.policy.watchdog.map(|within| now + within);
                Vec::new()
            }
            (Event::Ended(exit), Phase::Running { since, .. }) => {
                self.ended(&exit, since, now, jitter)
            }
            (Event::Ended(_), Phase::Stopping { then, .. }) => match then {
                Then::Rest => self.rest(Phase::Stopped),
                Then::Start => {
                    self.restarts += 1;
                    self.and_start(now)
                }
                Then::Violation(reason) if !self.policy.restart => self.rest(Phase::Failed(reason)),
                // It has used up its distance by living until now.
                Then::Violation(_) => self.again(now, now, jitter),
                Then::GiveUp(reason) => self.rest(Phase::Failed(reason)),
            },
            (Event::Tick, Phase::Running { since, ready }) => self.tick(since, ready, now),
            (Event::Tick, Phase::BackingOff { until }) if now >= until => self.start(now),
            (Event::Tick, Phase::Stopping { kill_at, .. }) if now >= kill_at => {
                vec![Effect::KillTree]
            }
            (Event::Ready, Phase::Running { since, .. }) => {
                self.phase = Phase::Running { since, ready: true };
                Vec::new()
            }
            (Event::Alive, Phase::Running { .. }) => {
                self.well_until = self.policy.watchdog.map(|within| now + within);
                Vec::new()
            }
            (Event::Measured(constraint, share), Phase::Running { .. }) => {
                let found = self.judge.measure(&self.policy.rules, constraint, share, now);
                self.found(found, now)
            }
            (Event::Start, Phase::BackingOff { .. } | Phase::Stopped | Phase::Failed(_)) => {
                (self.streak, self.recent) = (0, VecDeque::new());
                self.start(now)
            }
            (Event::Stop, Phase::Running { .. }) => self.ask_to_stop(Then::Rest, now),
            (Event::Stop, Phase::Stopping { kill_at, .. }) => {
                self.phase = Phase::Stopping { kill_at, then: Then::Rest };
                Vec::new()
            }
            (Event::Stop, Phase::Idle | Phase::BackingOff { .. }) => self.rest(Phase::Stopped),
            (Event::Restart, Phase::Running { .. }) => self.ask_to_stop(Then::Start, now),
            (Event::Start | Event::Restart, Phase::Stopping { kill_at, .. }) => {
                self.phase = Phase::Stopping { kill_at, then: Then::Start };
                Vec::new()
            }
            (Event::Restart, Phase::BackingOff { .. } | Phase::Stopped | Phase::Failed(_)) => {
                self.step(Event::Start, now, jitter)
            }
            // Whatever else comes, comes too late to matter.
            _ => Vec::new(),
        }
    }

    /// A time has come; the first that did decides.
    fn tick(&mut self, since: Duration, ready: bool, now: Duration) -> Vec<Effect> {
        let late = self.policy.ready_within.is_some_and(|within| !ready && now >= since + within);
        if late {
            return self.ask_to_stop(Then::Violation(Reason::NotReady), now);
        }
        if self.well_until.is_some_and(|until| now >= until) {
            self.ask_to_stop(Then::Violation(Reason::Watchdog), now);
            return vec![Effect::Abort];
        }
        let found = self.judge.age(&self.policy.rules, since, now);
        self.found(found, now)
    }

    /// Counts what was found, tells of it, and does what the rules say.
    fn found(&mut self, findings: Vec<Finding>, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        for finding in findings {
            effects.push(Effect::Tell(finding.clone()));
            let Finding::Violated { constraint } = finding else { continue };
            self.violations[constraint.index()] += 1;
            let reason = Reason::Violation(constraint);
            match self.policy.rules.of(constraint).action {
                Action::Warn => {}
                Action::Restart => effects.extend(self.ask_to_stop(Then::Violation(reason), now)),
                Action::Kill => effects.extend(self.ask_to_stop(Then::GiveUp(reason), now)),
            }
        }
        effects
    }

    fn begin_life(&mut self, since: Duration, ready: bool) {
        // Who need not say so is ready at once.
        let ready = ready || self.policy.ready_within.is_none();
        self.phase = Phase::Running { since, ready };
        self.judge = Judge::default();
        self.well_until = self.policy.watchdog.map(|within| since + within);
    }

    fn start(&mut self, now: Duration) -> Vec<Effect> {
        self.begin_life(now, false);
        vec![Effect::Start]
    }

    /// Nothing of the old tree may be there when the new one starts.
    fn and_start(&mut self, now: Duration) -> Vec<Effect> {
        self.begin_life(now, false);
        vec![Effect::KillTree, Effect::Start]
    }

    fn rest(&mut self, phase: Phase) -> Vec<Effect> {
        self.phase = phase;
        vec![Effect::KillTree]
    }

    fn ask_to_stop(&mut self, then: Then, now: Duration) -> Vec<Effect> {
        self.phase = Phase::Stopping { kill_at: now + self.policy.stop_grace, then };
        vec![Effect::AskToStop]
    }

    /// It ended by itself, or by a stranger's hand.
    fn ended(&mut self, exit: &Exit, since: Duration, now: Duration, jitter: f64) -> Vec<Effect> {
        if *exit == Exit::OutOfMemory {
            return self.ran_out_of_memory(since, now, jitter);
        }
        let well = *exit == Exit::Code(0);
        if !self.policy.ensure_alive || (self.policy.allow_exit && well) {
            return self.rest(if well { Phase::Stopped } else { Phase::Failed(Reason::Ended) });
        }
        self.again(since, now, jitter)
    }

    /// The kernel has done what the rule would have: now `restart` decides.
    fn ran_out_of_memory(&mut self, since: Duration, now: Duration, jitter: f64) -> Vec<Effect> {
        let constraint = Constraint::Mem;
        self.violations[constraint.index()] += 1;
        let stays = self.policy.rules.mem.action == Action::Kill || !self.policy.restart;
        let effects = match stays {
            true => self.rest(Phase::Failed(Reason::Violation(constraint))),
            false => self.again(since, now, jitter),
        };
        std::iter::once(Effect::Tell(Finding::Violated { constraint })).chain(effects).collect()
    }

    /// Starts it again, unless that was often enough; `since` is where its distance counts from. The
    /// end of one that had settled is none of a row.
    fn again(&mut self, since: Duration, now: Duration, jitter: f64) -> Vec<Effect> {
        if self.policy.max_restarts.is_some_and(|max| self.restarts >= max) {
            return self.rest(Phase::Failed(Reason::MaxRestarts));
        }
        if self.flaps(now) {
            return self.rest(Phase::Failed(Reason::Flapping));
        }
        self.restarts += 1;
        let settled = now.saturating_sub(since) >= self.policy.back_off.settle;
        self.streak = if settled { 0 } else { self.streak.saturating_add(1) };
        let until = since + self.policy.back_off.distance(self.streak, jitter);
        if until <= now {
            return self.and_start(now);
        }
        self.phase = Phase::BackingOff { until };
        vec![Effect::KillTree]
    }

    /// Counts a restart; answers whether it is one too many.
    fn flaps(&mut self, now: Duration) -> bool {
        let Some(flap) = &self.policy.flap else { return false };
        self.recent.retain(|at| now.saturating_sub(*at) < flap.window);
        self.recent.push_back(now);
        self.recent.len() > flap.restarts as usize
    }
}
