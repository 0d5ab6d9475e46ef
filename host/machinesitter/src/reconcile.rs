//! The loop that makes what is what should be: look, plan, perform, look again. Each action runs
//! in a task of its own; while it does, the planner leaves its instance alone.

use crate::agent::Agent;
use crate::cache;
use crate::calls::{Calls, Kept};
use crate::disk::{Outcome, Record, chain};
use crate::recipes::{self, Way};
use crate::table::{Doing, Entry, Hold};
use crate::tasks;
use cerebro_model::{Assignment, DeploymentId, EventKind, InstanceId};
use cerebro_planner::machine::{Action, TRIES, plan};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// How long an action that could not be performed waits for its next try.
const PAUSE: Duration = Duration::from_secs(1);

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
        let record = Record { assignment: assignment.clone(), deployed: None, task: None, boot };
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

/// Runs the recipe, and keeps how that ended. An error is none of the recipe's.
async fn deploy(agent: &Arc<Agent>, id: &InstanceId, assignment: Assignment) -> Result<(), String> {
    let deployment = assignment.deployment.id.clone();
    let record = agent.table.update(id, |entry| {
        entry.record.assignment = assignment.clone();
        entry.record.clone()
    });
    let Some(record) = record else { return Ok(()) };
    agent.disk.save(&record).map_err(|error| chain(&error))?;
    let before = record.deployed.filter(|last| last.deployment == deployment);
    let before = before.and_then(|last| last.failures).unwrap_or(0);
    take_back_earlier(agent, &assignment).await;
    let outcome = match recipes::run(agent, &assignment, Way::Deploy).await {
        Ok(()) => Outcome { deployment, failures: None, message: String::new() },
        Err(error) if error.may_pass() => return Err(chain(&error)),
        Err(error) => {
            let failures = before + 1;
            let mut message =
                format!("the recipe failed (try {failures} of {TRIES}): {}", chain(&error));
            if error.has_run() {
                let back = take_back(agent, &assignment, &deployment, "the recipe failed").await;
                message.extend(back.map(|back| format!("\n{back}")));
            }
            agent.tell_of(id, EventKind::RecipeLog, message.clone());
            Outcome { deployment, failures: Some(failures), message }
        }
    };
    let pruning = agent.clone();
    tokio::task::spawn_blocking(move || cache::prune(&pruning));
    let record = agent.table.update(id, |entry| {
        entry.record.deployed = Some(outcome);
        entry.note.clear();
        entry.record.clone()
    });
    match record {
        Some(record) => agent.disk.save(&record).map_err(|error| chain(&error)),
        None => Ok(()),
    }
}

/// Before a recipe runs: what an earlier call did that nobody lived to end, and what the deployment
/// is there to take back.
async fn take_back_earlier(agent: &Arc<Agent>, assignment: &Assignment) {
    let calls = Calls::of(agent, &assignment.instance.id);
    for call in calls.open().into_iter().rev() {
        let why = "it was cut off";
        let told = roll_back(agent, assignment, &call, why).await;
        tell_rollback(agent, assignment, &call.deployment, why, told);
    }
    if let Some(deployment) = &assignment.deployment.rolls_back {
        let why = format!("{} rolls it back", assignment.deployment.id);
        take_back(agent, assignment, deployment, &why).await;
    }
}

/// Takes back what a deployment's calls did for an instance; answers what came of it, if anything was
/// to be taken back.
async fn take_back(
    agent: &Arc<Agent>,
    assignment: &Assignment,
    deployment: &DeploymentId,
    why: &str,
) -> Option<String> {
    let calls = Calls::of(agent, &assignment.instance.id).standing(deployment);
    let mut told = None;
    for call in calls {
        let back = roll_back(agent, assignment, &call, why).await;
        tell_rollback(agent, assignment, deployment, why, back.clone());
        told = Some(back);
    }
    told
}

async fn roll_back(agent: &Arc<Agent>, assignment: &Assignment, call: &Kept, why: &str) -> String {
    match recipes::roll_back(agent, assignment, call.directory.clone(), why).await {
        Ok(Some(report)) => report.to_string(),
        Ok(None) => "nothing was to be rolled back".to_owned(),
        Err(error) => format!("left as is, since rolling back failed: {}", chain(&error)),
    }
}

fn tell_rollback(
    agent: &Agent,
    assignment: &Assignment,
    deployment: &DeploymentId,
    why: &str,
    told: String,
) {
    let message = format!("{deployment}: {told} ({why})");
    agent.tell_of(&assignment.instance.id, EventKind::RecipeLog, message);
}

/// Ends the task, undoes the deployment, and forgets the instance. A recipe that cannot undo must
/// not keep the instance for ever: that is told, and it goes.
async fn remove(agent: &Arc<Agent>, id: &InstanceId) -> Result<(), String> {
    tasks::stop(agent, id).await.map_err(|error| chain(&error))?;
    let deployed = agent
        .table
        .read(id, |entry| entry.record.deployed.as_ref().map(|_| entry.record.assignment.clone()));
    if let Some(Some(assignment)) = deployed {
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
