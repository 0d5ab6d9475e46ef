//! Recipes and checks of an instance, run in the engine.

use crate::agent::Agent;
use crate::blobs::FetchError;
use crate::calls::Calls;
use crate::disk::chain;
use crate::for_component::ForComponent;
use crate::held::{self, HeldError};
use cerebro_model::{Assignment, Digest, EventKind, Options, Plan, RecipeName, Rollback};
use cerebro_recipe_engine::{
    Call, CompileError, Component, Context, Engine, Failure, Journaling, Limits, LogLevel, LogLine,
    LogSink, Recording, RunError,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Lines of one call that become events; all of them go to its file.
const TOLD_LINES: usize = 100;
/// Bytes of a recipe's log at which it is begun anew.
const LOG_BYTES: u64 = 10 << 20;
/// How long it may take to find from where calls were made.
const SITES_WITHIN: Duration = Duration::from_secs(10);
/// Lines of the log that a failure's message holds.
const LAST_LINES: usize = 5;

/// Why a call did not end well.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The component is not here.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// This agent began with nothing that would run components.
    #[error("this agent runs no components: it was started without a controller")]
    NoEngine,
    /// It cannot be read from the machine's cache.
    #[error("cannot read the component from `{}`", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It cannot be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// It is to be held to a plan, and has none.
    #[error(transparent)]
    Held(#[from] HeldError),
    /// It ran, and failed.
    #[error("{}", with_log(.0))]
    Run(RunError),
}

impl CallError {
    /// Whether it is the controller's absence, which is no fault of the component.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Fetch(error) | Self::Held(HeldError::Fetch(error)) if error.may_pass())
    }

    /// Whether the component ran: only then does its failure say something of the instance.
    pub fn has_run(&self) -> bool {
        let Self::Run(error) = self else { return false };
        !matches!(
            error.failure,
            Failure::NotGranted(_)
                | Failure::WrongKind { .. }
                | Failure::Incompatible { .. }
                | Failure::Crowded { .. }
        )
    }
}

fn with_log(error: &RunError) -> String {
    let from = error.log.len().saturating_sub(LAST_LINES);
    let lines = error.log[from..].iter().map(|line| format!("\n{}: {}", line.level, line.message));
    chain(&error.failure) + &lines.collect::<String>()
}

/// Which of a recipe's functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Deploy,
    Undeploy,
}

/// Runs the recipe of `assignment`.
pub async fn run(agent: &Arc<Agent>, assignment: &Assignment, way: Way) -> Result<(), CallError> {
    let (deployment, engine) = (&assignment.deployment, engine(agent)?);
    let component = component(agent, deployment.recipe).await?;
    let log = Arc::new(Log::open(agent.clone(), assignment));
    let options = deployment.job.recipe_options.clone();
    // Past the rollout's deadline nobody waits for it, and the next one is not to.
    let wall = deployment.job.rollout.deadline.duration().min(Limits::default().wall);
    let mut call = call(agent, assignment, options, Limits { wall, ..Limits::default() }, log);
    let ended = match way {
        Way::Deploy => {
            let calls = Calls::of(agent, &assignment.instance.id);
            let journaling = Journaling::new(calls.next(&deployment.id));
            call.journal = Some(held::hold(agent, assignment, journaling).await?);
            let ended = engine.deploy(&component, call).await;
            calls.prune(&agent.settings.root);
            ended
        }
        Way::Undeploy => engine.undeploy(&component, call).await,
    };
    ended.map_err(CallError::Run)
}

/// What the recipe of `assignment` would do now. Nothing is changed.
pub async fn plan(agent: &Arc<Agent>, assignment: &Assignment) -> Result<Plan, CallError> {
    let (deployment, engine) = (&assignment.deployment, engine(agent)?);
    let component = component(agent, deployment.recipe).await?;
    // What it says is for the deployment itself.
    let log = Arc::new(|line: LogLine| tracing::trace!("{}", line.message));
    let options = deployment.job.recipe_options.clone();
    let call = call(agent, assignment, options, Limits::default(), log);
    engine.plan(&component, call).await.map_err(CallError::Run)
}

/// From where in its component the call in `directory` made these of its calls. That takes a replay for
/// each, and so has an end: of those that come behind it nothing is known.
pub async fn call_sites(
    agent: &Agent,
    directory: PathBuf,
    calls: BTreeSet<u32>,
) -> Result<BTreeMap<u32, Vec<String>>, CallError> {
    let read =
        tokio::task::spawn_blocking(move || Recording::open(&directory).ok().flatten()).await;
    let Some(recording) = read.ok().flatten() else { return Ok(BTreeMap::new()) };
    let Ok(digest) = recording.inputs.component.parse() else { return Ok(BTreeMap::new()) };
    let (engine, component) = (engine(agent)?, component(agent, digest).await?);
    let mut sites = BTreeMap::new();
    let end = tokio::time::Instant::now() + SITES_WITHIN;
    for n in calls {
        let found = engine.call_sites(&component, &recording, [n]);
        match tokio::time::timeout_at(end, found).await {
            Ok(found) => sites.extend(found),
            Err(_) => break,
        }
    }
    Ok(sites)
}

/// Takes back what a call of the recipe of `assignment` did; none if it did nothing.
pub async fn roll_back(
    agent: &Arc<Agent>,
    assignment: &Assignment,
    directory: PathBuf,
    why: &str,
) -> Result<Option<Rollback>, CallError> {
    let log = Arc::new(Log::open(agent.clone(), assignment));
    let mut call = call(agent, assignment, Options::default(), Limits::default(), log);
    call.journal = Some(Journaling::new(directory));
    engine(agent)?.roll_back(call, why).await.map_err(CallError::Run)
}

/// Runs a health check of `assignment`; an error says why the instance is not well.
pub async fn check(
    agent: &Arc<Agent>,
    assignment: &Assignment,
    digest: Digest,
    options: &Options,
    within: Duration,
) -> Result<cerebro_recipe_engine::CheckReport, CallError> {
    let component = component(agent, digest).await?;
    let limits = Limits { wall: within, ..Limits::default() };
    // What a check has to say is its report; its log is for whoever runs it by hand.
    let log = Arc::new(|line: LogLine| tracing::trace!("{}", line.message));
    let call = call(agent, assignment, options.clone(), limits, log);
    engine(agent)?.check(&component, call).await.map_err(CallError::Run)
}

fn engine(agent: &Agent) -> Result<&Engine, CallError> {
    agent.engine.as_ref().ok_or(CallError::NoEngine)
}

/// The component with this digest, compiled.
async fn component(agent: &Agent, digest: Digest) -> Result<Component, CallError> {
    let engine = engine(agent)?;
    if let Some(component) = engine.compiled(digest) {
        return Ok(component);
    }
    let path = agent.blobs.file(digest).await?;
    let bytes = tokio::fs::read(&path).await;
    let bytes = bytes.map_err(|source| CallError::Read { path, source })?;
    Ok(engine.compile(digest, bytes).await?)
}

fn call(
    agent: &Arc<Agent>,
    assignment: &Assignment,
    options: Options,
    limits: Limits,
    log: Arc<dyn LogSink>,
) -> Call {
    let (instance, deployment) = (&assignment.instance, &assignment.deployment);
    Call {
        context: Arc::new(Context {
            job: instance.job.clone(),
            instance: instance.id.clone(),
            number: instance.number,
            zone: instance.zone.clone(),
            machine: instance.machine.clone(),
            version: deployment.version.clone(),
            previous_version: assignment.previous_version.clone(),
            address: agent.settings.address,
            ports: instance.ports.clone(),
            options,
        }),
        grants: Arc::new(deployment.job.grants.clone()),
        root: agent.settings.root.clone(),
        limits,
        memory: agent.disk.task_dir(&instance.id).join("memory"),
        agent: Arc::new(ForComponent::new(agent.clone(), instance.id.clone())),
        log,
        journal: None,
    }
}

/// The log of a recipe's call: a file for all of it, events for its first lines.
struct Log {
    agent: Arc<Agent>,
    subject: cerebro_model::Subject,
    file: Mutex<Option<File>>,
    lines: AtomicUsize,
}

impl Log {
    fn open(agent: Arc<Agent>, assignment: &Assignment) -> Self {
        let id = &assignment.instance.id;
        let path = agent.disk.task_dir(id).join("recipe.log");
        if path.metadata().is_ok_and(|file| file.len() > LOG_BYTES) {
            let _ = std::fs::rename(&path, path.with_extension("log.1"));
        }
        let opened = File::options().create(true).append(true).open(&path);
        let file = opened
            .inspect_err(|error| tracing::warn!(%error, path = %path.display(), "no recipe log"))
            .ok();
        let recipe: RecipeName = assignment.deployment.job.deployment_recipe.clone();
        let subject = cerebro_model::Subject {
            job: Some(assignment.instance.job.clone()),
            machine: Some(assignment.instance.machine.clone()),
            instance: Some(id.clone()),
            deployment: Some(assignment.deployment.id.clone()),
            recipe: Some(recipe),
        };
        Self { agent, subject, file: Mutex::new(file), lines: AtomicUsize::new(0) }
    }
}

impl LogSink for Log {
    fn line(&self, line: LogLine) {
        if let Some(file) = &mut *self.file.lock().unwrap_or_else(PoisonError::into_inner) {
            // A full disk must not fail the recipe that may be about to make room.
            let _ = writeln!(file, "{} {:5} {}", crate::time::now(), line.level, line.message);
        }
        if line.level < LogLevel::Info {
            return;
        }
        let message = match self.lines.fetch_add(1, Ordering::Relaxed) {
            before if before < TOLD_LINES => line.message,
            TOLD_LINES => "there is more in the recipe's log".to_owned(),
            _ => return,
        };
        self.agent.tell(EventKind::RecipeLog, self.subject.clone(), message);
    }
}
