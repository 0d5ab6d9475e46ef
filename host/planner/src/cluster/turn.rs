//! What follows next for a machine that is drained, maintained, lost, or to be destroyed.

use super::{Fleet, Note, Occupancy, Plan, Step, Turn};
use cerebro_model::{AfterDrain, Machine, MachineState, Timestamp};

pub(super) fn plan(fleet: &Fleet, occupancy: &Occupancy, now: Timestamp, plan: &mut Plan) {
    for (id, observed) in &fleet.machines {
        let machine = &observed.machine;
        match &machine.state {
            MachineState::Draining { drain, .. } => {
                // Its agent says itself that all has ended: until then nothing is taken from under it.
                if !occupancy.is_free(id) || observed.reported != Some(0) {
                    continue;
                }
                match (&drain.drained_at, &drain.then) {
                    (None, _) => turn(machine, Turn::Drained, "nothing is on it any more", plan),
                    (Some(_), AfterDrain::Stay) => {}
                    (Some(_), AfterDrain::Maintain { reason, .. }) => {
                        turn(machine, Turn::Maintained, reason, plan);
                    }
                    (Some(_), AfterDrain::Remove) => {
                        let why = match drain.reason.as_str() {
                            "" => "it is drained, and was to be removed".to_owned(),
                            reason => format!("it is drained, and was to be removed: {reason}"),
                        };
                        terminate(machine, &why, plan);
                    }
                }
            }
            MachineState::Maintenance { maintenance, .. } if now >= maintenance.until => {
                turn(machine, Turn::MaintenanceOver, "its time is over", plan);
            }
            MachineState::Lost { .. } => {
                terminate(machine, "it is lost, and what may be left of it is of no use", plan);
            }
            MachineState::Terminating { reason, .. } if machine.may_be_destroyed() => {
                plan.decide(Step::Destroy(id.clone()), reason.clone());
            }
            _ => {}
        }
    }
}

fn turn(machine: &Machine, turn: Turn, reason: &str, plan: &mut Plan) {
    plan.decide(Step::Turn(machine.id.clone(), turn), reason);
}

/// A locked one is kept, and that is told.
pub(super) fn terminate(machine: &Machine, reason: &str, plan: &mut Plan) {
    let id = &machine.id;
    match &machine.lock {
        None => turn(machine, Turn::Terminated, reason, plan),
        Some(lock) => {
            let why = format!(
                "{id} is not terminated, though {reason}: it is locked ({}); `cerebro machine unlock \
                 {id}` lets it go",
                lock.reason
            );
            plan.notes.push(Note::Waits { machine: id.clone(), why });
        }
    }
}
