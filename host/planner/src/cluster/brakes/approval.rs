//! What waits for a person: all repairs in observe-only mode, and else what the breaker holds.

use crate::cluster::{Condemned, Fleet, Note, Plan, Policy, Step};
use cerebro_model::{MachineId, Proposal, Timestamp};
use std::collections::BTreeSet;

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
    let waits = proposals.iter().filter(|it| !it.approved).map(|it| &it.machine);
    let waits: BTreeSet<&MachineId> = waits.collect();
    decisions.retain(|it| match &it.step {
        Step::DeclareLost(id, _) | Step::GiveUp(id) | Step::Try(id, _) => !waits.contains(id),
        _ => true,
    });
}

/// What a person has approved, for what speaks for it now.
pub(super) struct Approved<'a> {
    repairs: Vec<&'a Condemned>,
}

impl<'a> Approved<'a> {
    pub(super) fn of(fleet: &Fleet, condemned: &'a [Condemned]) -> Self {
        let is_approved = |it: &&Condemned| {
            // Mostly there are none, and of the condemned there may be thousands.
            !fleet.approvals.is_empty()
                && fleet.approvals.get(&Proposal::name(it.repair, &it.machine)) == Some(&it.since)
        };
        Self { repairs: condemned.iter().filter(is_approved).collect() }
    }

    /// Whether anything is to be done with a machine by a person's word.
    pub(super) fn any(&self, id: &MachineId) -> bool {
        self.repairs.iter().any(|it| it.machine == *id)
    }

    /// Whether a machine is given up by a person's word.
    pub(super) fn end_of(&self, id: &MachineId) -> bool {
        self.repairs.iter().any(|it| it.machine == *id && it.repair.is_final())
    }
}
