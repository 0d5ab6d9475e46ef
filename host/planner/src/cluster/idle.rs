//! Machines without work: how many a zone keeps, and which go.

use super::fill::Filled;
use super::yard::Standing;
use super::{Fleet, ObservedMachine, Occupancy, Plan, Policy, turn};
use cerebro_model::{Machine, MachineId, Timestamp};
use std::collections::BTreeSet;

/// One machine too many goes at a time in each zone: what follows from that is seen before the next.
pub(super) fn plan(
    fleet: &Fleet,
    policy: &Policy,
    now: Timestamp,
    filled: &Filled<'_>,
    plan: &mut Plan,
) {
    for (zone, allowed) in &policy.zones {
        let Some(limit) = allowed.idle else { continue };
        // What was joined by hand is nobody's to end, and beyond what a zone keeps.
        let made = |it: &&ObservedMachine| it.machine.origin.is_provisioned();
        let of_zone = fleet.machines.values().filter(|it| it.machine.zone == *zone).filter(made);
        // While one dies, comes or goes, those without work may be needed in a moment.
        let is_moving = |it: &Machine| it.state.is_pending() || !it.state.runs();
        if of_zone.into_iter().any(|it| is_moving(&it.machine)) {
            continue;
        }
        let is_made = |id: &MachineId| fleet.machines.get(id).as_ref().is_some_and(made);
        let machines: Vec<_> = filled.yard.machines(zone).filter(|(id, ..)| is_made(id)).collect();
        if machines.iter().any(|(_, standing, _)| *standing == Standing::Silent) {
            continue;
        }
        let is_idle = |(_, standing, is_free): &&(&MachineId, Standing, bool)| {
            *is_free && *standing == Standing::Here
        };
        let idle: Vec<_> = machines.iter().filter(is_idle).collect();
        // One in maintenance comes back; one that is drained may not.
        let stays = |(_, standing, is_free): &&(&MachineId, Standing, bool)| {
            *standing == Standing::Maintenance || (*standing == Standing::Here && !is_free)
        };
        let others = machines.iter().filter(stays).count();
        let kept = (allowed.min as usize).saturating_sub(others) + limit as usize;
        if idle.len() <= kept {
            continue;
        }
        let named = named(fleet);
        let candidates = idle.iter().filter_map(|(id, ..)| {
            let observed = fleet.machines.get(*id)?;
            let machine = &observed.machine;
            let since = observed.idle_since?;
            // What an operator marked has a purpose that Cerebro does not know.
            let is_free = machine.lock.is_none()
                && machine.labels.is_empty()
                && !named.contains(id.as_str())
                && observed.reported == Some(0)
                && now.since(since) >= allowed.idle_for;
            is_free.then_some((since, machine))
        });
        // The one that was needed least; of equal ones the newest.
        let first = candidates.min_by(|(one, a), (other, b)| {
            one.cmp(other).then_with(|| b.created_at.cmp(&a.created_at))
        });
        if let Some((since, machine)) = first {
            let reason = format!(
                "it has had no work for {} s; {} machines in {zone} have none, and {kept} without work are kept",
                now.since(since).as_secs(),
                idle.len()
            );
            turn::terminate(machine, &reason, plan);
        }
    }
}

/// Marks since when each machine is without work, as `now` finds them.
pub fn mark_idle(fleet: &mut Fleet, occupancy: &Occupancy, now: Timestamp) {
    // Both are in the order of the ids.
    let mut occupied = occupancy.machines().peekable();
    for (id, observed) in &mut fleet.machines {
        while occupied.next_if(|(other, _)| *other < id).is_some() {}
        let is_free = occupied.peek().is_none_or(|(other, _)| *other != id);
        let is_idle = is_free && observed.machine.state.is_active();
        observed.idle_since = is_idle.then(|| observed.idle_since.unwrap_or(now));
    }
}

/// Machines that some job asks for by their ids.
fn named(fleet: &Fleet) -> BTreeSet<&str> {
    let jobs = fleet.jobs.values().map(|record| &record.job);
    let jobs = jobs.chain(fleet.deployments.values().map(|deployment| &deployment.job));
    let wishes = jobs.flat_map(|job| job.placement.require.iter().chain(&job.placement.prefer));
    let own = wishes.filter(|(label, _)| label.as_str() == Machine::OWN_LABEL);
    own.flat_map(|(_, values)| values.iter().map(|value| value.as_str())).collect()
}
