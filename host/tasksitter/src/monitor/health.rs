//! `/healthz`: whether a task can be sent work, for load balancers.

use cerebro_tasksitter::protocol::{Phase, TaskState};

/// Nothing if all is well, else the reason in a line.
pub fn problem(state: &TaskState) -> Option<String> {
    let ended = || {
        let last = state.last_exit.as_ref();
        last.map_or_else(|| "it was never started".to_owned(), |exit| format!("it {exit}"))
    };
    match (state.phase, state.ready, state.pid) {
        (Phase::Running, true, Some(_)) => None,
        (Phase::Running, ..) => {
            Some("not ready: it has not said so yet, or is being restarted".into())
        }
        (Phase::BackingOff, ..) => Some(format!("backing-off: {}, and is started again", ended())),
        (Phase::Stopping, ..) => Some("stopping: it was asked to stop".into()),
        (Phase::Stopped, ..) => Some(format!("stopped: {}", ended())),
        (Phase::Failed, ..) => {
            let reason = state.reason.map_or_else(String::new, |reason| format!("; {reason}"));
            Some(format!("failed: {}{reason}", ended()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::tests::state;
    use super::*;
    use cerebro_tasksitter::protocol::Reason;

    #[test]
    fn only_what_runs_and_is_ready_is_well() {
        let mut state = state();
        assert_eq!(problem(&state), None);
        state.ready = false;
        assert!(problem(&state).unwrap().starts_with("not ready"));
        (state.phase, state.pid) = (Phase::BackingOff, None);
        assert_eq!(
            problem(&state).unwrap(),
            "backing-off: it exited with code 3, and is started again"
        );
        (state.phase, state.reason) = (Phase::Failed, Some(Reason::Flapping));
        assert!(problem(&state).unwrap().ends_with("(flapping)"));
        (state.phase, state.last_exit) = (Phase::Stopped, None);
        assert_eq!(problem(&state).unwrap(), "stopped: it was never started");
    }
}
