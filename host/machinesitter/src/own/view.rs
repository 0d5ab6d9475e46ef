//! What is said of the machine's own tasks.

use super::{Entry, Own};
use crate::task_view;
use cerebro_api::machine::{MachineTask, TaskOwner};
use cerebro_model::Phase;
use cerebro_tasksitter::protocol::{self, Exit, TaskState};

impl Own {
    /// What is said of each.
    pub fn views(&self) -> Vec<MachineTask> {
        self.entries().values().map(|entry| view(entry, false)).collect()
    }

    /// What is said of one, with its definition.
    pub fn view(&self, name: &str) -> Option<MachineTask> {
        self.read(name, |entry| view(entry, true))
    }
}

fn view(entry: &Entry, at_length: bool) -> MachineTask {
    let state = entry.state.borrow();
    let (phase, why) = phase(entry, state.as_ref());
    let message = if entry.note.is_empty() { why } else { entry.note.clone() };
    MachineTask {
        wanted: Some(entry.wanted),
        definition: at_length.then(|| entry.task.clone()),
        ..task_view::of(&entry.task.name, TaskOwner::Machine, phase, message, state.as_ref())
    }
}

fn phase(entry: &Entry, state: Option<&TaskState>) -> (Phase, String) {
    let nothing = String::new();
    let Some(state) = state else {
        let phase = if entry.follower.is_some() { Phase::Starting } else { Phase::Stopped };
        return (phase, nothing);
    };
    let last = state.last_exit.as_ref().map_or_else(String::new, |exit| format!("the task {exit}"));
    match state.phase {
        protocol::Phase::Running if state.ready => (Phase::Healthy, nothing),
        protocol::Phase::Running => {
            (Phase::Starting, "the task has not said yet that it is ready".to_owned())
        }
        protocol::Phase::BackingOff => {
            (Phase::Starting, format!("{last}; it is started again after a while"))
        }
        protocol::Phase::Stopping => (Phase::Stopping, nothing),
        // One that was stopped has not done its work, whatever its code.
        protocol::Phase::Stopped
            if entry.follower.is_some() && state.last_exit == Some(Exit::Code(0)) =>
        {
            (Phase::Completed, last)
        }
        protocol::Phase::Stopped => (Phase::Stopped, last),
        protocol::Phase::Failed => {
            let why = state.reason.map_or(last, |reason| reason.to_string());
            (Phase::Failed, why)
        }
    }
}
