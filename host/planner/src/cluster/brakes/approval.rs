//! What waits for a person: all repairs in observe-only mode, and else what the breaker holds.

use crate::cluster::{Condemned, Fleet, Note, Plan, Policy, Step};
use cerebro_model::{MachineId, Proposal, Timestamp};

/// Approvals: of which proposal, for which reason.
pub type Approvals = std::collections::BTreeMap<String, Timestamp>;

/// Takes out of a plan the repairs that nobody has approved, and proposes them.
pub(super) fn hold(fleet: &Fleet, policy: &Policy, plan: &mut Plan) {
    let observe_only = fleet.brakes.observe_only.unwrap_or(policy.limits.observe_only);
    let Plan { decisions, notes, condemned, proposals, .. } = plan;
    for Condemned { repair, machine, zone, why, since, breaker } in condemned.iter() {
        let waits = match (observe_only, breaker) {
            (true, _) => "Cerebro only observes".to_owned(),
            (false, true) => format!("too much of {zone} is silent"),
            (false, false) => continue,
        };
        let (id, repair) = (Proposal::name(*repair, machine), *repair);
        let approved = fleet.approvals.get(&id) == Some(since);
        if !approved {
            let why = format!(
                "{repair} of {machine} waits, because {waits} ({why}): `cerebro repair approve {id}` has it done"
            );
            notes.push(Note::Proposed { id: id.clone(), why });
        }
        let (machine, zone, why) = (machine.clone(), zone.clone(), why.clone());
        let since = *since;
        proposals.push(Proposal { id, repair, machine, zone, why, waits, since, approved });
    }
    let waits = |id: &MachineId| proposals.iter().any(|it| it.machine == *id && !it.approved);
    decisions.retain(|it| match &it.step {
        Step::DeclareLost(id, _) | Step::GiveUp(id) | Step::Try(id, _) => !waits(id),
        _ => true,
    });
}

/// Whether a person has approved that a machine is given up, for what speaks for it now.
pub(super) fn is_approved(fleet: &Fleet, condemned: &[Condemned], id: &MachineId) -> bool {
    approved(fleet, condemned, id).any(|it| it.repair.is_final())
}

/// Whether a person has approved what is to be done with a machine, whatever that is.
pub(super) fn is_approved_repair(fleet: &Fleet, condemned: &[Condemned], id: &MachineId) -> bool {
    approved(fleet, condemned, id).next().is_some()
}

fn approved<'a>(
    fleet: &'a Fleet,
    condemned: &'a [Condemned],
    id: &'a MachineId,
) -> impl Iterator<Item = &'a Condemned> {
    condemned.iter().filter(move |it| {
        let approval = fleet.approvals.get(&Proposal::name(it.repair, &it.machine));
        it.machine == *id && approval == Some(&it.since)
    })
}
