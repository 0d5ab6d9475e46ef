//! All that a look goes by, so that it can be kept and taken again: whole, and as what has changed
//! since the one that was kept before.
//!
//! A fleet of many machines is heard once a second, so that hardly anything of a snapshot would be the
//! same a second later. But a look tells no heartbeat that is young enough from another: it is left out,
//! and stands for "in time". That this changes no plan, a property says.

#[cfg(test)]
mod properties;
mod since;

pub use since::{Entry, Recorder, Since};

use super::{Decision, Fleet, ObservedMachine, Plan, Policy, plan, repair};
use cerebro_model::{MachineId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All that a look goes by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// When it was.
    pub now: Timestamp,
    /// What the operator had settled.
    pub policy: Policy,
    /// What was known of the cluster, without the heartbeats.
    fleet: Fleet,
    /// Machines that were not heard in time; all others were.
    silent: BTreeMap<MachineId, Heard>,
}

/// When a silent machine was heard last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Heard {
    /// Then.
    Last(Timestamp),
    /// Not since the controller started, or began to listen anew.
    Never,
}

/// What comes of a look that is taken again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Again {
    /// The same.
    Same,
    /// Something else is decided.
    Differs {
        /// At which place of what was decided; the first is 0.
        at: usize,
        /// What was decided there then.
        then: Option<String>,
        /// What is now.
        now: Option<String>,
    },
}

impl Look {
    /// The one at `fleet`, by `policy`, at `now`.
    pub fn of(fleet: &Fleet, policy: &Policy, now: Timestamp) -> Self {
        let mut kept = fleet.clone();
        kept.machines.values_mut().for_each(|observed| observed.last_heartbeat = None);
        kept.own = fleet.own.as_it_counts();
        Self { now, policy: policy.clone(), fleet: kept, silent: silent(fleet, policy, now) }
    }

    /// What was known of the cluster. Of a machine that was heard in time, it was heard just then.
    pub fn fleet(&self) -> Fleet {
        let mut fleet = self.fleet.clone();
        for (id, observed) in &mut fleet.machines {
            observed.last_heartbeat = match self.silent.get(id) {
                None => Some(self.now),
                Some(Heard::Last(at)) => Some(*at),
                Some(Heard::Never) => None,
            };
        }
        fleet
    }

    /// Takes it again.
    pub fn plan(&self) -> Plan {
        plan(&self.fleet(), &self.policy, self.now)
    }
}

/// Where what is decided differs first.
pub fn compare(then: &[Decision], now: &[Decision]) -> Again {
    let longer = then.len().max(now.len());
    match (0..longer).find(|at| then.get(*at) != now.get(*at)) {
        None => Again::Same,
        Some(at) => {
            let words = |of: &[Decision]| of.get(at).map(Decision::to_string);
            let (mut then, mut now) = (words(then), words(now));
            // What differs may be what no sentence says.
            if then == now {
                then = then.map(|it| format!("{it}, in other particulars"));
                now = now.map(|it| format!("{it}, in other particulars"));
            }
            Again::Differs { at, then, now }
        }
    }
}

/// Machines that were not heard in time, with when they were heard last: those that are silent, and those for
/// which that is no matter, or not yet.
fn silent(fleet: &Fleet, policy: &Policy, now: Timestamp) -> BTreeMap<MachineId, Heard> {
    let policy = &*fleet.own.excused(policy);
    let in_time = |it: &ObservedMachine| {
        it.last_heartbeat.is_some_and(|at| now.since(at) < policy.suspect_after)
            && !repair::is_silent(it, policy, now)
    };
    let silent = fleet.machines.iter().filter(|(_, it)| !in_time(it));
    silent
        .map(|(id, it)| (id.clone(), it.last_heartbeat.map_or(Heard::Never, Heard::Last)))
        .collect()
}
