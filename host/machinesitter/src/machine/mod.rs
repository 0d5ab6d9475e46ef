//! The machine itself: how it is doing, and what is wrong with it.

mod problems;
pub mod stats;

use crate::agent::Agent;
use crate::time;
use cerebro_api::machine::MachineProblem;
use cerebro_model::{EventKind, Timestamp};
use nix::sys::statvfs::{FsFlags, statvfs};
use problems::{Disk, Kind, Measured, judge};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use sysinfo::System;
use tokio::time::sleep;

/// From one look to the next, where a controller wants to know.
const LOOK: Duration = Duration::from_secs(30);
/// Where nobody is told, and the machine should rest when its tasks do.
const LOOK_ALONE: Duration = Duration::from_secs(300);

/// What is wrong, each in a sentence.
type Found = Vec<(Kind, String)>;

/// What is kept of the machine between looks.
pub struct Machine {
    /// Knows how much CPU was used when it was asked last.
    pub system: Mutex<Option<System>>,
    found: Mutex<BTreeMap<Kind, (String, Timestamp)>>,
    /// How far its clock is ahead of the controller's, in seconds.
    clock_ahead: Mutex<Option<f64>>,
}

impl Default for Machine {
    fn default() -> Self {
        let mut system = System::new().ok();
        if let Some(system) = &mut system {
            system.refresh_cpu_usage();
        }
        Self { system: Mutex::new(system), found: Mutex::default(), clock_ahead: Mutex::default() }
    }
}

impl Machine {
    /// The controller said what time it is, just now.
    pub fn hear_clock(&self, own: Timestamp, controllers: Timestamp) {
        let ahead = (own.millis() - controllers.millis()) as f64 / 1000.0;
        *self.clock_ahead.lock().unwrap_or_else(PoisonError::into_inner) = Some(ahead);
    }

    /// What is wrong, as far as was seen.
    pub fn problems(&self) -> Vec<MachineProblem> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let problem = |(kind, (message, since)): (&Kind, &(String, Timestamp))| MachineProblem {
            kind: kind.to_string(),
            message: message.clone(),
            since: *since,
        };
        found.iter().map(problem).collect()
    }

    /// Takes what is wrong now; answers what is newly so, and what is no more.
    fn take(&self, now: Found, at: Timestamp) -> (Found, Found) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut *found);
        let mut new = Vec::new();
        for (kind, message) in now {
            let since = before.get(&kind).map_or(at, |(_, since)| *since);
            if !before.contains_key(&kind) {
                new.push((kind, message.clone()));
            }
            found.insert(kind, (message, since));
        }
        let over = before.into_iter().filter(|(kind, _)| !found.contains_key(kind));
        (new, over.map(|(kind, (message, _))| (kind, message)).collect())
    }
}

/// Looks for problems for ever, and tells of each when it begins and when it ends.
pub async fn watch(agent: Arc<Agent>) {
    loop {
        let ahead = *agent.machine.clock_ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let measured = Measured {
            disk: disk(agent.disk.root()),
            clock_ahead: ahead,
            open_files: stats::open_files(),
            memory: stats::pressures().remove("memory"),
        };
        let (new, over) = agent.machine.take(judge(&measured), time::now());
        for (_, message) in new {
            agent.tell_of_machine(EventKind::MachineProblem, message);
        }
        for (_, message) in over {
            agent.tell_of_machine(EventKind::MachineProblemOver, format!("no more: {message}"));
        }
        sleep(if agent.link.is_some() { LOOK } else { LOOK_ALONE }).await;
    }
}

fn disk(path: &Path) -> Option<Disk> {
    let found = statvfs(path).ok()?;
    Some(Disk {
        path: path.display().to_string(),
        total: found.blocks() * found.fragment_size(),
        free: found.blocks_available() * found.fragment_size(),
        read_only: found.flags().contains(FsFlags::ST_RDONLY),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_when_it_begins_and_when_it_ends() {
        let machine = Machine::default();
        let at = Timestamp::from_millis;
        let full = || vec![(Kind::DiskFull, "full".to_owned())];
        assert_eq!(machine.take(full(), at(1)), (full(), vec![]));
        assert_eq!(machine.take(full(), at(2)), (vec![], vec![]));
        assert_eq!(machine.problems()[0].since, at(1));
        assert_eq!(machine.take(vec![], at(3)), (vec![], full()));
        assert_eq!(machine.problems(), []);
    }
}
