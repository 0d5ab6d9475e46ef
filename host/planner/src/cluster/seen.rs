//! An instance as its machine tells of it, and for how long it has been well.

use cerebro_model::{Instance, InstanceStatus, Phase, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// An instance with the last word on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeenInstance {
    /// The instance.
    pub instance: Instance,
    /// What its machine said last of its present placement.
    pub status: Option<InstanceStatus>,
    /// What the machine that it leaves said last of it there.
    left: Option<InstanceStatus>,
    /// Since when it runs what it should, and well, without a break, by the controller's clock. A
    /// controller that has just started has heard of nothing yet: then it counts from what it hears.
    well_since: Option<Timestamp>,
    /// The longest time that it was well before, with what it should run now, and when it was last.
    before: Option<(Duration, Timestamp)>,
}

impl SeenInstance {
    /// One that was told what to run, and has not been heard of.
    pub fn told(instance: Instance) -> Self {
        Self { instance, status: None, left: None, well_since: None, before: None }
    }

    /// The same instance, as it is told now. What was said of another placement says nothing of this
    /// one, and how another deployment did says nothing of this one.
    #[must_use]
    pub fn told_anew(self, instance: Instance) -> Self {
        let same_place = self.instance.placement == instance.placement;
        let (mut status, mut left) = (None, None);
        for said in self.status.into_iter().chain(self.left) {
            if said.placement == instance.placement {
                status = Some(said);
            } else if instance.leaving.as_ref().is_some_and(|it| it.placement == said.placement) {
                left = Some(said);
            }
        }
        let same_work = same_place
            && self.instance.deployment == instance.deployment
            && self.instance.beside == instance.beside;
        Self {
            instance,
            status,
            left,
            well_since: self.well_since.filter(|_| same_work),
            before: self.before.filter(|_| same_work),
        }
    }

    /// Takes its machine's word.
    pub fn hear(&mut self, status: InstanceStatus, now: Timestamp) {
        let process = |status: &InstanceStatus| (status.pid, status.life.restarts);
        let is_another = self.status.as_ref().is_some_and(|last| process(last) != process(&status));
        self.status = Some(status);
        if (is_another || !self.is_healthy())
            && let Some(since) = self.well_since.take()
        {
            let longest = self.before.map_or(Duration::ZERO, |(longest, _)| longest);
            self.before = Some((longest.max(now.since(since)), now));
        }
        if self.is_healthy() {
            self.well_since.get_or_insert(now);
        }
    }

    /// Takes the word of the machine that it leaves.
    pub fn hear_left(&mut self, status: InstanceStatus) {
        self.left = Some(status);
    }

    /// Whether it runs what it should, and well, or has done its work.
    pub fn is_healthy(&self) -> bool {
        self.phase_of_target().is_some_and(Phase::is_well)
    }

    /// Where it stands on the machine that it leaves, with what it runs there, if that machine has said.
    pub fn left_phase(&self) -> Option<Phase> {
        let left = self.instance.leaving.as_deref()?;
        let said = self.left.as_ref().filter(|it| it.placement == left.placement)?;
        (said.deployment.as_ref() == Some(&left.deployment)).then_some(said.phase)
    }

    /// For how long it has been that, as far as this controller knows.
    pub fn well_for(&self, now: Timestamp) -> Option<Duration> {
        self.well_since.map(|since| now.since(since))
    }

    /// The longest time that it was well before its present standing, with what it should run now,
    /// and when it was last.
    pub fn was_well(&self) -> Option<(Duration, Timestamp)> {
        self.before
    }

    /// Where it stands with the deployment that it should run; none if its machine has not said.
    pub fn phase_of_target(&self) -> Option<Phase> {
        self.of_target().map(|status| status.phase)
    }

    /// What its machine says of it with the deployment that it should run, if it has.
    pub fn of_target(&self) -> Option<&InstanceStatus> {
        self.status.as_ref().filter(|status| {
            // An agent of an older version does not say beside what it was started.
            let beside = status.life.beside.as_ref();
            status.placement == self.instance.placement
                && status.deployment.as_ref() == Some(&self.instance.deployment)
                && beside.is_none_or(|beside| *beside == self.instance.beside)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

    use super::super::testing::{assignment, at, healthy};
    use super::*;
    use cerebro_model::DeploymentId;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn it_is_well_since_it_was_heard_so_without_a_break() {
        let mut seen = healthy(&assignment(1).instance);
        let well = seen.status.clone().unwrap();
        assert_eq!(seen.well_for(at(5)), Some(s(5)));
        seen.hear(well.clone(), at(6));
        assert_eq!((seen.well_for(at(8)), seen.was_well()), (Some(s(8)), None));

        let unwell = InstanceStatus { phase: Phase::Unhealthy, ..well.clone() };
        seen.hear(unwell.clone(), at(9));
        assert_eq!((seen.well_for(at(9)), seen.was_well()), (None, Some((s(9), at(9)))));
        seen.hear(well.clone(), at(10));
        assert_eq!(seen.well_for(at(12)), Some(s(2)), "it counts from nothing again");
        seen.hear(unwell, at(13));
        assert_eq!(seen.was_well(), Some((s(9), at(13))), "the longest time is kept");
    }

    #[test]
    fn another_process_that_nobody_saw_start_is_a_break_too() {
        let mut seen = healthy(&assignment(1).instance);
        let next = InstanceStatus { pid: Some(2), ..seen.status.clone().unwrap() };
        seen.hear(next, at(7));
        assert_eq!((seen.well_for(at(8)), seen.was_well()), (Some(s(1)), Some((s(7), at(7)))));
    }

    #[test]
    fn what_was_said_of_another_deployment_or_placement_is_none_of_this_one() {
        let seen = healthy(&assignment(1).instance);
        let mut next = seen.instance.clone();
        next.deployment = DeploymentId::nth(2);
        let told = seen.clone().told_anew(next.clone());
        assert!(told.status.is_some() && !told.is_healthy() && told.of_target().is_none());
        assert_eq!((told.well_for(at(9)), told.was_well()), (None, None));
        next.placement += 1;
        assert!(seen.clone().told_anew(next).status.is_none());
        let same = seen.clone().told_anew(seen.instance.clone());
        assert_eq!(same.well_for(at(9)), Some(s(9)));
    }
}
