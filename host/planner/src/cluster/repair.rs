//! Machines that fell silent: gather witnesses, and give up only what all of them call dead.

use super::{Fleet, Note, ObservedMachine, Plan, Policy, Presence, Step};
use cerebro_model::{DeathCertificate, MachineState, Timestamp, ZoneName};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a witness's word is good for before it is asked again.
const WORD_HOLDS: Duration = Duration::from_secs(1);

pub(super) fn plan(fleet: &Fleet, policy: &Policy, now: Timestamp, plan: &mut Plan) {
    let breakers = open_breakers(fleet, policy, now);
    for (zone, why) in &breakers {
        plan.notes.push(Note::BreakerOpen { zone: zone.clone(), why: why.clone() });
    }
    for (id, observed) in &fleet.machines {
        match &observed.machine.state {
            MachineState::Provisioning => {
                let waiting = now.since(observed.machine.created_at.max(policy.started_at));
                if waiting > policy.join_within {
                    let reason =
                        format!("{id} has not joined within {} s", policy.join_within.as_secs());
                    plan.decide(Step::GiveUp(id.clone()), reason);
                }
            }
            MachineState::Active { .. } => {
                if let Some(silent) = silence(observed, policy, now) {
                    judge(observed, silent, &breakers, now, plan);
                }
            }
            MachineState::Lost { .. } | MachineState::Terminating { .. } => {
                let reason = format!("{id} was given up; what may be left of it goes");
                plan.decide(Step::Destroy(id.clone()), reason);
            }
        }
    }
}

/// Since when an active machine has been silent for too long, if it has.
fn silence(observed: &ObservedMachine, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
    let MachineState::Active { since: joined } = observed.machine.state else { return None };
    // A machine unheard since the start gets twice the time: its agent may just be backing off. One
    // that has just joined may not have been heard otherwise yet.
    let (since, patience) = match observed.last_heartbeat {
        Some(last) => (last, policy.suspect_after),
        None => (policy.started_at.max(joined), policy.suspect_after * 2),
    };
    (now.since(since) >= patience).then_some(since)
}

/// Whether a machine is silent, so that nothing new should be placed on it.
pub(super) fn is_silent(observed: &ObservedMachine, policy: &Policy, now: Timestamp) -> bool {
    silence(observed, policy, now).is_some()
}

/// Zones of which so much is silent at once that the fault may be ours. One machine may always
/// die, however small the zone.
fn open_breakers(fleet: &Fleet, policy: &Policy, now: Timestamp) -> BTreeMap<ZoneName, String> {
    let mut zones: BTreeMap<&ZoneName, (u32, u32)> = BTreeMap::new();
    for observed in fleet.machines.values().filter(|o| o.machine.state.is_active()) {
        let (silent, all) = zones.entry(&observed.machine.zone).or_default();
        *silent += u32::from(is_silent(observed, policy, now));
        *all += 1;
    }
    let over = zones.into_iter().filter(|(_, (silent, all))| {
        *silent > 1
            && u64::from(*silent) * 100 > u64::from(*all) * u64::from(policy.breaker_percent)
    });
    over.map(|(zone, (silent, all))| {
        let why = format!(
            "{silent} of {all} machines in {zone} are silent at once: the fault may be the controller's own, so nothing \
             there is given up until some are heard again"
        );
        (zone.clone(), why)
    })
    .collect()
}

/// Asks the next witness, or gives the machine up once all have spoken against it.
fn judge(
    observed: &ObservedMachine,
    silent_since: Timestamp,
    breakers: &BTreeMap<ZoneName, String>,
    now: Timestamp,
    plan: &mut Plan,
) {
    let id = &observed.machine.id;
    let fresh = |at: Timestamp| at > silent_since && now.since(at) < WORD_HOLDS;
    let silent =
        format!("no heartbeat from {id} for {:.1} s", now.since(silent_since).as_secs_f64());
    let Some(probe) = observed.probe.as_ref().filter(|probe| fresh(probe.at)) else {
        plan.decide(Step::Probe(id.clone()), silent);
        return;
    };
    if probe.answered {
        let why = format!("{silent}, but its agent answers the controller's probe");
        plan.notes.push(Note::Suspect { machine: id.clone(), why });
        return;
    }
    let Some(word) = observed.provider.as_ref().filter(|word| fresh(word.at)) else {
        plan.decide(
            Step::AskProvider(id.clone()),
            format!("{silent}, and its agent does not answer: {}", probe.said),
        );
        return;
    };
    if word.presence != Presence::Gone {
        let why = format!(
            "{silent}, its agent does not answer ({}), but the provider says: {}",
            probe.said, word.said
        );
        plan.notes.push(Note::Suspect { machine: id.clone(), why });
        return;
    }
    if breakers.contains_key(&observed.machine.zone) {
        return;
    }
    let certificate = DeathCertificate {
        at: now,
        last_heartbeat: observed.last_heartbeat,
        probe: probe.said.clone(),
        provider: word.said.clone(),
    };
    let reason = format!("{silent}; probe: {}; provider: {}", probe.said, word.said);
    plan.decide(Step::DeclareLost(id.clone(), certificate), reason);
}
