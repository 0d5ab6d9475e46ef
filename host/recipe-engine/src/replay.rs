//! Running a call again from its recording, and taking one back: what comes after a call.

use crate::bindings::interfaces::types::Error;
use crate::call::{Agent, AgentError, Call, Context, Limits, TaskStatus, TaskUsage};
use crate::engine::{Component, Engine};
use crate::error::{Failure, RunError};
use crate::host::{Parts, Scope, words};
use crate::journal::{End, Journal, Ledger, Writer};
use crate::logbook::{LogLine, Logbook};
use crate::run::{Entry, Mode, Run};
use crate::secrets::Secrets;
use crate::tape::{Departure, Question, Recording, Tape};
use crate::tree::Tree;
use async_trait::async_trait;
use cerebro_model::Rollback;
use cerebro_model::{Allowed, Digest, NameError};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Milliseconds after which a replay of a call whose time was up is ended too, once all its calls are
/// answered.
const TIME_IS_UP: u64 = 10_000;

/// What came of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// What the component asked for, and was answered.
    pub answered: Vec<Question>,
    /// Where it left the recording, if it did.
    pub departure: Option<Departure>,
    /// How it failed; none if it succeeded.
    pub failure: Option<String>,
    /// Whether it ended as it had.
    pub same_end: bool,
    /// Where in the component it ended, if that did not come to its own end: functions, by name where
    /// the component has names, and how far into each, innermost first.
    pub site: Vec<String>,
}

impl Engine {
    /// Runs a recorded call again: nothing but `component` and the recording is needed, and nothing
    /// of this machine is touched. If it `is_strict`, each call must come where it came; else calls
    /// are found by what they ask, as an edited component needs. It stops after call `until`.
    pub async fn replay(
        &self,
        component: &Component,
        recording: Recording,
        is_strict: bool,
        until: Option<u32>,
        log: Arc<dyn crate::logbook::LogSink>,
    ) -> Result<Replay, RunError> {
        let recording = Arc::new(recording);
        let failed = |error: NameError| RunError {
            failure: Failure::Incompatible { message: format!("the recording: {error}") },
            log: Vec::new(),
        };
        let call = call(&recording, log).map_err(failed)?;
        let entry = match recording.inputs.function.as_str() {
            "undeploy" => Entry::Undeploy,
            _ => Entry::Deploy,
        };
        let mode = Mode::Replay { recording: recording.clone(), is_strict, until };
        let outcome = self.run_as(component, &Run::new(call), entry, mode).await;
        let Some(scope) = outcome.scope else {
            let nothing = Replay {
                answered: Vec::new(),
                departure: None,
                failure: None,
                same_end: false,
                site: Vec::new(),
            };
            return outcome.ended.map(|_| nothing);
        };
        let (mut departure, answered, site) = match scope.tape() {
            Tape::Playing(player) => player.finish(),
            _ => (None, Vec::new(), Vec::new()),
        };
        let failure = outcome.ended.err().map(|error| error.failure);
        let was = recording.ended();
        let same_end = departure.is_none()
            && was.is_some_and(|was| match &failure {
                Some(Failure::TimedOut { .. }) => was.timed_out,
                failure => was.failure == failure.as_ref().map(ToString::to_string),
            });
        // Nobody knows what the component would have done, had its time not been up.
        if was.is_none() && departure.is_none() {
            let n = u32::try_from(answered.len()).unwrap_or(u32::MAX);
            departure =
                Some(Departure::Lost { n, why: "nobody lived to record its end".to_owned() });
        }
        let failure = failure.map(|failure| failure.to_string());
        Ok(Replay { answered, departure, failure, same_end, site })
    }

    /// From where in the component it made these calls, by their numbers. Nothing is kept of that while
    /// a call is made; it is found by replaying it up to each, which comes to the same instruction.
    pub async fn call_sites(
        &self,
        component: &Component,
        recording: &Recording,
        calls: impl IntoIterator<Item = u32>,
    ) -> BTreeMap<u32, Vec<String>> {
        let mut sites = BTreeMap::new();
        for n in calls {
            let Some(until) = n.checked_sub(1) else { continue };
            let silent = Arc::new(|_: LogLine| ());
            let replay = self.replay(component, recording.clone(), true, Some(until), silent).await;
            if let Ok(replay) = replay
                && replay.departure == Some(Departure::Until(until))
            {
                sites.insert(n, replay.site);
            }
        }
        sites
    }

    /// Takes back what the call whose journal is in `call.journal` did; none if it did nothing. It can
    /// be done again, also after it was cut off.
    pub async fn roll_back(&self, call: Call, why: &str) -> Result<Option<Rollback>, RunError> {
        let failed =
            |message: String| RunError { failure: Failure::Returned { message }, log: Vec::new() };
        let Some(journaling) = call.journal.clone() else { return Ok(None) };
        let directory = journaling.directory.clone();
        let unreadable = |error: std::io::Error| {
            failed(format!("the journal in `{}` cannot be read: {error}", directory.display()))
        };
        let Some(journal) = Journal::open(&directory).map_err(unreadable)? else { return Ok(None) };
        // What it is comes first, and is written before any effect.
        if journal.records.is_empty() && journal.end == End::Whole {
            return Ok(None);
        }
        let Some(begin) = journal.begin().cloned() else {
            let why = "its beginning is lost, and with it what was done";
            return Err(failed(format!("the journal in `{}`: {why}", directory.display())));
        };
        let writer = Writer::resume(directory.clone(), begin, journaling.open.clone());
        let writer = writer.map_err(unreadable)?;
        let secrets = Arc::<Secrets>::default();
        let (bytes, lines) = (call.limits.log_bytes, call.limits.log_lines);
        let log = Arc::new(Logbook::new(call.log.clone(), bytes, lines, secrets.clone()));
        let deadline = Instant::now() + call.limits.wall;
        let scope = Scope::new(Parts {
            allowed: Allowed::new(call.grants.clone(), None),
            call: Arc::new(call),
            changing: self.inner.changing.clone(),
            log: log.clone(),
            secrets,
            http: self.inner.http.clone(),
            ledger: Ledger::off(),
            tape: Tape::Off,
            seed: None,
            deadline,
        });
        let report = scope.roll_back(&journal, &directory, &writer, why, journaling.boot).await;
        report.map(Some).map_err(|error: Error| RunError {
            failure: Failure::Returned { message: words(&error).to_owned() },
            log: log.tail(),
        })
    }
}

/// Removes what is kept of a call in `directory`, on a machine with this root: it cannot be taken back
/// or run again then.
pub fn forget_call(root: &Path, directory: &Path) -> std::io::Result<()> {
    let grants = Allowed::new(Arc::default(), None);
    let tree = Tree::new(root, grants, Arc::default(), Arc::new(Ledger::off()));
    if let Some(journal) = Journal::open(directory)?
        && let Some(begin) = journal.begin()
    {
        for entry in journal.effects() {
            let Some(path) = entry.effect.action.path() else { continue };
            tree.forget_kept(path, directory, &begin.id, entry.n)
                .map_err(|error| std::io::Error::other(words(&error).to_owned()))?;
        }
    }
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn call(recording: &Recording, log: Arc<dyn crate::logbook::LogSink>) -> Result<Call, NameError> {
    let inputs = &recording.inputs;
    let timed_out = recording.ended().is_some_and(|ended| ended.timed_out);
    let wall = if timed_out { inputs.wall.min(TIME_IS_UP) } else { inputs.wall };
    Ok(Call {
        context: Arc::new(Context {
            job: inputs.job.parse()?,
            instance: inputs.instance.parse()?,
            number: 0,
            zone: "replay".parse()?,
            machine: inputs.machine.parse()?,
            version: inputs.version.parse()?,
            previous_version: None,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ports: Default::default(),
            options: Default::default(),
        }),
        grants: Arc::new(inputs.grants.clone()),
        // Nothing looks there: all is answered from the recording.
        root: PathBuf::from("/nonexistent"),
        limits: Limits {
            memory: inputs.memory,
            instances: inputs.instances,
            tables: inputs.tables,
            wall: Duration::from_millis(wall),
            ..Limits::default()
        },
        memory: PathBuf::from("/nonexistent"),
        agent: Arc::new(Nobody),
        log,
        journal: None,
    })
}

/// The agent of a replay, whom nobody asks.
struct Nobody;

fn nobody<T>() -> Result<T, AgentError> {
    Err(AgentError::Unsupported("a replay has no machine".to_owned()))
}

#[async_trait]
impl Agent for Nobody {
    async fn artifact(&self, _: Digest) -> Result<PathBuf, AgentError> {
        nobody()
    }

    fn artifacts(&self) -> &Path {
        Path::new("/nonexistent")
    }

    async fn task(&self, _: Option<&str>) -> Result<Option<TaskStatus>, AgentError> {
        nobody()
    }

    async fn task_usage(&self, _: Option<&str>) -> Result<Option<TaskUsage>, AgentError> {
        nobody()
    }

    async fn task_output(
        &self,
        _: Option<&str>,
        _: bool,
        _: usize,
    ) -> Result<Vec<String>, AgentError> {
        nobody()
    }

    async fn signal_task(&self, _: Option<&str>, _: i32) -> Result<(), AgentError> {
        nobody()
    }

    async fn restart_task(&self, _: Option<&str>) -> Result<(), AgentError> {
        nobody()
    }

    async fn secret(&self, _: &str) -> Result<Vec<u8>, AgentError> {
        nobody()
    }
}
