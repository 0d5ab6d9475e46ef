//! What can be asked of the machine's own tasks.

use super::definition::{self, DefinitionError, file_name};
use super::{Wish, may_run};
use crate::agent::Agent;
use crate::disk::{self, DiskError, chain};
use crate::follow::{self, Owner};
use crate::spec::{self, NoPort, Place};
use crate::tasks::{LAST_LINES, STOPS_WITHIN};
use crate::{logs, sitters};
use cerebro_api::machine::Wanted;
use cerebro_model::{EventKind, Subject, TaskConfiguration};
use cerebro_tasksitter::protocol::{Phase, Request, TaskSpec, TaskState};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// How long whoever starts a task is kept waiting for its first word.
const STARTS_WITHIN: Duration = Duration::from_secs(10);
/// How long the control group of a task that has ended may take to go.
const GROUP_GOES_WITHIN: Duration = Duration::from_secs(5);

/// Why a task could not be defined, started, stopped or removed.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// There is none.
    #[error("this machine has no task `{0}`")]
    Unknown(String),
    /// There is one already.
    #[error("the task `{0}` is defined already, in another way: PUT replaces a definition")]
    Exists(String),
    /// It cannot be one.
    #[error(transparent)]
    Invalid(#[from] DefinitionError),
    /// Its files cannot be written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// It refers to a port that it does not have.
    #[error(transparent)]
    NoPort(#[from] NoPort),
    /// Its sitter does not answer.
    #[error("the task sitter of `{name}` does not answer")]
    Sitter {
        /// The task.
        name: String,
        /// What the connection met with.
        source: io::Error,
    },
    /// It does not end.
    #[error("`{name}` did not end within {within:?}")]
    DoesNotEnd {
        /// The task.
        name: String,
        /// How long it had.
        within: Duration,
    },
}

/// Keeps a definition; the same again is no error.
pub fn define(agent: &Agent, task: TaskConfiguration) -> Result<(), OwnError> {
    definition::check(&task)?;
    if let Some(known) = agent.own.read(&task.name, |entry| entry.task == task) {
        return if known { Ok(()) } else { Err(OwnError::Exists(task.name)) };
    }
    agent.own.definitions.save(&task)?;
    let name = task.name.clone();
    wish(agent, &name, Wanted::Stopped)?;
    agent.own.insert(task, Wanted::Stopped);
    Ok(())
}

/// Keeps a definition in place of another; what runs goes on as it is until it is started again.
/// Answers whether there was none.
pub async fn replace(agent: &Agent, task: TaskConfiguration) -> Result<bool, OwnError> {
    if !agent.own.has(&task.name) {
        define(agent, task)?;
        return Ok(true);
    }
    definition::check(&task)?;
    let _turn = turn(agent, &task.name).await?;
    agent.own.definitions.save(&task)?;
    agent.own.update(&task.name.clone(), |entry| entry.task = task);
    Ok(false)
}

/// Waits for one's turn with a task.
async fn turn(agent: &Agent, name: &str) -> Result<tokio::sync::OwnedMutexGuard<()>, OwnError> {
    let unknown = || OwnError::Unknown(name.to_owned());
    let turn = agent.own.read(name, |entry| entry.turn.clone()).ok_or_else(unknown)?;
    let turn = turn.lock_owned().await;
    // Whoever had it before may have removed the task.
    agent.own.read(name, |_| ()).ok_or_else(unknown)?;
    Ok(turn)
}

/// Keeps what was asked for: first, so that a crash of ours changes nothing.
fn wish(agent: &Agent, name: &str, wanted: Wanted) -> Result<(), OwnError> {
    let dir = agent.own.dir(name);
    std::fs::create_dir_all(&dir).map_err(disk::at("make", &dir))?;
    disk::write(&dir.join("wanted.json"), &Wish { wanted, boot: agent.boot.clone() })?;
    Ok(())
}

/// Starts a task, if it does not run, and waits for its first word.
pub async fn start(agent: &Arc<Agent>, name: &str) -> Result<(), OwnError> {
    let _turn = turn(agent, name).await?;
    wish(agent, name, Wanted::Started)?;
    agent.own.update(name, |entry| entry.wanted = Wanted::Started);
    if !agent.own.read(name, runs).unwrap_or(false) && is_redefined(agent, name)? {
        // Its sitter knows the definition before.
        leave(agent, name).await?;
    }
    let followed = agent.own.read(name, |entry| entry.follower.is_some()).unwrap_or(false);
    let mut states = if followed {
        let states = agent.own.read(name, |entry| entry.state.subscribe());
        let asked = sitters::ask(&agent.own.dir(name), Request::Start).await;
        asked.map_err(|source| OwnError::Sitter { name: name.to_owned(), source })?;
        states
    } else {
        launch(agent, name)?
    };
    if let Some(states) = &mut states {
        let begun = states.wait_for(|state| state.as_ref().is_some_and(has_begun));
        // A task that takes longer is told as it is then.
        let _ = timeout(STARTS_WITHIN, begun).await;
    }
    Ok(())
}

/// Whether a start has come to something.
fn has_begun(state: &TaskState) -> bool {
    state.pid.is_some()
        || matches!(state.phase, Phase::BackingOff | Phase::Failed)
        || (state.phase == Phase::Stopped && state.incarnation > 0)
}

/// Ends a task and starts it again, as it is defined now.
pub async fn restart(agent: &Arc<Agent>, name: &str) -> Result<(), OwnError> {
    if is_redefined(agent, name)? {
        stop(agent, name).await?;
    } else if sitters::ask(&agent.own.dir(name), Request::Restart).await.is_ok() {
        return Ok(());
    }
    // What was stopped is started by that; the original's users know it so.
    start(agent, name).await
}

/// Whether it has a process, as far as its sitter has said.
fn runs(entry: &super::Entry) -> bool {
    entry.state.borrow().as_ref().is_some_and(|state| state.pid.is_some())
}

/// Whether its sitter was launched for another definition than it has now.
fn is_redefined(agent: &Agent, name: &str) -> Result<bool, OwnError> {
    let launched: Option<TaskSpec> = disk::read(&agent.own.dir(name).join("spec.json"))?;
    Ok(launched.is_some() && launched != spec(agent, name)?)
}

/// What its sitter is to run; none if there is no such task.
fn spec(agent: &Agent, name: &str) -> Result<Option<TaskSpec>, OwnError> {
    let Some(task) = agent.own.read(name, |entry| entry.task.clone()) else { return Ok(None) };
    let place = Place {
        name: name.to_owned(),
        environment: BTreeMap::new(),
        ports: &BTreeMap::new(),
        cgroup: agent.cgroup_path(&group(name)),
    };
    let as_root = nix::unistd::geteuid().is_root();
    Ok(Some(spec::of(&agent.settings, &task, place, as_root)?))
}

/// Has a task begin anew; answers what will be said of it.
fn launch(
    agent: &Arc<Agent>,
    name: &str,
) -> Result<Option<watch::Receiver<Option<TaskState>>>, OwnError> {
    let Some(spec) = spec(agent, name)? else { return Ok(None) };
    let dir = agent.own.dir(name);
    // What the task before it left would make the sitter take the new one for stopped.
    disk::remove(&dir.join("state.json"))?;
    disk::write(&dir.join("spec.json"), &spec)?;
    follow(agent, name, false);
    Ok(agent.own.read(name, |entry| entry.state.subscribe()))
}

/// The last part of the path of a task's control group.
fn group(name: &str) -> String {
    format!("own-{}", file_name(name))
}

/// Follows the sitter of a task from now on, and launches one whenever there is none.
pub(super) fn follow(agent: &Arc<Agent>, name: &str, found: bool) {
    // Before the follower is there, which may hear the first state at once.
    agent.own.update(name, |entry| {
        entry.note.clear();
        entry.state.send_replace(None);
    });
    let owner = OfMachine { agent: agent.clone(), name: name.to_owned() };
    let follower = follow::follow(agent.sitters.clone(), owner, found);
    agent.own.update(name, |entry| entry.follower = Some(follower));
}

/// Stops a task and its sitter; that it does not run is no error.
pub async fn stop(agent: &Arc<Agent>, name: &str) -> Result<(), OwnError> {
    let _turn = turn(agent, name).await?;
    halt(agent, name).await
}

/// Forgets a task, after it was stopped, with all that was kept of it.
pub async fn remove(agent: &Arc<Agent>, name: &str) -> Result<(), OwnError> {
    let _turn = turn(agent, name).await?;
    halt(agent, name).await?;
    if let Some(group) = agent.cgroup(&group(name)) {
        let removed = tokio::task::spawn_blocking(move || group.remove(GROUP_GOES_WITHIN));
        if let Ok(Err(error)) = removed.await {
            tracing::warn!(name, error = chain(&error), "a task's control group is left");
        }
    }
    // The definition first: what is left without it is nobody's, and does nothing.
    agent.own.definitions.remove(name)?;
    let dir = agent.own.dir(name);
    match std::fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(disk::at("remove", &dir)(error).into());
        }
        _ => {}
    }
    let is_last = {
        let mut entries = agent.own.entries();
        entries.remove(name);
        entries.is_empty()
    };
    // A group that we chose ourselves goes with the last task that was in it.
    if let (true, None, Some((groups, parent))) = (is_last, &agent.settings.cgroup, &agent.cgroups)
        && let Err(error) = groups.group(parent).remove_empty()
    {
        tracing::debug!(error = chain(&error), "the control group of the tasks is left");
    }
    Ok(())
}

async fn halt(agent: &Arc<Agent>, name: &str) -> Result<(), OwnError> {
    wish(agent, name, Wanted::Stopped)?;
    agent.own.update(name, |entry| entry.wanted = Wanted::Stopped);
    leave(agent, name).await
}

/// Ends a task with its sitter.
async fn leave(agent: &Arc<Agent>, name: &str) -> Result<(), OwnError> {
    let dir = agent.own.dir(name);
    // First: it would launch another sitter for the one that ends now.
    let known = agent.own.update(name, |entry| {
        let followed = entry.follower.take().is_some();
        (followed, entry.task.stop_grace.duration() + STOPS_WITHIN)
    });
    let Some((followed, within)) = known else { return Ok(()) };
    if followed || may_run(&dir, &agent.boot) {
        end(agent, name, &dir, within).await?;
    }
    agent.own.update(name, |entry| entry.note.clear());
    Ok(())
}

async fn end(agent: &Agent, name: &str, dir: &Path, within: Duration) -> Result<(), OwnError> {
    let ended = agent.sitters.end(dir, |state| {
        agent.own.update(name, |entry| entry.state.send_replace(Some(state)));
    });
    let ended = timeout(within, ended).await;
    let ended = ended.map_err(|_| OwnError::DoesNotEnd { name: name.to_owned(), within })?;
    ended.map_err(|source| OwnError::Sitter { name: name.to_owned(), source })
}

/// A task of the machine's own.
struct OfMachine {
    agent: Arc<Agent>,
    name: String,
}

impl Owner for OfMachine {
    fn dir(&self) -> PathBuf {
        self.agent.own.dir(&self.name)
    }

    async fn saw(&self, _: Option<&TaskState>, state: &TaskState) {
        let output = match state.phase {
            Phase::Failed => logs::last_words(&self.dir(), LAST_LINES).await,
            _ => String::new(),
        };
        self.agent.own.update(&self.name, |entry| {
            entry.note = output;
            entry.state.send_replace(Some(state.clone()));
        });
    }

    fn tell(&self, kind: EventKind, message: String) {
        let machine = Some(self.agent.settings.machine.clone());
        let subject = Subject { machine, ..Subject::default() };
        self.agent.tell(kind, subject, format!("task `{}`: {message}", self.name));
    }

    fn unreachable(&self, error: &io::Error) {
        let note = format!("its task sitter does not start: {}", chain(error));
        self.agent.own.update(&self.name, |entry| entry.note = note);
    }
}
