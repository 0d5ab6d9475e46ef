//! What two states of a task, one after the other, tell of what happened between them.

use cerebro_model::EventKind;
use cerebro_tasksitter::protocol::{Phase, TaskState};
use std::time::Duration;

/// How the agent came to hear of the later state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The agent has just started the sitter for a task that had none before.
    Launched,
    /// The agent has just begun, and the task was there already.
    Found,
    /// The sitter that the agent listens to said so.
    Told,
    /// The sitter before died, so long ago.
    Relaunched(Duration),
}

/// The events, oldest first.
pub fn events(
    before: Option<&TaskState>,
    now: &TaskState,
    heard: Heard,
) -> Vec<(EventKind, String)> {
    let mut events = Vec::new();
    let pid = now.pid.map_or_else(|| "no process".to_owned(), |pid| format!("process {pid}"));
    match (heard, before) {
        (Heard::Found, None) if now.pid.is_some() => {
            let message = format!("{pid} goes on; it was taken over as it was");
            events.push((EventKind::TaskAdopted, message));
            return events;
        }
        (Heard::Relaunched(after), Some(before)) if now.adopted && before.pid == now.pid => {
            let millis = after.as_secs_f64() * 1000.0;
            let message = format!(
                "{pid} goes on; task sitter {} took it over {millis:.1} ms after the one before died",
                now.sitter
            );
            events.push((EventKind::TaskAdopted, message));
            return events;
        }
        _ => {}
    }
    let started = now.phase == Phase::Running
        && now.pid.is_some()
        && before.is_none_or(|before| before.incarnation != now.incarnation);
    let exit = now.last_exit.as_ref().filter(|_| match before {
        Some(before) => before.ended_at != now.ended_at,
        None => heard == Heard::Found || now.pid.is_none(),
    });
    if let Some(exit) = exit {
        let next = match now.phase {
            Phase::Running => {
                let took = match (now.ended_at, now.started_at) {
                    (Some(ended), Some(started)) => started.saturating_sub(ended) as f64 / 1000.0,
                    _ => 0.0,
                };
                format!("started again as {pid} after {took:.1} ms")
            }
            Phase::BackingOff => "it is started again after a while".to_owned(),
            Phase::Stopping | Phase::Stopped => "it stays down".to_owned(),
            Phase::Failed => {
                let why = now.reason.map_or_else(String::new, |reason| format!(": {reason}"));
                format!("it is given up after {} restarts{why}", now.restarts)
            }
        };
        let was = before.and_then(|before| before.pid);
        let was = was.map_or_else(String::new, |pid| format!("process {pid} "));
        events.push((EventKind::TaskExited, format!("{was}{exit}; {next}")));
    }
    if started {
        events.push((EventKind::TaskStarted, format!("{pid} runs")));
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use cerebro_tasksitter::protocol::Exit;

    fn running(pid: i32, incarnation: u64) -> TaskState {
        let value = serde_json::json!({
            "phase": Phase::Running, "pid": pid, "sitter": 1, "adopted": false,
            "incarnation": incarnation, "restarts": 0, "last_exit": null, "ended_at": null,
            "started_at": 1_000_000, "boot": "",
        });
        serde_json::from_value(value).unwrap()
    }

    fn kinds(events: &[(EventKind, String)]) -> Vec<EventKind> {
        events.iter().map(|(kind, _)| *kind).collect()
    }

    #[test]
    fn a_restart_is_told_with_the_time_that_it_took() {
        let first = running(7, 1);
        let launched = events(None, &first, Heard::Launched);
        assert_eq!(kinds(&launched), [EventKind::TaskStarted]);
        let mut second = running(8, 2);
        second.last_exit = Some(Exit::Signal(9));
        (second.ended_at, second.started_at) = (Some(2_000_000), Some(2_012_500));
        let told = events(Some(&first), &second, Heard::Told);
        assert_eq!(kinds(&told), [EventKind::TaskExited, EventKind::TaskStarted]);
        assert!(
            told[0].1.contains("process 7 was ended by signal 9") && told[0].1.contains("12.5 ms")
        );
        assert!(events(Some(&second), &second, Heard::Told).is_empty());
    }

    #[test]
    fn what_goes_on_is_adopted_and_nothing_else_happened() {
        let first = running(7, 1);
        assert_eq!(kinds(&events(None, &first, Heard::Found)), [EventKind::TaskAdopted]);
        let adopted = TaskState { adopted: true, sitter: 2, ..first.clone() };
        let heard = Heard::Relaunched(Duration::from_millis(3));
        assert_eq!(kinds(&events(Some(&first), &adopted, heard)), [EventKind::TaskAdopted]);
    }
}
