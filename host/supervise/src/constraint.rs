//! Constraints: what a process tree may use, measured against its limit.
//!
//! A constraint says what share of its limit is used. At each warning threshold that is newly
//! reached, and when the limit itself was broken for as long as it may be, there is a
//! [`Finding`]; what the watch does about a violation is the rule's [`Action`].

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Something that is limited, by the original's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Constraint {
    /// Cores.
    Cpu,
    /// Memory.
    Mem,
    /// Lifetime.
    TimeLimit,
}

impl Constraint {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Mem, Self::TimeLimit];

    /// Its place in tables of all of them.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Mem => "mem",
            Self::TimeLimit => "time-limit",
        })
    }
}

/// What follows a violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It is told and counted, and nothing else.
    Warn,
    /// The process is ended; whether it starts again is `restart`'s to say.
    Restart,
    /// The process is ended, and stays so.
    Kill,
}

/// What is thought of one constraint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Percent of the limit at which to warn, each once until the use falls below it again.
    #[serde(default)]
    pub warn_at: Vec<f64>,
    /// How long the limit may be broken before it counts as a violation.
    #[serde(default)]
    pub hold: Duration,
    /// What follows a violation.
    pub action: Action,
}

impl Rule {
    /// Ends what breaks its limit, at once.
    pub const fn new(action: Action) -> Self {
        Self { warn_at: Vec::new(), hold: Duration::ZERO, action }
    }
}

/// The rules of all constraints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Of CPU. Where the kernel enforces the limit, a violation is a tree that wants more.
    pub cpu: Rule,
    /// Of memory. Where the kernel enforces the limit, it has killed by the time that this counts.
    pub mem: Rule,
    /// Of the lifetime.
    pub time_limit: Rule,
    /// How long it may live.
    pub lifetime: Option<Duration>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            cpu: Rule { hold: Duration::from_secs(10), ..Rule::new(Action::Warn) },
            mem: Rule::new(Action::Restart),
            time_limit: Rule::new(Action::Restart),
            lifetime: None,
        }
    }
}

impl Rules {
    /// The rule of one constraint.
    pub fn of(&self, constraint: Constraint) -> &Rule {
        match constraint {
            Constraint::Cpu => &self.cpu,
            Constraint::Mem => &self.mem,
            Constraint::TimeLimit => &self.time_limit,
        }
    }

    /// Whether anything would come of measuring CPU or memory while the kernel enforces the limit.
    pub fn want_measures(&self) -> bool {
        !self.cpu.warn_at.is_empty() || !self.mem.warn_at.is_empty()
    }
}

/// Something that was found by measuring.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// A warning threshold was reached.
    Warned {
        /// Of what.
        constraint: Constraint,
        /// The threshold, in percent of the limit.
        threshold: f64,
    },
    /// A limit was broken for as long as it may be.
    Violated {
        /// Which.
        constraint: Constraint,
    },
}

/// What is remembered of one constraint between measures.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Memory {
    /// The highest threshold that was warned of, and that the use has not fallen below since.
    warned: f64,
    broken_since: Option<Duration>,
}

/// Judges measures of one life by the rules.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Judge {
    memory: [Memory; Constraint::ALL.len()],
    /// The lifetime's end was found already.
    too_old: bool,
}

impl Judge {
    /// `share` of the limit is used, 1 being all of it; above it is broken.
    pub fn measure(
        &mut self,
        rules: &Rules,
        constraint: Constraint,
        share: f64,
        now: Duration,
    ) -> Vec<Finding> {
        let rule = rules.of(constraint);
        let mut found = self.warn(rule, constraint, share);
        let memory = &mut self.memory[constraint.index()];
        if share <= 1.0 {
            memory.broken_since = None;
        } else if now.saturating_sub(*memory.broken_since.get_or_insert(now)) >= rule.hold {
            // What follows is counted from nothing.
            memory.broken_since = None;
            found.push(Finding::Violated { constraint });
        }
        found
    }

    /// The process has lived since `since`.
    pub fn age(&mut self, rules: &Rules, since: Duration, now: Duration) -> Vec<Finding> {
        let Some(limit) = rules.lifetime else { return Vec::new() };
        let age = now.saturating_sub(since);
        let share = age.as_secs_f64() / limit.as_secs_f64().max(f64::MIN_POSITIVE);
        let constraint = Constraint::TimeLimit;
        let mut found = self.warn(&rules.time_limit, constraint, share);
        if age >= limit.saturating_add(rules.time_limit.hold) && !self.too_old {
            self.too_old = true;
            found.push(Finding::Violated { constraint });
        }
        found
    }

    /// When a lifetime that began at `since` reaches its next threshold, or its end.
    pub fn next_age(&self, rules: &Rules, since: Duration) -> Option<Duration> {
        let limit = rules.lifetime?;
        let warned = self.memory[Constraint::TimeLimit.index()].warned;
        let thresholds = rules.time_limit.warn_at.iter().filter(|at| **at > warned);
        // A microsecond late, so that rounding does not find it a little short.
        let next = thresholds.copied().reduce(f64::min).map(|percent| {
            since + limit.mul_f64(percent.max(0.0) / 100.0) + Duration::from_micros(1)
        });
        let end = (!self.too_old).then(|| since + limit.saturating_add(rules.time_limit.hold));
        next.into_iter().chain(end).min()
    }

    fn warn(&mut self, rule: &Rule, constraint: Constraint, share: f64) -> Vec<Finding> {
        let memory = &mut self.memory[constraint.index()];
        let reached = rule.warn_at.iter().copied().filter(|threshold| share * 100.0 >= *threshold);
        let threshold = reached.fold(0.0, f64::max);
        let is_new = threshold > memory.warned;
        memory.warned = threshold;
        is_new.then_some(Finding::Warned { constraint, threshold }).into_iter().collect()
    }
}
