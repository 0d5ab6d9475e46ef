//! When a new version may go on from its first instances to the others.

use super::{Fleet, SeenInstance, gate};
use cerebro_model::{Canary, Deployment, Timestamp};
use std::time::Duration;

/// How a deployment's canary stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// So many of its instances have not got the new version yet, or are not well with it: which.
    Doubtful(Vec<String>),
    /// All are well, and have to be so for a while yet.
    Bakes(Duration),
    /// All are well, and have been so for long enough.
    Ready,
}

impl Standing {
    /// That of `deployment`; none if it has no canary, or goes on already.
    pub fn of(fleet: &Fleet, deployment: &Deployment, now: Timestamp) -> Option<Self> {
        let canary = deployment.job.rollout.canary.as_ref().filter(|_| deployment.is_canary())?;
        let of_job =
            fleet.instances.values().filter(|it| it.instance.job == *deployment.job_name());
        let (reached, waiting): (Vec<_>, Vec<_>) =
            of_job.partition(|seen| seen.instance.deployment == deployment.id);
        Some(of(canary, deployment, &reached, waiting.len(), now))
    }
}

/// How many instances more may get the new version before it is promoted.
pub(super) fn may_reach(canary: &Canary, reached: usize) -> usize {
    (canary.instances.get() as usize).saturating_sub(reached)
}

/// The same of what is known already: those that have the new version, and how many have not.
pub(super) fn of(
    canary: &Canary,
    deployment: &Deployment,
    reached: &[&SeenInstance],
    waiting: usize,
    now: Timestamp,
) -> Standing {
    let rollout = &deployment.job.rollout;
    let lacking = may_reach(canary, reached.len()).min(waiting);
    let doubtful = reached.iter().filter(|seen| !gate::counts(seen, rollout, now));
    let mut named: Vec<_> = doubtful.map(|seen| seen.instance.id.to_string()).collect();
    if lacking > 0 {
        named.push(format!("{lacking} that have not got it yet"));
    }
    if !named.is_empty() {
        return Standing::Doubtful(named);
    }
    let bake = canary.bake.duration();
    // Work that is done bakes no longer.
    let baking = reached.iter().filter(|seen| !gate::is_done(seen));
    let left = baking.map(|seen| bake.saturating_sub(seen.well_for(now).unwrap_or_default())).max();
    match left.unwrap_or_default() {
        Duration::ZERO => Standing::Ready,
        left => Standing::Bakes(left),
    }
}
