//! Machines that fell silent: gather witnesses, and give up only what all of them call dead.

use super::ladder::{self, Next};
use super::{
    Condemned, Fleet, Note, ObservedMachine, Occupancy, Plan, Policy, Presence, Step, brakes, turn,
};
use cerebro_model::{
    DeathCertificate, MachineId, MachineState, PauseScope, Repair, Rung, Timestamp, ZoneName,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a machine takes to be in contact again once what cut it off is taken back: twice what its agent
/// waits for it.
const WAY_BACK: Duration = Duration::from_secs(30);

/// How long a witness's word is good for before it is asked again.
const WORD_HOLDS: Duration = Duration::from_secs(1);

pub(super) fn plan(
    fleet: &Fleet,
    occupancy: &Occupancy,
    policy: &Policy,
    now: Timestamp,
    plan: &mut Plan,
) {
    let breakers = open_breakers(fleet, policy, now);
    for (zone, why) in &breakers {
        plan.notes.push(Note::BreakerOpen { zone: zone.clone(), why: why.clone() });
    }
    for (id, observed) in &fleet.machines {
        match &observed.machine.state {
            MachineState::Pending { .. } => {
                // While nothing was to be made of it, no time was lost.
                let scopes = [PauseScope::Cluster, PauseScope::Zone(observed.machine.zone.clone())];
                let paused = brakes::last_end(fleet, &scopes, now).max(fleet.own.last_doubt());
                let paused = paused.unwrap_or(policy.started_at);
                let created = observed.machine.created_at;
                // One from the future was made by a clock that was set back since.
                let created = if created > now { policy.started_at } else { created };
                let since = created.max(policy.started_at).max(paused);
                let waiting = now.since(since);
                if waiting > policy.join_within {
                    let reason =
                        format!("{id} has not joined within {} s", policy.join_within.as_secs());
                    // What is locked no repair touches, also not if somebody approves it.
                    if observed.machine.lock.is_some() {
                        turn::terminate(&observed.machine, &reason, plan);
                        continue;
                    }
                    plan.condemned.push(Condemned {
                        repair: Repair::GiveUpUnjoined,
                        machine: id.clone(),
                        zone: observed.machine.zone.clone(),
                        why: reason.clone(),
                        since,
                        breaker: false,
                    });
                    plan.decide(Step::GiveUp(id.clone()), reason);
                }
            }
            MachineState::Active { .. } | MachineState::Draining { .. } => {
                if let Some(since) = silence(observed, policy, now) {
                    let silence = Silence { since, excused: excused(fleet, occupancy, id) };
                    judge(observed, silence, &breakers, policy, now, plan);
                }
            }
            // What is left of those that were given up, `turn` sees to; nothing is held against one in
            // maintenance.
            _ => {}
        }
    }
}

/// Since when a machine that runs has been silent for too long, if it has.
fn silence(observed: &ObservedMachine, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
    let (MachineState::Active { since: joined, .. } | MachineState::Draining { since: joined, .. }) =
        observed.machine.state
    else {
        return None;
    };
    // A machine unheard since the start gets twice the time: its agent may just be backing off. One
    // that has just joined, or come out of maintenance, may not have been heard otherwise yet.
    // By a clock that was set back since it joined, what was heard counts all the same.
    let counts = |last: &Timestamp| *last >= joined || joined > now;
    let (since, patience) = match observed.last_heartbeat.filter(counts) {
        Some(last) => (last, policy.suspect_after),
        // One from the future has joined by a clock that was set back since.
        None if joined > now => (policy.started_at, policy.detection()),
        None => (policy.started_at.max(joined), policy.detection()),
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
    for observed in fleet.machines.values().filter(|o| o.machine.state.is_watched()) {
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
             there is given up until some are heard again, or a person approves it"
        );
        (zone.clone(), why)
    })
    .collect()
}

/// Asks the next witness, tells what is known, and gives the machine up once all have spoken against
/// it. A word is asked for again after a while; until then it is what is known.
fn judge(
    observed: &ObservedMachine,
    silence: Silence,
    breakers: &BTreeMap<ZoneName, String>,
    policy: &Policy,
    now: Timestamp,
    plan: &mut Plan,
) {
    let (id, silent_since) = (&observed.machine.id, silence.since);
    let is_fresh = |at: Timestamp| now.since(at) < WORD_HOLDS;
    let silent =
        format!("no heartbeat from {id} for {:.1} s", now.since(silent_since).as_secs_f64());
    let probe = observed.probe.as_ref().filter(|probe| probe.at > silent_since);
    let word = observed.provider.as_ref().filter(|word| word.at > silent_since);
    let fresh_probe = probe.filter(|probe| is_fresh(probe.at));
    let fresh_word = word.filter(|word| is_fresh(word.at));
    match (fresh_probe, fresh_word) {
        (None, _) => plan.decide(Step::Probe(id.clone()), silent.clone()),
        (Some(probe), None) if !probe.answered => plan.decide(
            Step::AskProvider(id.clone()),
            format!("{silent}, and its agent does not answer: {}", probe.said),
        ),
        _ => {}
    }
    let Some(probe) = probe else { return };
    if probe.answered {
        let why = format!("{silent}, but its agent answers the controller's probe");
        return plan.notes.push(Note::Suspect { machine: id.clone(), why });
    }
    let Some(word) = word else { return };
    if word.presence != Presence::Gone {
        let why = format!(
            "{silent}, its agent does not answer ({}), but the provider says: {}",
            probe.said, word.said
        );
        let is_fresh = fresh_probe.is_some() && fresh_word.is_some();
        let breaker = breakers.contains_key(&observed.machine.zone);
        let why = match word.presence {
            Presence::Running => {
                let said = Said { why, silence, breaker, is_fresh };
                climb(observed, said, policy, now, plan)
            }
            // Of what it cannot see it can start nothing again.
            Presence::Unknown | Presence::Gone => why,
        };
        return plan.notes.push(Note::Suspect { machine: id.clone(), why });
    }
    let zone = &observed.machine.zone;
    let why = format!("{silent}; probe: {}; provider: {}", probe.said, word.said);
    plan.condemned.push(Condemned {
        repair: Repair::GiveUp,
        machine: id.clone(),
        zone: zone.clone(),
        why: why.clone(),
        since: silent_since,
        breaker: breakers.contains_key(zone),
    });
    if fresh_probe.is_some() && fresh_word.is_some() {
        let certificate = DeathCertificate {
            at: now,
            last_heartbeat: observed.last_heartbeat,
            probe: probe.said.clone(),
            provider: word.said.clone(),
        };
        plan.decide(Step::DeclareLost(id.clone(), certificate), why);
    }
}

/// A silence, and for how long a machine's own recipes may be the reason.
#[derive(Clone, Copy)]
struct Silence {
    since: Timestamp,
    excused: Duration,
}

/// How long a machine has to find out by itself that a recipe has cut it off, and to take that back: who
/// starts its agent again meanwhile has it begin anew. It is the time of the recipe, of looking whether the
/// controller is reached, and of the way back.
fn excused(fleet: &Fleet, occupancy: &Occupancy, id: &MachineId) -> Duration {
    let here = occupancy.tenants(id).filter_map(|id| fleet.instances.get(id));
    let deployed_to = here.filter(|seen| seen.phase_of_target().is_none_or(|it| !it.is_well()));
    let rollouts = deployed_to
        .filter_map(|seen| fleet.deployments.get(&seen.instance.deployment))
        .map(|deployment| &deployment.job.rollout)
        .filter(|rollout| rollout.confirm_within.duration() > Duration::ZERO);
    let longest = rollouts.map(|it| it.deadline.duration() + it.confirm_within.duration()).max();
    longest.map_or(Duration::ZERO, |longest| longest + WAY_BACK)
}

/// What the witnesses said of a machine that its provider calls running.
struct Said {
    why: String,
    silence: Silence,
    breaker: bool,
    is_fresh: bool,
}

/// Has the provider of a machine that runs try something; answers what there is to know of it.
fn climb(
    observed: &ObservedMachine,
    said: Said,
    policy: &Policy,
    now: Timestamp,
    plan: &mut Plan,
) -> String {
    let Said { why, silence: Silence { since, excused }, breaker, is_fresh } = said;
    let (attempts, flap) = (&observed.attempts, &policy.limits.flap);
    match ladder::next(&ladder::RULES, attempts, flap, excused, since, now) {
        Next::Wait => why,
        Next::Exhausted => format!("{why}; all was tried that ends no task: somebody has to look"),
        Next::Try(rung) => {
            let repair = match rung {
                Rung::RestartAgent => Repair::RestartAgent,
            };
            let (machine, zone) = (observed.machine.id.clone(), observed.machine.zone.clone());
            if is_fresh {
                plan.decide(Step::Try(machine.clone(), rung), why.clone());
            }
            let so = why.clone();
            plan.condemned.push(Condemned { repair, machine, zone, why: so, since, breaker });
            why
        }
    }
}
