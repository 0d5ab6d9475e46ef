//! What is said of a task, whoever decides whether it runs.

use crate::time;
use cerebro_api::machine::{MachineTask, TaskOwner};
use cerebro_api::paths;
use cerebro_model::Phase;
use cerebro_tasksitter::protocol::TaskState;
use std::collections::BTreeMap;

/// From what its sitter said last, if it has one.
pub fn of(
    name: &str,
    owner: TaskOwner,
    phase: Phase,
    message: String,
    state: Option<&TaskState>,
) -> MachineTask {
    let process = state.and_then(|state| state.pid);
    let counts = state.map(|state| state.counts).unwrap_or_default();
    let violations = [
        ("cpu", u64::from(counts.cpu_violations)),
        ("mem", u64::from(counts.mem_violations)),
        ("time-limit", u64::from(counts.time_violations)),
        ("oom-kills", counts.oom_kills),
    ];
    MachineTask {
        name: name.to_owned(),
        owner,
        wanted: None,
        phase,
        message,
        pid: process.map(i32::cast_unsigned),
        // One that has ended with its task is nobody.
        sitter: state.filter(|_| phase != Phase::Stopped).map(|s| s.sitter.cast_unsigned()),
        restarts: state.map_or(0, |state| state.restarts),
        started_at: state.and_then(|state| state.started_at).map(time::of_micros),
        last_exit: state.and_then(|state| state.last_exit.as_ref()).map(ToString::to_string),
        status: state.map_or_else(String::new, |state| state.status.clone()),
        enforcement: state.map_or_else(String::new, |state| state.enforcement.clone()),
        violations: violations
            .into_iter()
            .filter(|(_, number)| *number > 0)
            .map(|(what, number)| (what.to_owned(), number))
            .collect(),
        definition: None,
        instance: None,
        links: links(name, owner),
    }
}

fn links(name: &str, owner: TaskOwner) -> BTreeMap<String, String> {
    let task = paths::machine_task(name);
    let all = ["stats", "logs", "restart", "reload", "signal"];
    let own: &[&str] = match owner {
        TaskOwner::Machine => &["start", "stop"],
        TaskOwner::Controller => &[],
    };
    let of = |what: &&str| ((*what).to_owned(), format!("{task}/{what}"));
    let mut links: BTreeMap<String, String> = all.iter().chain(own).map(of).collect();
    links.insert("self".to_owned(), task);
    links
}
