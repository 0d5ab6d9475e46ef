//! What is remembered of machines that were given up.

use super::{Cluster, State};
use crate::records::Change;
use cerebro_model::{Machine, MachineId, MachineState, Timestamp, Tombstone};
use std::time::Duration;

/// Within this every tombstone counts for some limit.
const COUNTS: Duration = Duration::from_secs(24 * 3600);
/// Older ones that are kept for people to read.
const KEPT: usize = 200;

/// Remembers a machine that is given up, and forgets those of which it is long ago.
pub fn bury(state: &State, change: Change, machine: &Machine, why: &str, now: Timestamp) -> Change {
    let mut old: Vec<_> = state.records.tombstones.values().collect();
    old.retain(|it| now.since(it.at) > COUNTS);
    old.sort_by_key(|it| it.at);
    let surplus = old.len().saturating_sub(KEPT);
    let forget = |change: Change, it: &&Tombstone| change.tombstone(&it.machine, None);
    let change = old.iter().take(surplus).fold(change, forget);
    let certificate = match &machine.state {
        MachineState::Lost { certificate, .. } => Some(certificate.clone()),
        _ => None,
    };
    let tombstone = Tombstone {
        machine: machine.id.clone(),
        zone: machine.zone.clone(),
        created_at: machine.created_at,
        at: now,
        why: why.to_owned(),
        certificate,
        instances: state.kept.occupancy().tenants(&machine.id).cloned().collect(),
        gone_at: None,
    };
    change.tombstone(&machine.id, Some(tombstone))
}

/// Its provider confirms that nothing is left of it.
pub fn confirm(state: &State, change: Change, id: &MachineId, now: Timestamp) -> Change {
    match state.records.tombstones.get(id) {
        Some(it) => change.tombstone(id, Some(Tombstone { gone_at: Some(now), ..it.clone() })),
        None => change,
    }
}

impl Cluster {
    /// Machines that were given up lately, the newest first.
    pub fn tombstones(&self) -> Vec<Tombstone> {
        let mut all: Vec<_> = self.state().records.tombstones.values().cloned().collect();
        all.sort_by_key(|it| std::cmp::Reverse(it.at));
        all
    }
}
