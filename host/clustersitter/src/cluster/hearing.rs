//! Heartbeats: in memory, but for the end of a silence.

use super::{AgentError, ChangeError, Cluster, Heard, State, about_machine, event};
use crate::records::Change;
use cerebro_model::{Attempt, DecisionId, EventKind, MachineId, MachineStats, Rung, ZoneName};
use cerebro_planner::cluster::Note;

/// Ends of silences, and attempts to bring them about, that are remembered of a machine.
const REMEMBERED: usize = 16;

impl Cluster {
    /// A machine was heard.
    pub(super) fn hear(
        &self,
        id: &MachineId,
        pid: u32,
        stats: MachineStats,
    ) -> Result<(), AgentError> {
        let was_silent = {
            let State { now, observed, kept, .. } = &mut *self.state();
            let at = *now;
            let heard = Heard { at, pid, stats };
            match observed.heartbeats.get_mut(id) {
                Some(last) => *last = heard,
                None => drop(observed.heartbeats.insert(id.clone(), heard)),
            }
            kept.heard(id, at);
            observed.silent.remove(id)
        };
        if was_silent { self.came_back(id) } else { Ok(()) }
    }

    /// Records what is about to be tried with a machine; answers whether it may be. It may have been locked
    /// since, or heard: then nothing ends its tasks.
    pub fn attempted(
        &self,
        id: &MachineId,
        rung: Rung,
        why: &str,
        decision: Option<&DecisionId>,
    ) -> Result<bool, ChangeError> {
        self.change(|state| {
            let Some(record) = state.records.machines.get(id) else {
                return Ok((Change::default(), false));
            };
            let is_silent = state.observed.silent.contains(id);
            let may_end = record.machine.lock.is_none() && is_silent;
            if !record.machine.state.is_watched() || (rung.ends_tasks() && !may_end) {
                return Ok((Change::default(), false));
            }
            let mut record = record.clone();
            record.attempts.push(Attempt { rung, at: state.now, why: why.to_owned() });
            keep_last(&mut record.attempts);
            let message = format!("the provider of {id} {}: {why}", rung.words());
            let told = event(EventKind::RepairTried, about_machine(id), message);
            let change = Change::default().machine(id, Some(record)).event(told);
            Ok((change.decided(decision), true))
        })
    }

    fn came_back(&self, id: &MachineId) -> Result<(), AgentError> {
        self.change(|state| {
            let message = format!("{id} is heard again");
            let told = event(EventKind::MachineBack, about_machine(id), message);
            let change = Change::default().event(told);
            let Some(record) = state.records.machines.get(id) else { return Ok((change, ())) };
            // Where many were silent at once, it was hardly this one's doing; nor is what its
            // maintenance brings with it.
            let is_watched = record.machine.state.is_watched();
            if !is_watched || is_our_own_fault(state, &record.machine.zone) {
                return Ok((change, ()));
            }
            let mut record = record.clone();
            record.comebacks.push(state.now);
            keep_last(&mut record.comebacks);
            Ok::<_, AgentError>((change.machine(id, Some(record)), ()))
        })
    }
}

fn keep_last<T>(all: &mut Vec<T>) {
    all.drain(..all.len().saturating_sub(REMEMBERED));
}

fn is_our_own_fault(state: &State, of: &ZoneName) -> bool {
    state.observed.notes.iter().any(|note| match note {
        Note::Doubt { .. } => true,
        Note::BreakerOpen { zone, .. } => zone == of,
        _ => false,
    })
}
