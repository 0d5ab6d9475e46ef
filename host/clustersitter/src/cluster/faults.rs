//! What is not as it should be: the first question of whoever looks.

use super::Cluster;
use cerebro_model::Phase;
use cerebro_planner::cluster::Full;

impl Cluster {
    /// In sentences; none if all is well.
    pub fn faults(&self) -> Vec<String> {
        let notes = self.notes();
        let mut faults: Vec<String> = notes.iter().map(ToString::to_string).collect();
        faults.extend(self.unlogged());
        faults.extend(self.stray_words());
        faults.extend(self.full_zones());
        for view in self
            .jobs()
            .iter()
            .filter(|view| view.deployment.is_some() && view.healthy < view.wanted)
        {
            let (name, healthy, wanted) =
                (&view.record.job.dns_basename, view.healthy, view.wanted);
            faults.push(format!("{name}: {healthy} of {wanted} instances are healthy"));
        }
        for machine in self.machines().iter().map(|view| &view.machine) {
            if matches!(machine.state.word(), "lost" | "terminating") {
                faults.push(format!("{} is {}", machine.id, machine.state.word()));
            }
        }
        for status in self.tasks().iter().filter_map(|task| task.status.as_ref()) {
            if matches!(status.phase, Phase::Failed | Phase::Unhealthy) {
                faults.push(format!("{} is {}: {}", status.id, status.phase, status.message));
            }
        }
        faults
    }

    /// Zones for which the provider has no machine just now.
    fn full_zones(&self) -> Vec<String> {
        let state = self.state();
        let full = state.kept.fleet().full.iter().filter(|(_, full)| full.holds(state.now));
        let words = full.map(|(zone, Full { since, why, .. })| {
            format!(
                "{zone}: no machine is to be had there since {since} ({why}); it is asked for again"
            )
        });
        words.collect()
    }
}
