//! Where an instance stands, from what is known of it.

use crate::checks::Health;
use crate::disk::Record;
use crate::table::Doing;
use cerebro_model::Phase;
use cerebro_planner::machine::TRIES;
use cerebro_tasksitter::protocol::{self, TaskState};

/// The phase, and why, in words.
pub fn of(
    record: &Record,
    doing: Option<Doing>,
    task: Option<&TaskState>,
    health: &Health,
    note: &str,
) -> (Phase, String) {
    let because = |otherwise: &str| match note {
        "" => otherwise.to_owned(),
        note => note.to_owned(),
    };
    let wanted = &record.assignment.deployment;
    match doing {
        Some(Doing::Deploying) => {
            return (Phase::Deploying, because(&format!("deploying {}", wanted.version)));
        }
        Some(Doing::Stopping) => return (Phase::Stopping, because("")),
        Some(Doing::Starting) => return (Phase::Starting, because("the task is started")),
        None => {}
    }
    match &record.deployed {
        None => return (Phase::Waiting, because("")),
        Some(outcome) => match outcome.failures {
            Some(failures) if failures >= TRIES => return (Phase::Failed, outcome.message.clone()),
            Some(_) => return (Phase::Deploying, outcome.message.clone()),
            None => {}
        },
    }
    // The recipe is done; its task is about to be started.
    if record.task.as_ref().is_none_or(|task| task.deployment.id != wanted.id) {
        return (Phase::Deploying, because(""));
    }
    let Some(task) = task else { return (Phase::Starting, because("")) };
    let last = task.last_exit.as_ref().map_or_else(String::new, |exit| format!("the task {exit}"));
    match task.phase {
        protocol::Phase::Running => health.phase(),
        protocol::Phase::BackingOff => {
            (Phase::Starting, format!("{last}; it is started again after a while"))
        }
        protocol::Phase::Stopping => (Phase::Stopping, because("")),
        protocol::Phase::Stopped => (Phase::Stopped, because(&last)),
        protocol::Phase::Failed => {
            let given_up = format!("{last}, and is given up after {} restarts", task.restarts);
            let output = if note.is_empty() { String::new() } else { format!("\n{note}") };
            (Phase::Failed, given_up + &output)
        }
    }
}
