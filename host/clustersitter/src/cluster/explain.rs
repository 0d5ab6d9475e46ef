//! How a job or a machine stands, and why: what should be, what is, what stands in the way, and what is
//! decided next.

use super::{Cluster, State};
use crate::decisions::{LogError, Wanted, read, replay};
use cerebro_api::explain::{Decided, DecisionSummary, DecisionView, Explained, Explanation};
use cerebro_model::{DecisionId, JobName, MachineId, PauseScope, Subject};
use cerebro_planner::cluster::{Brake, Decision, Note, explain, plan};
use std::collections::BTreeSet;

/// Looks that an explanation ends with.
const LAST: usize = 8;
/// Instances of a job that are named one by one, if they are not well.
const NAMED: usize = 8;

impl Cluster {
    /// The last looks that decided something that is wanted, the newest first. It reads the log: not for a
    /// thread that others wait for.
    pub fn decided(&self, wanted: &Wanted, limit: usize) -> Result<Vec<DecisionSummary>, LogError> {
        self.decisions().map_or(Ok(Vec::new()), |log| read::list(log.directory(), wanted, limit))
    }

    /// One look, with what it rests on, and what comes of it when it is taken again now.
    pub fn explain_decision(&self, id: &DecisionId) -> Result<DecisionView, LogError> {
        let log = self.decisions().ok_or_else(|| LogError::Unknown(id.clone()))?;
        read::find(log.directory(), id).map(|kept| view(&kept))
    }

    /// How a job stands; none if there is none.
    pub fn explain_job(&self, name: &JobName) -> Result<Option<Explanation>, LogError> {
        let wanted = Wanted { job: Some(name.clone()), machine: None };
        let found = {
            let state = self.state();
            state.records.jobs.get(name).map(|record| {
                let linked = record.job.linked_job.as_ref();
                let mut should = should_of(&state, name);
                should.extend(
                    linked.map(|to| format!("each beside one of {to}, to which it is linked")),
                );
                (should, is_of(&state, name), in_the_way_of_job(&state, name))
            })
        };
        let Some((should, is, in_the_way)) = found else { return Ok(None) };
        let next = self.next(&wanted);
        let decisions = self.decided(&wanted, LAST)?;
        Ok(Some(Explanation { of: format!("job {name}"), should, is, in_the_way, next, decisions }))
    }

    /// How a machine stands, or what is remembered of it; none if nothing is.
    pub fn explain_machine(&self, id: &MachineId) -> Result<Option<Explanation>, LogError> {
        let wanted = Wanted { machine: Some(id.clone()), job: None };
        let found = machine_of(&self.state(), id);
        let decisions = self.decided(&wanted, LAST)?;
        let Some((should, is, in_the_way)) = found else {
            return Ok((!decisions.is_empty()).then(|| Explanation {
                of: format!("machine {id}"),
                should: Vec::new(),
                is: vec![format!("{id} is not there any more")],
                in_the_way: Vec::new(),
                next: Vec::new(),
                decisions,
            }));
        };
        let next = self.next(&wanted);
        Ok(Some(Explanation {
            of: format!("machine {id}"),
            should,
            is,
            in_the_way,
            next,
            decisions,
        }))
    }

    /// What would be decided now that is wanted.
    fn next(&self, wanted: &Wanted) -> Vec<String> {
        let (fleet, policy, now) = (self.fleet(), self.policy(), self.now());
        let plan = plan(&fleet, &policy, now);
        let about = |it: &&Decision| wanted.is(&it.step.about(&fleet), &it.reason);
        plan.decisions.iter().filter(about).map(ToString::to_string).collect()
    }
}

/// A look that was kept, explained.
pub fn view(kept: &read::Kept) -> DecisionView {
    let head = &kept.head;
    let again = replay::of(kept);
    let (mut rests, mut saw) = (Vec::new(), Vec::new());
    if let (Ok(look), Ok(decisions)) = (&kept.look, head.decisions()) {
        let fleet = look.fleet();
        saw = explain::saw(&fleet, &look.policy, head.at);
        let rests_on = |at| explain::rests_on(&fleet, &look.policy, &decisions, at, head.at);
        rests = (0..decisions.len()).map(rests_on).collect();
    }
    let mut rests = rests.into_iter();
    let explained = |decided: &Decided| Explained {
        decided: decided.clone(),
        rests_on: rests.next().unwrap_or_default(),
    };
    DecisionView {
        id: head.id.clone(),
        at: head.at,
        version: head.version.clone(),
        decided: head.decided.iter().map(explained).collect(),
        held: head.held.clone(),
        saw,
        again,
    }
}

fn should_of(state: &State, name: &JobName) -> Vec<String> {
    let Some(target) = state.kept.fleet().target(name) else {
        return vec!["nothing: no deployment of it has succeeded or is on its way".to_owned()];
    };
    let layout = target.job.deployment_layout.iter();
    let zones: Vec<_> =
        layout.map(|(zone, layout)| format!("{} in {zone}", layout.instances())).collect();
    let (id, version, word) = (&target.id, &target.version, target.word());
    vec![format!("{} with {version}, by {id} ({word})", zones.join(", "))]
}

fn is_of(state: &State, name: &JobName) -> Vec<String> {
    let of_job = || state.kept.fleet().instances.values().filter(|it| it.instance.job == *name);
    let (all, well) = (of_job().count(), of_job().filter(|it| it.is_healthy()).count());
    let mut lines = vec![format!("{all} have a machine, {well} are healthy")];
    let not: Vec<_> = of_job().filter(|it| !it.is_healthy()).collect();
    lines.extend(not.iter().take(NAMED).map(|seen| {
        let (id, machine) = (&seen.instance.id, &seen.instance.machine);
        let deployment = &seen.instance.deployment;
        match &seen.status {
            None => format!("{id} is on {machine} with {deployment}, and was not heard of yet"),
            Some(status) if status.message.is_empty() => {
                format!("{id} is {} on {machine} with {deployment}", status.phase)
            }
            Some(status) => {
                let (phase, said) = (status.phase, &status.message);
                format!("{id} is {phase} on {machine} with {deployment}: {said}")
            }
        }
    }));
    let more = not.len().saturating_sub(NAMED);
    lines.extend((more > 0).then(|| format!("and {more} more that are not healthy")));
    lines
}

/// What holds for everything, or for a zone of these.
fn holds_all(note: &Note, zones: &BTreeSet<&cerebro_model::ZoneName>) -> bool {
    match note {
        Note::Doubt { .. } | Note::Paused { scope: PauseScope::Cluster, .. } => true,
        Note::Paused { scope: PauseScope::Zone(zone), .. } | Note::BreakerOpen { zone, .. } => {
            zones.contains(zone)
        }
        Note::Held { brake, .. } => match brake {
            Brake::Losses(None) => true,
            Brake::Losses(Some(zone))
            | Brake::Reboots(zone)
            | Brake::Births(zone)
            | Brake::ZoneBudget(zone) => zones.contains(zone),
            Brake::JobBudget(_) | Brake::Machine(_) | Brake::Instance(_) => false,
        },
        _ => false,
    }
}

fn in_the_way_of_job(state: &State, name: &JobName) -> Vec<String> {
    let of_job = || state.kept.fleet().instances.values().filter(|it| it.instance.job == *name);
    let machines: BTreeSet<_> = of_job().map(|it| &it.instance.machine).collect();
    let job = state.records.jobs.get(name);
    let zones = job.into_iter().flat_map(|it| it.job.deployment_layout.keys()).collect();
    let wanted = Wanted { job: Some(name.clone()), machine: None };
    let concerns = |note: &&Note| {
        let about: Subject = note.about();
        let here = about.machine.as_ref().is_some_and(|id| machines.contains(id));
        let paused =
            matches!(note, Note::Paused { scope: PauseScope::Job(job), .. } if job == name);
        here || paused || wanted.is(&about, "") || holds_all(note, &zones)
    };
    state.observed.notes.iter().filter(concerns).map(ToString::to_string).collect()
}

/// What should be on a machine, how it is, and what stands in the way there.
type Standing = (Vec<String>, Vec<String>, Vec<String>);

fn machine_of(state: &State, id: &MachineId) -> Option<Standing> {
    let buried = state.records.tombstones.get(id);
    let Some(record) = state.records.machines.get(id) else {
        let buried = buried?;
        let mut is = vec![format!("it was given up at {}: {}", buried.at, buried.why)];
        is.extend(buried.gone_at.map(|at| format!("nothing is left of it since {at}")));
        return Some((Vec::new(), is, Vec::new()));
    };
    let machine = &record.machine;
    let (occupancy, fleet) = (state.kept.occupancy(), state.kept.fleet());
    let tenants: Vec<_> = occupancy.tenants(id).filter_map(|it| fleet.instances.get(it)).collect();
    let should = match tenants.len() {
        0 => vec!["nothing is placed on it".to_owned()],
        _ => tenants
            .iter()
            .map(|it| format!("{} with {}", it.instance.id, it.instance.deployment))
            .collect(),
    };
    let (word, details) = (machine.state.word(), machine.state.details());
    let details = if details.is_empty() { details } else { format!(": {details}") };
    let mut is = vec![format!("it is {word} in {}{details}", machine.zone)];
    is.push(match state.observed.heartbeats.get(id) {
        Some(heard) => format!("it was heard last at {}", heard.at),
        None => "it was not heard since this controller started".to_owned(),
    });
    let well = tenants.iter().filter(|it| it.is_healthy()).count();
    is.push(format!("{well} of the {} instances that are placed on it are healthy", tenants.len()));
    is.extend(buried.map(|it| format!("it was given up at {}: {}", it.at, it.why)));
    let zones = BTreeSet::from([&machine.zone]);
    let wanted = Wanted { machine: Some(id.clone()), job: None };
    let concerns = |note: &&Note| wanted.is(&note.about(), "") || holds_all(note, &zones);
    let notes = state.observed.notes.iter().filter(concerns).map(ToString::to_string);
    let lock = machine.lock.as_ref();
    let lock = lock.map(|lock| format!("it is locked: nothing terminates it ({})", lock.reason));
    let proposed = state.observed.proposals.iter().filter(|it| it.machine == *id);
    let proposed = proposed.map(|it| {
        format!(
            "{} waits for a person, because {}: `cerebro repair approve {}`",
            it.repair, it.waits, it.id
        )
    });
    Some((should, is, notes.chain(lock).chain(proposed).collect()))
}
