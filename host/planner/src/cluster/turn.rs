//! What follows next for a machine that is drained, maintained, lost, or to be destroyed.
//!
//! What may still serve is replaced before it is terminated, where its job allows two; where it must be alone,
//! its end comes first.

use super::{Fleet, Note, Occupancy, Plan, SeenInstance, Step, Turn};
use cerebro_model::{
    AfterDrain, DeathCertificate, Machine, MachineState, Moves, Timestamp, Verdict,
};
use std::time::Duration;

/// How long a machine that was given up while it may still serve is kept for its instances to serve
/// elsewhere.
const REPLACED_WITHIN: Duration = Duration::from_secs(300);

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
            MachineState::Lost { certificate, .. }
                if is_kept(fleet, occupancy, machine, certificate, now) => {}
            MachineState::Lost { .. } if machine.origin.is_joined() => {
                let why = format!(
                    "{id} is lost, and was joined by hand: nothing of it is ended; `cerebro machine remove {id}` has it \
                     forgotten, and then it can be joined anew"
                );
                plan.notes.push(Note::Waits { machine: id.clone(), why });
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

/// Whether a machine that hangs is not terminated yet, because what it had does not serve elsewhere. What
/// must be alone waits for its end, and nothing waits for long.
fn is_kept(
    fleet: &Fleet,
    occupancy: &Occupancy,
    machine: &Machine,
    certificate: &DeathCertificate,
    now: Timestamp,
) -> bool {
    let is_over = now.since(certificate.at) >= REPLACED_WITHIN;
    if certificate.verdict != Verdict::Hangs || is_over {
        return false;
    }
    let mut leaving = occupancy.leaving(&machine.id).filter_map(|id| fleet.instances.get(id));
    let waits_for_its_end = |seen: &SeenInstance| {
        seen.instance.leaving.as_ref().is_some_and(|left| left.moves == Moves::StopFirst)
    };
    if leaving.any(waits_for_its_end) {
        return false;
    }
    let grave = fleet.brakes.tombstones.get(&machine.id);
    let had = grave.into_iter().flat_map(|grave| &grave.instances);
    let mut had = had.filter_map(|id| fleet.instances.get(id));
    had.any(|seen| seen.instance.machine == machine.id || !seen.is_healthy())
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
