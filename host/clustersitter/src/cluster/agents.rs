//! What agents say: that they have started, that they are there, how their instances are.

use super::{
    AgentError, Cluster, NewEvent, State, about_instance, about_machine, adopt, event, join,
};
use crate::records::Change;
use cerebro_api::body::{Heartbeat, JoinRequest, Report};
use cerebro_model::{EventKind, InstanceStatus, Leaving, MachineId, MachineStats, Phase, Subject};

impl Cluster {
    /// An agent has started.
    pub fn joined(&self, id: &MachineId, request: &JoinRequest) -> Result<(), AgentError> {
        self.change(|state| {
            let mut record = join::authenticate(state, id, request)?;
            let first = record.machine.state.is_pending();
            if let Ok(joined) = record.machine.joined(state.now) {
                record.machine = joined;
            }
            (record.machine.address, record.machine.agent_port) =
                (Some(request.address), Some(request.port));
            record.machine.also_at = request.also_at.iter().copied().collect();
            let (pid, zone) = (request.pid, &record.machine.zone);
            let (kind, message) = match first {
                true => {
                    (EventKind::MachineJoined, format!("{id} joined {zone} at {}", request.address))
                }
                false => (
                    EventKind::AgentStarted,
                    format!("the agent of {id} started again (pid {pid})"),
                ),
            };
            let change = Change::default().machine(id, Some(record)).event(event(
                kind,
                about_machine(id),
                message,
            ));
            if !first {
                return Ok::<_, AgentError>((change, ()));
            }
            let taken = adopt::take_over(state, change, self.term(), id, request);
            let refused = |why| AgentError::RunsOtherThings(id.clone(), why);
            Ok((taken.map_err(refused)?, ()))
        })?;
        self.hear(id, request.pid, MachineStats::default())
    }

    /// A heartbeat came.
    pub fn beat(&self, id: &MachineId, request: &Heartbeat) -> Result<(), AgentError> {
        if Self::authenticate(&self.state(), id, &request.token)?.machine.state.is_pending() {
            return Err(AgentError::NotJoined(id.clone()));
        }
        self.hear(id, request.pid, request.stats)
    }

    /// A report came: phases that changed become events.
    pub fn reported(&self, id: &MachineId, report: &Report) -> Result<(), AgentError> {
        let mut events: Vec<NewEvent> = Vec::new();
        let mut is_news = false;
        {
            let mut state = self.state();
            let known = Self::authenticate(&state, id, &report.token).map(drop);
            if matches!(known, Err(AgentError::GivenUp(_))) && state.kept.has(id, &report.instances)
            {
                // It is told to end what it runs. What it has ended may start elsewhere.
                drop(state);
                self.wake();
                return known;
            }
            known?;
            for seen in &report.events {
                let subject = Subject { machine: Some(id.clone()), ..seen.subject.clone() };
                let about =
                    subject.instance.as_ref().map_or_else(|| id.to_string(), ToString::to_string);
                let message = format!("{about}: {}", seen.message);
                events.push(NewEvent { at: Some(seen.at), ..event(seen.kind, subject, message) });
            }
            is_news |= state.kept.has(id, &report.instances);
            for status in &report.instances {
                let State { records, observed, kept, now, .. } = &mut *state;
                let Some(instance) = records.instances.get(&status.id) else { continue };
                if instance.machine != *id || instance.placement != status.placement {
                    let leaves =
                        |it: &&Leaving| (&it.machine, it.placement) == (id, status.placement);
                    if instance.leaving.as_deref().filter(leaves).is_some() {
                        kept.left_reported(status);
                    }
                    continue;
                }
                let before = observed.statuses.insert(status.id.clone(), status.clone());
                if before.as_ref() == Some(status) {
                    continue;
                }
                is_news = true;
                kept.reported(status, *now);
                if before.is_none_or(|before| before.phase != status.phase) {
                    events.push(event(
                        EventKind::InstancePhase,
                        about_instance(instance),
                        phase_in_words(id, status),
                    ));
                }
            }
        }
        if events.is_empty() {
            if is_news {
                self.wake();
            }
            return Ok(());
        }
        Ok(self.tell(events)?)
    }
}

fn phase_in_words(machine: &MachineId, status: &InstanceStatus) -> String {
    let (id, phase) = (&status.id, status.phase);
    let message = match status.message.as_str() {
        "" => String::new(),
        message => format!(": {message}"),
    };
    match (phase, status.pid) {
        (Phase::Healthy | Phase::Starting | Phase::Unhealthy, Some(pid)) => {
            format!("{id} is {phase} on {machine} (pid {pid}){message}")
        }
        _ => format!("{id} is {phase} on {machine}{message}"),
    }
}
