//! The loop that makes what is what should be: look, plan, perform, look again. Each action runs
//! in a task of its own; while it does, the planner leaves its instance alone.

use crate::agent::Agent;
use crate::cache;
use crate::calls::{self, Begun, Calls, Kept};
use crate::contact::{self, Contact, Verdict};
use crate::disk::{Outcome, Record, Unconfirmed, chain};
use crate::recipes::{self, Way};
use crate::table::{Doing, Entry, Hold};
use crate::tasks;
use cerebro_model::{Assignment, DeploymentId, EventKind, Instance, InstanceId};
use cerebro_planner::machine::{Action, TRIES, plan};
use cerebro_recipe_engine::Journal;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// How long an action that could not be performed waits for its next try.
const PAUSE: Duration = Duration::from_secs(1);
/// How long contact may take to come back once what cut it off is taken back: a link comes up, and
/// routes are found.
const BACK_WITHIN: Duration = Duration::from_secs(15);

/// Reconciles for ever: looks again whenever the controller has spoken, and whenever an action has
/// ended, well or not. Nothing else changes what the planner goes by.
pub async fn run(agent: Arc<Agent>) {
    loop {
        if let (Some(desired), heard) = agent.desired() {
            for action in plan(&desired, &agent.table.actual()) {
                let (Action::Deploy(id)
                | Action::Start(id)
                | Action::Replace(id)
                | Action::Remove(id)) = &action;
                let assignment = desired.assignments.iter().find(|a| a.instance.id == *id);
                if !heard && agent.table.read(id, |e| e.hold).flatten() == Some(Hold::Unheard) {
                    continue;
                }
                begin(&agent, action.clone(), id.clone(), assignment.cloned());
            }
        }
        agent.wake.notified().await;
    }
}

/// Marks the instance as busy, so that the next plan knows, and performs the action.
fn begin(agent: &Arc<Agent>, action: Action, id: InstanceId, assignment: Option<Assignment>) {
    let doing = match &action {
        Action::Deploy(_) => Doing::Deploying,
        Action::Start(_) => Doing::Starting,
        Action::Replace(_) | Action::Remove(_) => Doing::Stopping,
    };
    if let (Action::Deploy(_), Some(assignment)) = (&action, &assignment)
        && agent.table.read(&id, |_| ()).is_none()
    {
        let boot = agent.boot.clone();
        let record = Record {
            assignment: assignment.clone(),
            deployed: None,
            task: None,
            boot,
            unconfirmed: None,
        };
        agent.table.insert(Entry::new(record));
    }
    agent.table.update(&id, |entry| entry.doing = Some(doing));
    let agent = agent.clone();
    tokio::spawn(async move {
        let _done = Done { agent: agent.clone(), id: id.clone() };
        if let Err(error) = perform(&agent, &action, &id, assignment).await {
            tracing::warn!(%id, ?action, error, "an action failed; it is tried again");
            agent.table.update(&id, |entry| entry.note = error);
            sleep(PAUSE).await;
        }
    });
}

/// However an action ends, its instance is not busy any more.
struct Done {
    agent: Arc<Agent>,
    id: InstanceId,
}

impl Drop for Done {
    fn drop(&mut self) {
        self.agent.table.update(&self.id, |entry| entry.doing = None);
        self.agent.wake.notify_one();
    }
}

async fn perform(
    agent: &Arc<Agent>,
    action: &Action,
    id: &InstanceId,
    assignment: Option<Assignment>,
) -> Result<(), String> {
    if let (Action::Start(_) | Action::Replace(_), Some(told)) = (action, &assignment) {
        // What it is started beside may have changed since its recipe ran.
        agent.table.update(id, |entry| {
            entry.record.assignment.instance.beside.clone_from(&told.instance.beside);
        });
    }
    match (action, assignment) {
        (Action::Deploy(_), Some(assignment)) => deploy(agent, id, assignment).await,
        (Action::Start(_), _) => tasks::start(agent, id).map_err(|error| chain(&error)),
        (Action::Replace(_), _) => {
            tasks::stop(agent, id).await.map_err(|error| chain(&error))?;
            agent.table.update(id, |entry| entry.doing = Some(Doing::Starting));
            tasks::start(agent, id).map_err(|error| chain(&error))
        }
        (Action::Remove(_), _) => remove(agent, id).await,
        // The planner deploys only what is assigned.
        (Action::Deploy(_), None) => Ok(()),
    }
}

/// Runs the recipe, sees that the machine is still in contact, and keeps how that ended. An error is
/// none of the recipe's.
async fn deploy(agent: &Arc<Agent>, id: &InstanceId, assignment: Assignment) -> Result<(), String> {
    let deployment = assignment.deployment.id.clone();
    let record = agent.table.update(id, |entry| {
        entry.record.assignment = assignment.clone();
        entry.record.clone()
    });
    let Some(mut record) = record else { return Ok(()) };
    // Instances of a job share its files here: their recipes run one after the other.
    let turn = agent.turns.of(&assignment.instance.job);
    let _turn = turn.lock().await;
    let before = record.deployed.as_ref().filter(|last| last.deployment == deployment);
    let before = before.and_then(|last| last.failures).unwrap_or(0);
    // An agent before this one may have run it, and not have lived to see what came of it.
    let ran = record.unconfirmed.take().filter(|it| it.deployment == deployment);
    let ran = ran.filter(|_| Calls::of(agent, id).stands_well(&deployment));
    let (contact, ended) = match ran {
        Some(unconfirmed) => (Some(unconfirmed.contact), Ok(())),
        None => {
            take_back_earlier(agent, &assignment).await;
            let contact = contact::before(agent, &assignment).await;
            let unconfirmed = |contact| Unconfirmed { deployment: deployment.clone(), contact };
            record.unconfirmed = contact.clone().map(unconfirmed);
            agent.table.update(id, |entry| entry.record.unconfirmed = record.unconfirmed.clone());
            agent.disk.save(&record).map_err(|error| chain(&error))?;
            (contact, recipes::run(agent, &assignment, Way::Deploy).await)
        }
    };
    let outcome = match ended {
        Ok(()) => {
            let cut_off = match contact {
                Some(contact) => confirm(agent, &assignment, &contact).await?,
                None => None,
            };
            let failures = cut_off.as_ref().map(|_| TRIES);
            Outcome { deployment, failures, message: cut_off.unwrap_or_default() }
        }
        Err(error) if error.may_pass() => return Err(chain(&error)),
        Err(error) => {
            // What departs from its plan once does so again: nobody is to try until it is planned anew.
            let (failures, what) = match &assignment.deployment.held_to {
                Some(held) => (TRIES, format!("held to plan {}", held.plans.short())),
                None => (before + 1, format!("try {} of {TRIES}", before + 1)),
            };
            let mut message = format!("the recipe failed ({what}): {}", chain(&error));
            if error.has_run() {
                let back =
                    take_back(agent, &assignment, |it| *it == deployment, "the recipe failed")
                        .await;
                message.extend(back.map(|back| format!("\n{}", back.words)));
            }
            agent.tell_of(id, EventKind::RecipeLog, message.clone());
            Outcome { deployment, failures: Some(failures), message }
        }
    };
    let pruning = agent.clone();
    tokio::task::spawn_blocking(move || cache::prune(&pruning));
    let record = agent.table.update(id, |entry| {
        entry.record.deployed = Some(outcome);
        entry.record.unconfirmed = None;
        entry.note.clear();
        entry.record.clone()
    });
    match record {
        Some(record) => agent.disk.save(&record).map_err(|error| chain(&error)),
        None => Ok(()),
    }
}

/// Sees that a recipe which has run did not cut the machine off; else takes it back, and answers how
/// that went. An error says that the recipe was not to blame, and is to be run again.
async fn confirm(
    agent: &Arc<Agent>,
    assignment: &Assignment,
    contact: &Contact,
) -> Result<Option<String>, String> {
    let (id, deployment) = (&assignment.instance.id, &assignment.deployment.id);
    let within = assignment.deployment.job.rollout.confirm_within;
    let lost = match contact.after(agent, within.duration()).await {
        Verdict::InContact => return Ok(None),
        Verdict::Away(why) => {
            let message = format!(
                "the controller is not reached since the recipe has run, but this machine is not cut off: {why}"
            );
            agent.tell_of(id, EventKind::RecipeLog, message);
            return Ok(None);
        }
        Verdict::CutOff(why) => format!(
            "cut off: the controller was reached right before the recipe, and not for {within} after it, over \
             any new connection ({why})"
        ),
    };
    let _one_at_a_time = agent.suspects.lock().await;
    // Another may have been taken back meanwhile, and have been to blame.
    if contact::is_back(agent, Duration::ZERO).await {
        return Ok(None);
    }
    let Some(back) = take_back(agent, assignment, |it| it == deployment, &lost).await else {
        agent.tell_of(id, EventKind::RecipeLog, format!("{lost}; the recipe changed nothing"));
        return Ok(None);
    };
    let is_back = contact::is_back(agent, BACK_WITHIN).await;
    if !is_back && back.is_complete {
        let message = format!(
            "{lost}; it was taken back, and that did not help: it was not to blame, and is deployed again"
        );
        agent.tell_of(id, EventKind::RecipeLog, message.clone());
        agent.table.update(id, |entry| entry.record.unconfirmed = None);
        return Err(message);
    }
    let then = match is_back {
        true => "the controller is reached again",
        false => "the controller is still not reached",
    };
    Ok(Some(format!("{lost}; {then} after it was taken back\n{}", back.words)))
}

/// Before a recipe runs: what an earlier call did that nobody lived to end, and what the deployment
/// is there to take back.
async fn take_back_earlier(agent: &Arc<Agent>, assignment: &Assignment) {
    let job = &assignment.instance.job;
    for begun in calls::of_job(agent, job, |_, journal| !journal.is_closed()) {
        undo(agent, assignment, &begun, "it was cut off").await;
    }
    let own = &assignment.deployment;
    let Some(undone) = &own.rolls_back else { return };
    let why = format!("{} rolls it back", own.id);
    // All that came behind what it restores. A controller of an older version names one only.
    let is_meant = |deployment: &DeploymentId| match &own.restores {
        Some(restored) => {
            deployment.ordinal() > restored.ordinal() && deployment.ordinal() < own.id.ordinal()
        }
        None => deployment == undone,
    };
    take_back(agent, assignment, is_meant, &why).await;
}

/// Takes back what the calls of some deployments did for an instance, newest first, and before each
/// what was done later for another instance of the job; answers what came of the instance's own, if
/// anything was to be taken back.
async fn take_back(
    agent: &Arc<Agent>,
    assignment: &Assignment,
    is_meant: impl Fn(&DeploymentId) -> bool,
    why: &str,
) -> Option<Back> {
    let Instance { id, job, .. } = &assignment.instance;
    let stands =
        |call: &Kept, journal: &Journal| is_meant(&call.deployment) && !journal.is_rolled_back();
    let mut calls = calls::of_job(agent, job, stands);
    // What is older than all of its own is not in its way.
    calls.truncate(calls.iter().rposition(|begun| begun.instance == *id).map_or(0, |at| at + 1));
    let mut all: Option<Back> = None;
    for begun in calls {
        let back = undo(agent, assignment, &begun, why).await;
        if begun.instance == *id {
            let is_complete = back.is_complete && all.is_none_or(|before| before.is_complete);
            all = Some(Back { is_complete, ..back });
        }
    }
    all
}

/// Takes one call back, and tells whose it was.
async fn undo(agent: &Arc<Agent>, own: &Assignment, begun: &Begun, why: &str) -> Back {
    let whose = agent.table.read(&begun.instance, |entry| entry.record.assignment.clone());
    let other = whose.filter(|_| begun.instance != own.instance.id);
    let back = roll_back(agent, other.as_ref().unwrap_or(own), &begun.call, why).await;
    let message = format!("{}: {} ({why})", begun.call.deployment, back.words);
    agent.tell_of(&begun.instance, EventKind::RecipeLog, message);
    back
}

/// What came of taking something back.
struct Back {
    words: String,
    /// Whether all is as it was before.
    is_complete: bool,
}

async fn roll_back(agent: &Arc<Agent>, assignment: &Assignment, call: &Kept, why: &str) -> Back {
    match recipes::roll_back(agent, assignment, call.directory.clone(), why).await {
        Ok(Some(report)) => Back { words: report.to_string(), is_complete: report.is_complete() },
        Ok(None) => Back { words: "nothing was to be rolled back".to_owned(), is_complete: true },
        Err(error) => {
            let words = format!("left as is, since rolling back failed: {}", chain(&error));
            Back { words, is_complete: false }
        }
    }
}

/// Ends the task, undoes the deployment, and forgets the instance. A recipe that cannot undo must
/// not keep the instance for ever: that is told, and it goes.
async fn remove(agent: &Arc<Agent>, id: &InstanceId) -> Result<(), String> {
    tasks::stop(agent, id).await.map_err(|error| chain(&error))?;
    let deployed = agent
        .table
        .read(id, |entry| entry.record.deployed.as_ref().map(|_| entry.record.assignment.clone()));
    if let Some(Some(assignment)) = deployed {
        let turn = agent.turns.of(&assignment.instance.job);
        let _turn = turn.lock().await;
        for tried in 1..=TRIES {
            let Err(error) = recipes::run(agent, &assignment, Way::Undeploy).await else { break };
            let message = format!("undeploying failed (try {tried} of {TRIES}): {}", chain(&error));
            agent.tell_of(id, EventKind::RecipeLog, message);
        }
    }
    if let Some(group) = agent.cgroup(&format!("task-{id}")) {
        let removed = tokio::task::spawn_blocking(move || group.remove(Duration::from_secs(5)));
        if let Ok(Err(error)) = removed.await {
            tracing::warn!(%id, %error, "a task's control group is left");
        }
    }
    let (calls, root) = (Calls::of(agent, id), agent.settings.root.clone());
    let forgotten = tokio::task::spawn_blocking(move || calls.forget(&root));
    let _ = forgotten.await;
    agent.disk.forget(id).map_err(|error| chain(&error))?;
    agent.table.remove(id);
    Ok(())
}
