//! `cerebro recipe run`: one call of a component on this machine, without a cluster.
//!
//! It is a mode of this program, since this is the one that has the engine; `cerebro` finds it
//! beside itself and becomes it. The engine is the one that agents have, so that a component may do
//! here what it may do there; what an agent would give it comes from the command line.

mod alone;
mod arguments;

use crate::compile_component::compiler;
use alone::Alone;
use arguments::{Arguments, Function};
use cerebro_model::{ComponentKind, Digest, InstanceId, MachineId, NameError, ZoneName};
use cerebro_recipe_engine::{
    Call, CheckReport, CheckStatus, CompileError, Component, Context, Engine, EngineError, Failure,
    Journal, Journaling, Limits, LogLine, RunError, forget_call,
};
use clap::Parser;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// The first argument that asks for this mode.
const MODE: &str = "run-component";

/// Why nothing was called, or how what was called failed.
#[derive(Debug, thiserror::Error)]
enum RunFault {
    #[error("cannot {doing} `{}`", .path.display())]
    File { doing: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "there is nothing beside the root `/`: name a directory for what outlives the call, by \
         --state"
    )]
    NoState,
    #[error(
        "`{}` is below the root, where the component may reach it: name another directory by \
         --state", .0.display()
    )]
    StateInReach(PathBuf),
    #[error("another run uses `{}`: wait for its end, or name another directory by --state", .0.display())]
    StateInUse(PathBuf),
    #[error("this component is a {is}, which has no `{function}`")]
    WrongFunction { is: ComponentKind, function: Function },
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Compile(#[from] CompileError),
    #[error("{}", crate::disk::chain(&.0.failure))]
    Run(RunError),
    /// It failed, and what it did until then is there.
    #[error("{}", crate::disk::chain(&.0.failure))]
    Midway(RunError),
    #[error("interrupted")]
    Interrupted,
    #[error("cannot start")]
    Start(#[source] io::Error),
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RunFault {
    let path = path.to_owned();
    move |source| RunFault::File { doing, path, source }
}

/// Does what the arguments ask for, if they ask for this mode: then the exit code, else none.
pub fn main(arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.skip(1).peekable();
    arguments.next_if(|first| first == OsStr::new(MODE))?;
    let named = std::iter::once(OsString::from("cerebro recipe run")).chain(arguments);
    let arguments = Arguments::parse_from(named);
    let is_granted = arguments.grants.is_some();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome =
        runtime.map_err(RunFault::Start).and_then(|runtime| runtime.block_on(run(arguments)));
    Some(outcome.unwrap_or_else(|fault| {
        tell(&fault, is_granted);
        ExitCode::FAILURE
    }))
}

fn tell(fault: &RunFault, is_granted: bool) {
    eprintln!("error: {}", crate::disk::chain(fault));
    let (RunFault::Run(RunError { failure, .. }) | RunFault::Midway(RunError { failure, .. })) =
        fault
    else {
        return;
    };
    if let Failure::Trapped { backtrace, .. } = failure {
        backtrace.iter().for_each(|frame| eprintln!("  at {frame}"));
    }
    if !is_granted && failure.to_string().contains("`grants.") {
        eprintln!(
            "\nhint: --grants takes what a job has below `grants`, as JSON or @FILE; without it \
             nothing is granted"
        );
    }
    if let RunFault::Midway(_) = fault {
        eprintln!(
            "\nhint: what it did until then is there; the same command with --roll-back takes it back, as a \
             cluster would"
        );
    }
}

async fn run(arguments: Arguments) -> Result<ExitCode, RunFault> {
    let file = &arguments.file;
    let bytes = fs::read(file).map_err(failed("read the component", file))?;
    let root = &arguments.root;
    let root = root.canonicalize().map_err(failed("find the root", root))?;
    let state = state(&root, arguments.state.as_deref())?;
    let _lock = lock(&state)?;
    let engine = Engine::new(state.join("compiled"), compiler())?;
    let component = engine.compile(Digest::of(&bytes), bytes).await?;
    let function = function(&component, arguments.call)?;
    if let (None, Some(wants)) = (&arguments.grants, &component.inspection().wants) {
        let wants = serde_json::to_string(&**wants).unwrap_or_default();
        eprintln!("note: nothing is granted to it, and it wants --grants '{wants}'");
    }
    let agent = Alone::new(state.join("artifacts"), &arguments.artifacts, arguments.secrets)?;
    let mut options = arguments.options;
    if let Some(digest) = agent.first() {
        options.entry("artifact".to_owned()).or_insert_with(|| digest.to_string().into());
    }
    let zone: ZoneName = "local".parse()?;
    let context = Context {
        instance: InstanceId::new(0, &zone, &arguments.job),
        job: arguments.job,
        number: 0,
        machine: MachineId::try_from(zone.to_string())?,
        zone,
        version: arguments.release,
        previous_version: arguments.previous,
        address: arguments.address,
        ports: arguments.ports.into_iter().collect(),
        options,
    };
    let mut journaling = Journaling::new(state.join("call"));
    if let Some(file) = &arguments.apply_plan {
        let text = fs::read(file).map_err(failed("read the plan", file))?;
        let plan = serde_json::from_slice(&text).map_err(io::Error::from);
        journaling =
            journaling.held_to(plan.map_err(failed("read the plan", file))?, arguments.beyond_plan);
    }
    let (log, writer) = writer();
    let lines = log.clone();
    let call = Call {
        context: Arc::new(context),
        grants: Arc::new(arguments.grants.unwrap_or_default()),
        root,
        limits: Limits { wall: Duration::from_secs(arguments.timeout), ..Limits::default() },
        memory: state.join("memory"),
        agent: Arc::new(agent),
        // After the end nobody reads.
        log: Arc::new(move |line| drop(lines.send(Some(line)))),
        journal: Some(journaling),
    };
    let way = match (arguments.plan, arguments.roll_back) {
        (true, _) => Way::Plan(arguments.out),
        (_, true) => Way::RollBack,
        _ => Way::Make(function),
    };
    let outcome = tokio::select! {
        outcome = invoke(&engine, &component, call, way) => outcome,
        () = asked_to_stop() => Err(RunFault::Interrupted),
    };
    // What it said comes before what came of it.
    let _ = log.send(None);
    let _ = writer.join();
    let ended = outcome?;
    // Whoever asked may not care to read it.
    let _ = writeln!(io::stdout(), "{}", ended.words);
    Ok(if ended.is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The directory for what outlives calls, closed to other users.
fn state(root: &Path, named: Option<&Path>) -> Result<PathBuf, RunFault> {
    let state = match named {
        Some(state) => state.to_owned(),
        None => {
            let mut name = root.file_name().ok_or(RunFault::NoState)?.to_owned();
            name.push(".cerebro");
            root.with_file_name(name)
        }
    };
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&state);
    made.map_err(failed("make", &state))?;
    let state = state.canonicalize().map_err(failed("find", &state))?;
    // What is compiled is trusted, and what is remembered may be commands: neither is for the
    // component to write. With the whole machine for a root nothing else is possible.
    if root != Path::new("/") && state.starts_with(root) {
        return Err(RunFault::StateInReach(state));
    }
    Ok(state)
}

/// Keeps other runs away, for as long as it is held.
fn lock(state: &Path) -> Result<File, RunFault> {
    let path = state.join("lock");
    let file = File::create(&path).map_err(failed("make", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RunFault::StateInUse(state.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed("lock", &path)(source)),
    }
}

/// What is to be called, if the component has that.
fn function(component: &Component, asked: Option<Function>) -> Result<Function, RunFault> {
    let is = component.kind();
    let function = asked.unwrap_or(match is {
        ComponentKind::Recipe => Function::Deploy,
        ComponentKind::HealthCheck => Function::Check,
    });
    match (is, function) {
        (ComponentKind::Recipe, Function::Check)
        | (ComponentKind::HealthCheck, Function::Deploy | Function::Undeploy) => {
            Err(RunFault::WrongFunction { is, function })
        }
        _ => Ok(function),
    }
}

/// Writes lines as they come, until none comes: on a thread, so that a slow reader does not hold
/// up the call.
fn writer() -> (mpsc::Sender<Option<LogLine>>, JoinHandle<()>) {
    let (sender, lines) = mpsc::channel();
    let write = move || {
        let mut out = io::stdout();
        while let Ok(Some(LogLine { level, message })) = lines.recv() {
            // If nobody reads, the call goes on all the same.
            let _ = writeln!(out, "{level:5} {message}");
        }
    };
    (sender, std::thread::spawn(write))
}

/// How a call ended that came to its end.
struct Ended {
    words: String,
    is_well: bool,
}

async fn invoke(
    engine: &Engine,
    component: &Component,
    call: Call,
    way: Way,
) -> Result<Ended, RunFault> {
    let function = match way {
        Way::Plan(out) => return plan(engine, component, call, out).await,
        Way::RollBack => {
            let rolled = engine.roll_back(call, "it was asked for").await;
            let report = rolled.map_err(RunFault::Run)?.unwrap_or_default();
            return Ok(Ended { words: report.to_string(), is_well: report.is_complete() });
        }
        Way::Make(function) => function,
    };
    // The last call is the one that can be taken back.
    let mut directory = None;
    if let (Some(journal), false) = (&call.journal, function == Function::Check) {
        let journal = directory.insert(journal.directory().to_owned());
        forget_call(&call.root, journal).map_err(failed("forget", journal))?;
    }
    let done = |words: &str| Ended { words: words.to_owned(), is_well: true };
    let ended = match function {
        Function::Deploy => engine.deploy(component, call).await.map(|()| done("deployed")),
        Function::Undeploy => engine.undeploy(component, call).await.map(|()| done("undeployed")),
        Function::Check => engine.check(component, call).await.map(|report| found(&report)),
    };
    ended.map_err(|error| {
        let journal = directory.and_then(|directory| Journal::open(&directory).ok().flatten());
        match journal.is_some_and(|journal| !journal.effects().is_empty()) {
            true => RunFault::Midway(error),
            false => RunFault::Run(error),
        }
    })
}

/// What is done with a component.
enum Way {
    Make(Function),
    /// With the file to write it to.
    Plan(Option<PathBuf>),
    RollBack,
}

async fn plan(
    engine: &Engine,
    component: &Component,
    call: Call,
    out: Option<PathBuf>,
) -> Result<Ended, RunFault> {
    let plan = engine.plan(component, call).await.map_err(RunFault::Run)?;
    if let Some(file) = out {
        let text = serde_json::to_vec_pretty(&plan).map_err(io::Error::from);
        let written = text.and_then(|text| fs::write(&file, text));
        written.map_err(failed("write the plan to", &file))?;
    }
    Ok(Ended { words: plan.to_string(), is_well: plan.exit_code() != 1 })
}

fn found(report: &CheckReport) -> Ended {
    let (status, is_well) = match report.status {
        CheckStatus::Passing => ("passing", true),
        CheckStatus::Warning => ("warning", true),
        CheckStatus::Critical => ("critical", false),
    };
    let metrics = report.metrics.iter().map(|metric| {
        let line = format!("\n  {} {} {}", metric.name, metric.value, metric.unit);
        line.trim_end().to_owned()
    });
    let words = format!("{status}: {}{}", report.message, metrics.collect::<String>());
    Ended { words, is_well }
}

async fn asked_to_stop() {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Without signals there is only the kill that needs none.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
