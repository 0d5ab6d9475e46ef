//! Machines that fell silent: gather witnesses, and give up only what all of them speak against.

use super::climb::{Case, Silence};
use super::peers::InContact;
use super::{
    Condemned, Fleet, Note, ObservedMachine, Occupancy, Plan, Policy, Presence, Step, brakes, turn,
};
use cerebro_model::{
    DeathCertificate, Machine, MachineId, MachineState, Origin, PauseScope, Repair, Timestamp,
    Verdict, ZoneName,
};
use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a machine takes to be in contact again once what cut it off is taken back: twice what its agent
/// waits for it.
const WAY_BACK: Duration = Duration::from_secs(30);

/// How long a witness's word is good for before it is asked again.
const WORD_HOLDS: Duration = Duration::from_secs(1);

/// About how many machines others are asked at one look: where more than these hang at once, they wait
/// for their turn.
const ASKED_ABOUT: usize = 32;

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
    let (contact, asked_about) = (OnceCell::new(), Cell::new(0));
    let bench = Bench { fleet, policy, now, breakers: &breakers, contact, asked_about };
    for (id, observed) in &fleet.machines {
        match &observed.machine.state {
            MachineState::Pending { .. } if observed.machine.origin.is_joined() => {
                expire(&observed.machine, now, plan);
            }
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
                    bench.judge(observed, silence, plan);
                }
            }
            // What is left of those that were given up, `turn` sees to; nothing is held against one in
            // maintenance.
            _ => {}
        }
    }
}

/// Forgets a machine that was to be joined by hand and was not: nothing was made of it that could be lost.
fn expire(machine: &Machine, now: Timestamp, plan: &mut Plan) {
    if let Origin::Joined { host, join_by } = &machine.origin
        && now > *join_by
    {
        let reason = format!("{host} was to be joined by hand until {join_by}, and was not");
        turn::terminate(machine, &reason, plan);
    }
}

/// Since when a machine that runs has been silent for too long, if it has.
pub(super) fn silence(
    observed: &ObservedMachine,
    policy: &Policy,
    now: Timestamp,
) -> Option<Timestamp> {
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

/// What a machine that fell silent is judged by.
struct Bench<'a> {
    fleet: &'a Fleet,
    policy: &'a Policy,
    now: Timestamp,
    breakers: &'a BTreeMap<ZoneName, String>,
    /// Who can be asked; found out only if somebody is to be.
    contact: OnceCell<InContact<'a>>,
    /// About how many machines others are asked in this look.
    asked_about: Cell<usize>,
}

impl<'a> Bench<'a> {
    /// Asks the next witness, tells what is known, and gives the machine up once all have spoken against
    /// it. A word is asked for again after a while; until then it is what is known.
    fn judge(&self, observed: &'a ObservedMachine, silence: Silence, plan: &mut Plan) {
        let now = self.now;
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
        let zone = &observed.machine.zone;
        let breaker = self.breakers.contains_key(zone);
        let is_fresh = fresh_probe.is_some() && fresh_word.is_some();
        if let Presence::Running | Presence::Unknown = word.presence {
            let why = format!(
                "{silent}, its agent does not answer ({}), but the provider says: {}",
                probe.said, word.said
            );
            let why = match word.presence {
                Presence::Running => {
                    let case = Case { observed, silence, probe, word, why, breaker, is_fresh };
                    self.hear_peers_and_climb(&case, plan)
                }
                // Nobody can say whether it runs, nor start it again: other machines look, and it has its time.
                Presence::Unknown if observed.machine.origin.is_joined() => {
                    let case = Case { observed, silence, probe, word, why, breaker, is_fresh };
                    self.hear_peers_and_climb(&case, plan)
                }
                // Of what it cannot see it can start nothing again.
                Presence::Unknown | Presence::Ending | Presence::Gone => Some(why),
            };
            let told = why.map(|why| Note::Suspect { machine: id.clone(), why });
            return plan.notes.extend(told);
        }
        let why = format!("{silent}; probe: {}; provider: {}", probe.said, word.said);
        plan.condemned.push(Condemned {
            repair: Repair::GiveUp,
            machine: id.clone(),
            zone: zone.clone(),
            why: why.clone(),
            since: silent_since,
            breaker,
        });
        if is_fresh {
            let certificate = DeathCertificate {
                at: now,
                verdict: match word.presence {
                    Presence::Gone => Verdict::Gone,
                    _ => Verdict::Ending,
                },
                last_heartbeat: observed.last_heartbeat,
                probe: probe.said.clone(),
                provider: word.said.clone(),
                peers: Vec::new(),
                attempts: Vec::new(),
            };
            plan.decide(Step::DeclareLost(id.clone(), certificate), why);
        }
    }

    /// What its provider calls running, other machines are asked to look at.
    fn hear_peers_and_climb(&self, case: &Case<'a>, plan: &mut Plan) -> Option<String> {
        let (observed, now) = (case.observed, self.now);
        let contact = self.contact.get_or_init(|| InContact::of(self.fleet, self.policy, now));
        let to_ask = contact.to_ask(observed, case.silence.since, now);
        if !to_ask.is_empty() && self.asked_about.get() < ASKED_ABOUT {
            self.asked_about.set(self.asked_about.get() + 1);
            for peer in to_ask {
                let step = Step::AskPeer(observed.machine.id.clone(), peer.clone());
                plan.decide(step, case.why.clone());
            }
        }
        case.climb(self.fleet, contact, self.policy, now, plan)
    }
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
