//! What the planner wants people to know: shown while it holds, told when it begins and ends.

use super::{Cluster, State, about_machine, event};
use crate::records::NewEvent;
use cerebro_model::{
    DecisionId, DeploymentId, EventKind, JobName, MachineId, PauseScope, Subject, ZoneName,
};
use cerebro_planner::cluster::{Brake, Note};
use cerebro_store::CommitError;
use std::collections::BTreeSet;
use std::fmt::Display;

impl Cluster {
    /// Keeps the planner's notes; answers those that are to be told now, and those that hold no longer.
    pub fn noted(&self, notes: &[Note]) -> (Vec<Note>, Vec<Note>) {
        let observed = &mut self.state().observed;
        observed.notes = notes.to_vec();
        let told = &observed.told_notes;
        (only_in(notes, told), only_in(told, notes))
    }

    /// They were told: not again, as long as they hold.
    pub fn told(&self, notes: Vec<Note>) {
        self.state().observed.told_notes = notes;
    }
}

/// Those of these notes of which those say nothing.
fn only_in(these: &[Note], those: &[Note]) -> Vec<Note> {
    let known: BTreeSet<Kind<'_>> = those.iter().map(kind).collect();
    these.iter().filter(|note| !known.contains(&kind(note))).cloned().collect()
}

/// Those of a look's notes that begin with it.
pub(super) fn new(notes: &[Note], told: &[Note]) -> Vec<Note> {
    let mut new = only_in(notes, told);
    // A pause is a person's decision.
    new.retain(|note| !matches!(note, Note::Paused { .. }));
    new
}

/// What is the same, though the words about it change: seconds pass, witnesses are asked again.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Kind<'a> {
    Suspect(&'a MachineId),
    Waits(&'a MachineId),
    BreakerOpen(&'a ZoneName),
    Unplaceable(&'a JobName, &'a ZoneName),
    Masterless(&'a JobName),
    DeploymentWaits(&'a DeploymentId),
    Failing(&'a DeploymentId),
    Paused(&'a PauseScope),
    Doubt,
    Proposed(&'a str),
    Held(&'a Brake),
}

fn kind(note: &Note) -> Kind<'_> {
    match note {
        Note::Suspect { machine, .. } => Kind::Suspect(machine),
        Note::Waits { machine, .. } => Kind::Waits(machine),
        Note::BreakerOpen { zone, .. } => Kind::BreakerOpen(zone),
        Note::Unplaceable { job, zone, .. } => Kind::Unplaceable(job, zone),
        Note::Masterless { job, .. } => Kind::Masterless(job),
        Note::DeploymentWaits { deployment, .. } => Kind::DeploymentWaits(deployment),
        Note::Failing { deployment, .. } => Kind::Failing(deployment),
        Note::Paused { scope, .. } => Kind::Paused(scope),
        Note::Doubt { .. } => Kind::Doubt,
        Note::Proposed { id, .. } => Kind::Proposed(id),
        Note::Held { brake, .. } => Kind::Held(brake),
    }
}

impl State {
    /// The store did not take a change. It cannot be told by an event before it is back; who looks
    /// sees it at once.
    pub(super) fn store_failed(&mut self, error: &CommitError) {
        let why = format!("the controller's store fails ({error})");
        self.kept.doubt(self.now, why.clone());
        let notes = &mut self.observed.notes;
        notes.retain(|note| !matches!(note, Note::Doubt { .. }));
        notes.push(Note::Doubt { why: format!("{why}: nothing is done while it does") });
    }
}

/// The events of notes that are new, by this decision, and of those that hold no longer.
pub fn events(new: Vec<Note>, gone: Vec<Note>, decision: Option<&DecisionId>) -> Vec<NewEvent> {
    let decided = |event| NewEvent { decision: decision.cloned(), ..event };
    let begin = new.into_iter().filter_map(begins).map(decided);
    begin.chain(gone.into_iter().filter_map(ends)).collect()
}

fn about_job(job: JobName) -> Subject {
    Subject { job: Some(job), ..Subject::default() }
}

fn begins(note: Note) -> Option<NewEvent> {
    Some(match note {
        Note::Unplaceable { job, zone, why } => {
            let message = format!("{job} has no place in {zone} for every instance: {why}");
            event(EventKind::InstanceUnplaceable, about_job(job), message)
        }
        Note::Masterless { job, why } => {
            let message = format!("{job} has no place: {why}");
            event(EventKind::InstanceUnplaceable, about_job(job), message)
        }
        Note::DeploymentWaits { deployment, job, why } => {
            let about = Subject { deployment: Some(deployment), ..about_job(job) };
            event(EventKind::DeploymentWaits, about, why)
        }
        Note::Failing { deployment, job, why } => {
            let message = failing(&deployment, &job, &why);
            let about = Subject { deployment: Some(deployment), ..about_job(job) };
            event(EventKind::DeploymentPaused, about, message)
        }
        Note::BreakerOpen { why, .. } => event(EventKind::BreakerOpen, Subject::default(), why),
        Note::Doubt { why } => event(EventKind::ControllerInDoubt, Subject::default(), why),
        Note::Held { brake, why } => event(EventKind::RepairHeld, about_brake(&brake), why),
        Note::Proposed { why, .. } => event(EventKind::RepairProposed, Subject::default(), why),
        Note::Suspect { machine, why } => {
            event(EventKind::MachineSilent, about_machine(&machine), why)
        }
        Note::Waits { machine, why } => {
            event(EventKind::MachineWaits, about_machine(&machine), why)
        }
        // Told by whoever paused it.
        Note::Paused { .. } => return None,
    })
}

fn ends(note: Note) -> Option<NewEvent> {
    Some(match note {
        Note::BreakerOpen { zone, .. } => {
            let message =
                format!("enough of {zone} is heard again; machines there are repaired as usual");
            event(EventKind::BreakerClosed, Subject::default(), message)
        }
        Note::Doubt { .. } => {
            let message = "the controller has listened for a while, and goes on as usual";
            event(EventKind::ControllerSure, Subject::default(), message)
        }
        Note::Held { brake, .. } => {
            event(EventKind::RepairFreed, about_brake(&brake), freed(&brake))
        }
        Note::Unplaceable { .. }
        | Note::Masterless { .. }
        | Note::Suspect { .. }
        | Note::DeploymentWaits { .. }
        | Note::Failing { .. }
        | Note::Waits { .. }
        | Note::Proposed { .. }
        | Note::Paused { .. } => return None,
    })
}

/// What a deployment would come to that a person holds.
fn failing(deployment: &DeploymentId, job: &JobName, why: &impl Display) -> String {
    format!("{deployment} of {job} is paused, and would fail else: {why}")
}

fn freed(brake: &Brake) -> String {
    match brake {
        Brake::Losses(Some(zone)) => format!("machines of {zone} can be given up again"),
        Brake::Losses(None) => "machines can be given up again".to_owned(),
        Brake::Reboots(zone) => format!("machines of {zone} can be rebooted again"),
        Brake::Births(zone) | Brake::ZoneBudget(zone) => {
            format!("machines can be made in {zone} again")
        }
        Brake::JobBudget(job) => format!("instances of {job} can be placed again"),
        Brake::Machine(machine) => format!("{machine} can be given something to do again"),
        Brake::Instance(instance) => format!("{instance} can be placed again"),
    }
}

fn about_brake(brake: &Brake) -> Subject {
    match brake {
        Brake::Machine(id) => about_machine(id),
        Brake::JobBudget(job) => about_job(job.clone()),
        Brake::Instance(id) => Subject { instance: Some(id.clone()), ..Subject::default() },
        Brake::Losses(_) | Brake::Reboots(_) | Brake::Births(_) | Brake::ZoneBudget(_) => {
            Subject::default()
        }
    }
}
