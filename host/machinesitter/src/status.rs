//! Where an instance stands, from what is known of it.

use crate::checks::Health;
use crate::disk::Record;
use crate::table::{Doing, Hold};
use cerebro_model::Phase;
use cerebro_planner::machine::TRIES;
use cerebro_tasksitter::protocol::{self, Exit, TaskState};

/// The phase, and why, in words.
pub fn of(
    record: &Record,
    doing: Option<Doing>,
    hold: Option<Hold>,
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
    match hold {
        Some(Hold::NotPersistent) => {
            let why = "the machine was rebooted, and the job is not persistent";
            return (Phase::Stopped, because(why));
        }
        Some(Hold::Unheard) => {
            let why = "the machine was rebooted; without `auto_start`, the task waits for the controller's word";
            return (Phase::Waiting, because(why));
        }
        None => {}
    }
    let Some(task) = task else { return (Phase::Starting, because("")) };
    let last = task.last_exit.as_ref().map_or_else(String::new, |exit| format!("the task {exit}"));
    match task.phase {
        protocol::Phase::Running if !task.ready => {
            (Phase::Starting, because("the task has not said yet that it is ready"))
        }
        protocol::Phase::Running => health.phase(),
        protocol::Phase::BackingOff => {
            (Phase::Starting, format!("{last}; it is started again after a while"))
        }
        protocol::Phase::Stopping => (Phase::Stopping, because("")),
        protocol::Phase::Stopped if task.last_exit == Some(Exit::Code(0)) => {
            (Phase::Completed, because(&last))
        }
        protocol::Phase::Stopped => (Phase::Stopped, because(&last)),
        protocol::Phase::Failed => {
            let why = task.reason.map_or_else(String::new, |reason| format!(": {reason}"));
            let given_up = format!("{last}, and is given up after {} restarts{why}", task.restarts);
            let output = if note.is_empty() { String::new() } else { format!("\n{note}") };
            (Phase::Failed, given_up + &output)
        }
    }
}
