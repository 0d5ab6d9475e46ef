//! What a decision rests on, in sentences: found anew from what its look went by.

use super::family::Families;
use super::need::Need;
use super::yard::Yard;
use super::{
    Decision, Fleet, ObservedMachine, Occupancy, Policy, SeenInstance, Step, brakes, gate, repair,
};
use cerebro_model::{
    Deployment, DeploymentId, Instance, InstanceId, MachineId, Publication, Spread, Timestamp,
    ZoneName,
};
use std::time::Duration;

/// Others of a sort that are named; of the rest their number is told.
const NAMED: usize = 4;

/// What a look saw of the cluster as a whole.
pub fn saw(fleet: &Fleet, policy: &Policy, now: Timestamp) -> Vec<String> {
    let running = fleet.deployments.values().filter(|it| it.state.is_running()).count();
    let (machines, instances) = (fleet.machines.len(), fleet.instances.len());
    let mut lines = vec![format!(
        "machines: {machines}, instances: {instances}, deployments on their way: {running}"
    )];
    let counts = &*fleet.own.excused(policy);
    for (zone, allowed) in &policy.zones {
        let (silent, all) = silent_of(fleet, counts, zone, now);
        lines.push(format!(
            "{zone} keeps {} machines and may have {}; {silent} of the {all} watched ones were silent",
            allowed.min, allowed.max
        ));
    }
    let pauses = fleet.brakes.pauses.values().filter(|it| it.holds(now));
    lines.extend(pauses.map(ToString::to_string));
    lines
}

/// What one of a look's decisions rests on. It is the one at `index` of `decisions`: of a machine that
/// several places were found on, each takes what those before it left.
pub fn rests_on(
    fleet: &Fleet,
    policy: &Policy,
    decisions: &[Decision],
    index: usize,
    now: Timestamp,
) -> Vec<String> {
    let explaining = Explaining { fleet, policy: &fleet.own.excused(policy), now };
    let Some(decision) = decisions.get(index) else { return Vec::new() };
    match &decision.step {
        Step::DeclareLost(id, _) | Step::GiveUp(id) => {
            let mut lines = explaining.witnesses(id);
            lines.extend(explaining.zone_of(id).map(|zone| explaining.losses(zone)));
            lines
        }
        Step::Try(id, _) => {
            let mut lines = explaining.witnesses(id);
            let attempts = fleet.machines.get(id).map_or(0, |it| it.attempts.len());
            lines.push(format!("attempts before this one: {attempts}"));
            lines
        }
        Step::Provision { zone } => explaining.births(zone),
        Step::Place(instance) => explaining.place(instance, decisions.get(..index)),
        Step::Retarget(id, deployment) => {
            let mut lines = explaining.standing(id).into_iter().collect::<Vec<_>>();
            lines.extend(explaining.rollout(deployment));
            lines
        }
        Step::Restart(id, _) | Step::LetGo(id) | Step::Return(id) => {
            explaining.standing(id).into_iter().collect()
        }
        Step::Remove(id) => explaining.standing(id).into_iter().collect(),
        Step::Finish(id, ..) | Step::Promote(id) | Step::Begin(id) | Step::Resume(id) => {
            explaining.rollout(id)
        }
        Step::Turn(id, _) | Step::Destroy(id) => explaining.machine(id).into_iter().collect(),
        Step::Probe(id) | Step::AskProvider(id) | Step::AskPeer(id, _) => explaining.witnesses(id),
        Step::Publish(publication) => explaining.published(&publication.name()),
        Step::ForgetName(job, zone) => explaining.published(&Publication::name_of(zone, job)),
        Step::EndPause(scope) => {
            let pause = fleet.brakes.pauses.get(scope);
            pause.map(|it| format!("{it}; it is {now}")).into_iter().collect()
        }
    }
}

struct Explaining<'a> {
    fleet: &'a Fleet,
    policy: &'a Policy,
    now: Timestamp,
}

/// How many of a zone's watched machines are silent, and how many there are.
fn silent_of(fleet: &Fleet, policy: &Policy, zone: &ZoneName, now: Timestamp) -> (usize, usize) {
    let watched = || {
        let all = fleet.machines.values();
        all.filter(|it| it.machine.zone == *zone && it.machine.state.is_watched())
    };
    let silent = watched().filter(|it| repair::is_silent(it, policy, now)).count();
    (silent, watched().count())
}

fn seconds(span: Duration) -> String {
    format!("{:.1} s", span.as_secs_f64())
}

impl Explaining<'_> {
    fn ago(&self, at: Timestamp) -> String {
        format!("{} before", seconds(self.now.since(at)))
    }

    fn zone_of(&self, id: &MachineId) -> Option<&ZoneName> {
        self.fleet.machines.get(id).map(|it| &it.machine.zone)
    }

    fn machine(&self, id: &MachineId) -> Option<String> {
        let machine = &self.fleet.machines.get(id)?.machine;
        let (word, details) = (machine.state.word(), machine.state.details());
        let details = if details.is_empty() { details } else { format!(" ({details})") };
        Some(format!("{id} was {word}{details}"))
    }

    /// What was published until then.
    fn published(&self, name: &str) -> Vec<String> {
        let Some(named) = self.fleet.names.get(name) else {
            return vec![format!("nothing was published under {name}")];
        };
        let Publication { members, revision, .. } = &named.publication;
        let each = members.iter().map(|(number, it)| format!("{number} on {}", it.machine));
        let said = match named.said {
            Some(said) if said == *revision => "all of it was answered",
            Some(_) => "not all of it was answered yet",
            None => "whether it was answered, was not known",
        };
        let each = each.collect::<Vec<_>>().join(", ");
        vec![format!("published under {name}: {each}; {said}")]
    }

    /// What is known of a machine's life.
    fn witnesses(&self, id: &MachineId) -> Vec<String> {
        let Some(observed) = self.fleet.machines.get(id) else { return Vec::new() };
        let ObservedMachine { machine, last_heartbeat, probe, provider, .. } = observed;
        if machine.state.is_pending() {
            let within = self.policy.join_within.as_secs();
            let made = machine.created_at;
            return vec![format!("{id} was to be made at {made}, and has {within} s to join")];
        }
        let patience = self.policy.suspect_after.as_secs_f64();
        let mut lines = vec![match last_heartbeat {
            Some(at) => format!(
                "heartbeat: the last one came at {at}, {}; {patience} s without one are too long",
                self.ago(*at)
            ),
            None => format!("heartbeat: none came since {}", self.policy.started_at),
        }];
        lines.extend(
            probe
                .as_ref()
                .map(|it| format!("probe: its agent was asked {}: {}", self.ago(it.at), it.said)),
        );
        lines.extend(
            provider
                .as_ref()
                .map(|it| format!("provider: it was asked {}: {}", self.ago(it.at), it.said)),
        );
        let (silent, all) = silent_of(self.fleet, self.policy, &machine.zone, self.now);
        lines.push(format!(
            "breaker: {silent} of {all} machines in {} were silent; more than one and more than {} % hold \
             this",
            machine.zone, self.policy.breaker_percent
        ));
        lines
    }

    fn losses(&self, zone: &ZoneName) -> String {
        let used = brakes::losses_in_words(self.fleet, self.policy, zone, self.now);
        format!("limits: given up before, {used}")
    }

    fn births(&self, zone: &ZoneName) -> Vec<String> {
        let machines = || self.fleet.machines.values().filter(|it| it.machine.zone == *zone);
        let there = |it: &&ObservedMachine| it.machine.state.runs();
        let coming = |it: &&ObservedMachine| it.machine.state.is_pending();
        let (there, coming) = (machines().filter(there).count(), machines().filter(coming).count());
        let allowed = self.policy.zones.get(zone);
        let allowed = allowed
            .map_or(String::new(), |it| format!("; it keeps {} and may have {}", it.min, it.max));
        let used = brakes::births_in_words(self.fleet, self.policy, zone, self.now);
        vec![
            format!("{zone} had {there} machines, and {coming} that were coming{allowed}"),
            format!("limits: {used}"),
        ]
    }

    /// How an instance stood.
    fn standing(&self, id: &InstanceId) -> Option<String> {
        let seen = self.fleet.instances.get(id)?;
        let (machine, deployment) = (&seen.instance.machine, &seen.instance.deployment);
        let phase = match (seen.phase_of_target(), seen.well_for(self.now)) {
            (Some(phase), Some(span)) => format!("{phase}, well for {}", seconds(span)),
            (Some(phase), None) => phase.to_string(),
            (None, _) => "not heard of with that yet".to_owned(),
        };
        Some(format!("{id} was on {machine} with {deployment}: {phase}"))
    }

    /// How far a deployment was, and who of its instances counts.
    fn rollout(&self, id: &DeploymentId) -> Vec<String> {
        let Some(deployment) = self.fleet.deployments.get(id) else { return Vec::new() };
        let rollout = &deployment.job.rollout;
        let of_job = self.fleet.instances.values();
        let of_job = of_job.filter(|it| it.instance.job == *deployment.job_name());
        let (reached, others): (Vec<_>, Vec<_>) =
            of_job.partition(|it| it.instance.deployment == *id);
        let wanted = Families::of(self.fleet).wanted(deployment.job_name()).len();
        let (counting, not): (Vec<&SeenInstance>, Vec<_>) =
            reached.iter().partition(|it| gate::counts(it, rollout, self.now));
        let mut lines = vec![format!(
            "{} of {wanted} instances had {id}, and {} of those counted: healthy for {}, with {} good answers \
             in a row; a batch is {}",
            reached.len(),
            counting.len(),
            rollout.healthy_for,
            rollout.rise,
            rollout.batch
        )];
        let not: Vec<_> = not.iter().filter_map(|it| self.standing(&it.instance.id)).collect();
        lines.extend(named(not));
        if !others.is_empty() {
            let unheard = others.iter().filter(|it| it.status.is_none()).count();
            let (others, well) = (others.len(), others.iter().filter(|it| it.is_healthy()).count());
            lines.push(format!(
                "{others} had another one: {well} were healthy with it, and {unheard} were not heard of"
            ));
        }
        lines
    }

    /// Where else an instance could have gone, and why it went where it goes.
    fn place(&self, instance: &Instance, before: Option<&[Decision]>) -> Vec<String> {
        let mut lines: Vec<_> = self.standing(&instance.id).into_iter().collect();
        let Some(deployment) = self.fleet.deployments.get(&instance.deployment) else {
            return lines;
        };
        let mut occupancy = Occupancy::of(self.fleet);
        let placed = before.unwrap_or_default().iter().filter_map(|it| match &it.step {
            Step::Place(other) => Some(other),
            _ => None,
        });
        for other in placed {
            occupancy.put(other, |id| self.fleet.deployments.get(id));
        }
        // Where it was, and will be: its own room is not in its way.
        occupancy.remove(&instance.id);
        let families = Families::of(self.fleet);
        let family = families.family(deployment.job_name());
        let beside = match family.first() {
            Some(first) if first.id != deployment.id => {
                let master = InstanceId::new(instance.number, &instance.zone, first.job_name());
                lines.push(format!("it is linked to {master}, and goes where that is"));
                return lines;
            }
            _ => family.iter().skip(1).map(|it| it.job_name().to_string()).collect::<Vec<_>>(),
        };
        let together: Vec<&Deployment> =
            if beside.is_empty() { vec![deployment] } else { family.to_vec() };
        let Some(Ok(need)) = Need::of_family(&together, &instance.zone) else { return lines };
        let with = match &*beside {
            [] => String::new(),
            beside => format!(", with room for what is linked to it ({})", beside.join(", ")),
        };
        lines.push(format!("it needs {}{with}", need.amounts));
        let yard = Yard::new(self.fleet, &occupancy, self.policy, self.now);
        let (here, others): (Vec<_>, Vec<_>) = yard
            .contenders(&instance.zone, &need)
            .into_iter()
            .partition(|it| *it.machine == instance.machine);
        if let Some(here) = here.first() {
            lines.push(format!("{} was free on {}", here.words(), instance.machine));
        }
        let order = match need.spread() {
            Spread::Pack => "the tightest is taken",
            Spread::Prefer | Spread::Require => {
                "of those with the fewest of its job, and the most of its wishes met, the tightest is taken"
            }
        };
        match others.len() {
            0 => lines.push("no other machine had room for it".to_owned()),
            _ => {
                lines.push(format!("others that had room too: {}; {order}", others.len()));
                lines.extend(named(
                    others.iter().map(|it| format!("{}: {}", it.machine, it.words())).collect(),
                ));
            }
        }
        lines
    }
}

/// The first few of them, and how many more there are.
fn named(mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(NAMED);
    lines.truncate(NAMED);
    lines.extend((more > 0).then(|| format!("and {more} more")));
    lines
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

    use super::super::testing::{at, fleet, job, policy};
    use super::super::tests::{carry_out, settle};
    use super::super::{Plan, plan};
    use super::*;

    fn explained(fleet: &Fleet, plan: &Plan, now: Timestamp, of: &str) -> String {
        let index = plan.decisions.iter().position(|it| it.to_string().contains(of)).unwrap();
        rests_on(fleet, &policy(3, 4), &plan.decisions, index, now).join("\n")
    }

    #[test]
    fn a_place_says_what_was_free_and_what_else_had_room() {
        let fleet = fleet(&[job("a.b", 2, 0.5, 100)], 3, at(1));
        let plan = plan(&fleet, &policy(3, 4), at(1));
        let words = explained(&fleet, &plan, at(1), "0.z-1.a.b goes to");
        assert!(words.contains("it needs 0.5 cores and 100 MB"), "{words}");
        assert!(words.contains("others that had room too: 2"), "{words}");
        // The second knows what the first has taken.
        let words = explained(&fleet, &plan, at(1), "1.z-1.a.b goes to");
        assert!(
            words.contains("3.5 cores, 3900 MB and 10000 MB of disk")
                && words.contains("1 of its job"),
            "{words}"
        );
    }

    #[test]
    fn a_repair_names_its_witnesses_the_breaker_and_what_the_limits_had_counted() {
        let mut fleet = fleet(&[job("a.b", 2, 0.5, 100)], 4, at(10));
        settle(&mut fleet, &policy(3, 4), at(10));
        let (dead, now) = (MachineId::nth(1), at(14));
        for (id, observed) in &mut fleet.machines {
            observed.last_heartbeat = Some(if *id == dead { at(10) } else { now });
        }
        let plan = loop {
            let plan = plan(&fleet, &policy(3, 4), now);
            if plan.decisions.iter().any(|it| matches!(it.step, Step::DeclareLost(..))) {
                break plan;
            }
            carry_out(&mut fleet, &plan, now);
        };
        let words = explained(&fleet, &plan, now, "is given up");
        for part in [
            "heartbeat: the last one came at 1970-01-01T00:00:10.000Z, 4.0 s before",
            "probe: its agent was asked 0.0 s before: connection refused",
            "provider: it was asked 0.0 s before: its init is gone",
            "breaker: 1 of 4 machines in z-1 were silent; more than one and more than 30 %",
            "limits: given up before, in z-1 0 of 1 in 10 s and 0 of 3 in 10 min",
        ] {
            assert!(words.contains(part), "{part}: {words}");
        }
        assert!(saw(&fleet, &policy(3, 4), now)[1].contains("1 of the 4 watched ones were silent"));
    }
}
