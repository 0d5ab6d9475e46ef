//! How fast, and how much, at most.

use cerebro_model::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// So many within a time: a share of those that there are, and a number that small ones always have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// The time.
    pub window: Duration,
    /// What is allowed however few there are.
    pub at_least: u32,
    /// What is allowed of many, in percent.
    pub percent: u32,
}

impl Rate {
    /// No limit that anything meets.
    pub const NONE: Self = Self { window: Duration::ZERO, at_least: u32::MAX, percent: 100 };

    const fn new(seconds: u64, at_least: u32, percent: u32) -> Self {
        Self { window: Duration::from_secs(seconds), at_least, percent }
    }

    /// How many of `all` are allowed.
    pub fn most(&self, all: u32) -> u32 {
        let share = u64::from(all) * u64::from(self.percent) / 100;
        u32::try_from(share).unwrap_or(u32::MAX).max(self.at_least)
    }

    /// The window, for a person.
    fn within(&self) -> String {
        match self.window.as_secs() {
            day if day >= 86_400 => format!("{} h", day / 3600),
            minutes if minutes >= 60 => format!("{} min", minutes / 60),
            seconds => format!("{seconds} s"),
        }
    }
}

/// What the brakes allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Machines given up in a zone, of those that it has.
    pub zone_losses: [Rate; 2],
    /// Machines given up in the whole cluster.
    pub cluster_losses: Rate,
    /// Machines made in a zone, of those that it may have.
    pub zone_births: Rate,
    /// Machines given up in a zone within which replacements are made; of those that it may have.
    pub zone_repairs: Rate,
    /// Instances of a job that are placed again because their machine was given up; of those that
    /// the job has.
    pub job_repairs: Rate,
    /// When something that keeps happening is a flap.
    pub flap: FlapPolicy,
    /// Whether repairs are only proposed, unless a person has said otherwise since.
    pub observe_only: bool,
}

impl Default for Limits {
    /// One machine of a hundred each ten seconds, one of five each ten minutes; small zones lose one,
    /// and three. A day's repairs make no more machines than there may be.
    fn default() -> Self {
        Self {
            zone_losses: [Rate::new(10, 1, 1), Rate::new(600, 3, 20)],
            cluster_losses: Rate::new(600, 5, 20),
            zone_births: Rate::new(600, 10, 100),
            zone_repairs: Rate::new(86_400, 20, 100),
            job_repairs: Rate::new(86_400, 20, 300),
            flap: FlapPolicy::default(),
            observe_only: false,
        }
    }
}

impl Limits {
    /// Whatever dies is given up and replaced at once: for measurements.
    pub fn none() -> Self {
        let none = Rate::NONE;
        Self {
            zone_losses: [none; 2],
            cluster_losses: none,
            zone_births: none,
            zone_repairs: none,
            job_repairs: none,
            flap: FlapPolicy { free: usize::MAX, ..FlapPolicy::default() },
            observe_only: false,
        }
    }
}

/// When something that keeps happening is a flap, and how long it is left alone then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlapPolicy {
    /// What lies further back is forgotten.
    pub memory: Duration,
    /// So often nothing is thought of it.
    pub free: usize,
    /// The wait after the next one; it doubles with each.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
}

impl Default for FlapPolicy {
    fn default() -> Self {
        let hour = Duration::from_secs(3600);
        Self { memory: hour, free: 2, first: Duration::from_secs(60), longest: hour }
    }
}

impl FlapPolicy {
    /// Until when something is left alone that happened at these times; none if it is not.
    pub fn until(&self, times: &[Timestamp], now: Timestamp) -> Option<Timestamp> {
        let recent = || times.iter().filter(|at| now.since(**at) < self.memory);
        let last = *recent().max()?;
        let over = recent().count().checked_sub(self.free)?.checked_sub(1)?;
        let doubled = 1u32.checked_shl(u32::try_from(over).ok()?).unwrap_or(u32::MAX);
        let until = last.after(self.first.saturating_mul(doubled).min(self.longest));
        (now < until).then_some(until)
    }
}

/// How much of a rate is used up.
#[derive(Debug)]
pub(super) struct Meter {
    rate: Rate,
    most: u32,
    used: u32,
}

impl Meter {
    /// Of `all`, where these happened before.
    pub fn new(
        rate: Rate,
        all: u32,
        times: impl Iterator<Item = Timestamp>,
        now: Timestamp,
    ) -> Self {
        // One that lies in the future, as after a clock was set back, counts as now.
        let used = times.filter(|at| now.since(*at) < rate.window).count();
        Self { rate, most: rate.most(all), used: u32::try_from(used).unwrap_or(u32::MAX) }
    }

    /// Why there can be no more, if there cannot.
    pub fn full(&self, what: &str) -> Option<String> {
        (self.used >= self.most).then(|| {
            let Self { rate, most, used } = self;
            format!("{used} of {most} allowed {what} in the last {}", rate.within())
        })
    }

    /// How much of it is used up, for a person.
    pub fn words(&self) -> String {
        let Self { rate, most, used } = self;
        format!("{used} of {most} in {}", rate.within())
    }

    pub fn count(&mut self) {
        self.used = self.used.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing::at;

    #[test]
    fn a_rate_is_a_share_with_a_floor() {
        let rate = Rate::new(600, 3, 20);
        assert_eq!([0, 1, 15, 16, 50, 5000].map(|all| rate.most(all)), [3, 3, 3, 3, 10, 1000]);
        let times = [0, 500, 590].map(at);
        let meter = |now| Meter::new(rate, 5, times.into_iter(), at(now));
        assert_eq!(
            meter(599).full("machines were given up").unwrap(),
            "3 of 3 allowed machines were given up in the last 10 min"
        );
        assert!(meter(600).full("").is_none());
        // A clock that was set back frees nothing.
        assert!(meter(100).full("").is_some());
        let mut meter = meter(600);
        meter.count();
        assert!(meter.full("").is_some());
        assert!(Meter::new(Rate::NONE, 0, times.into_iter(), at(1)).full("").is_none());
    }

    #[test]
    fn what_keeps_happening_is_left_alone_for_longer_and_longer() {
        let flap = FlapPolicy::default();
        let waits = |n: i64| {
            let times: Vec<_> = (0..n).map(at).collect();
            flap.until(&times, at(n)).map(|until| until.since(at(n - 1)).as_secs())
        };
        assert_eq!(
            [0, 1, 2, 3, 4, 8, 9, 40, 80].map(waits),
            [None, None, None, Some(60), Some(120), Some(1920), Some(3600), Some(3600), Some(3600)]
        );
        let times = [0, 1, 2].map(at);
        assert_eq!(flap.until(&times, at(62)), None, "the wait is over");
        assert_eq!(
            flap.until(&[at(0), at(3000), at(3601)], at(3602)),
            None,
            "the first is forgotten"
        );
    }
}
