//! How long things take: as long as they took in this cluster, by its records; where those say nothing, an
//! assumption that is told.

use crate::cluster::{Fleet, Policy};
use cerebro_model::{JobName, MachineState};
use std::collections::BTreeMap;
use std::time::Duration;

/// Until a new machine has joined, where none was seen to: a virtual machine of a cloud boots in about that.
const JOINS: Duration = Duration::from_secs(45);
/// Until an instance is healthy, where none was seen to become so.
const HEALTHY: Duration = Duration::from_secs(10);
/// Until an instance has ended that is to, or a provider has done what it is asked for.
pub(super) const ENDS: Duration = Duration::from_secs(1);

/// How long things take.
pub(super) struct Pace {
    joins: Option<(Duration, usize)>,
    healthy: BTreeMap<JobName, (Duration, usize)>,
    any_healthy: Option<(Duration, usize)>,
}

impl Pace {
    /// As long as it took what is there now.
    pub(super) fn of(fleet: &Fleet) -> Self {
        let joined = fleet.machines.values().filter_map(|it| match &it.machine.state {
            MachineState::Active { since, .. } | MachineState::Draining { since, .. }
                if *since > it.machine.created_at =>
            {
                Some(since.since(it.machine.created_at))
            }
            _ => None,
        });
        let mut healthy: BTreeMap<JobName, Vec<Duration>> = BTreeMap::new();
        for seen in fleet.instances.values().filter(|it| it.is_healthy()) {
            let instance = &seen.instance;
            let Some(status) = &seen.status else { continue };
            // One that was unwell later is well since then: that says nothing of how it started.
            let is_first = status.life.restarts == 0 && seen.was_well().is_none();
            if is_first && status.since >= instance.since {
                let took = status.since.since(instance.since);
                healthy.entry(instance.job.clone()).or_default().push(took);
            }
        }
        Self {
            joins: median(joined.collect()),
            any_healthy: median(healthy.values().flatten().copied().collect()),
            healthy: healthy
                .into_iter()
                .filter_map(|(job, took)| Some((job, median(took)?)))
                .collect(),
        }
    }

    /// Until a new machine has joined.
    pub(super) fn joins(&self) -> Duration {
        self.joins.map_or(JOINS, |(took, _)| took)
    }

    /// Until an instance of a job is healthy that is told to run something.
    pub(super) fn healthy(&self, job: &JobName) -> Duration {
        let known = self.healthy.get(job).copied().or(self.any_healthy);
        known.map_or(HEALTHY, |(took, _)| took)
    }

    /// What this goes by, in sentences.
    pub(super) fn words(&self, policy: &Policy) -> Vec<String> {
        let seconds = |span: Duration| format!("{:.1} s", span.as_secs_f64());
        let by = |known: Option<(Duration, usize)>, otherwise: Duration| match known {
            Some((took, 1)) => format!("{}, as the one that is there took", seconds(took)),
            Some((took, of)) => format!("{}, the median of the {of} that are there", seconds(took)),
            None => format!("{}, as nothing here says how long", seconds(otherwise)),
        };
        vec![
            format!("a new machine joins after {}", by(self.joins, JOINS)),
            format!(
                "an instance is healthy after {}; of each job after as long as its own took",
                by(self.any_healthy, HEALTHY)
            ),
            format!(
                "a machine is silent after {} s without a heartbeat, and its witnesses answer at once",
                policy.suspect_after.as_secs_f64()
            ),
            "what ends, ends within 1 s; nobody does anything, and nothing else happens".to_owned(),
        ]
    }
}

fn median(mut of: Vec<Duration>) -> Option<(Duration, usize)> {
    of.sort_unstable();
    Some((*of.get(of.len() / 2)?, of.len()))
}
