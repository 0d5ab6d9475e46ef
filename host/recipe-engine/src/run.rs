//! One call of a component: a fresh instance, within its limits, to a clear end.

use crate::backtrace::{site, trapped};
use crate::bindings::interfaces::health;
use crate::call::{Call, Journaling};
use crate::engine::{Component, Engine, Linked};
use crate::error::{Failure, RunError, told};
use crate::host::{Parts, Scope, State, words};
use crate::journal::{Begin, Expected, Ledger, Record, Writer, now};
use crate::logbook::Logbook;
use crate::secrets::Secrets;
use crate::tape::{Ended, Inputs, Player, Recorder, Recording, Tape};
use cerebro_model::{Allowed, ComponentKind};
use cerebro_model::{Plan, PlanEnd};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};
use wasmtime::{PoolConcurrencyLimitError, Store, UpdateDeadline};

/// How long to wait for room in the pool before it is tried again.
const CROWDED: Duration = Duration::from_millis(20);

/// What a health check found.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckReport {
    /// Where the instance stands.
    pub status: CheckStatus,
    /// Why, in one line.
    pub message: String,
    /// What was measured.
    pub metrics: Vec<Metric>,
}

/// Where an instance stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckStatus {
    /// It serves.
    Passing,
    /// It serves, but someone should look.
    Warning,
    /// It does not serve.
    Critical,
}

/// A figure that a check measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Its unit, or nothing.
    pub unit: String,
}

impl Engine {
    /// Runs a recipe's `deploy`.
    pub async fn deploy(&self, component: &Component, call: Call) -> Result<(), RunError> {
        self.run(component, call, Entry::Deploy).await.map(drop)
    }

    /// Runs a recipe's `undeploy`.
    pub async fn undeploy(&self, component: &Component, call: Call) -> Result<(), RunError> {
        self.run(component, call, Entry::Undeploy).await.map(drop)
    }

    /// Runs a health check. A check that could not be made is an error.
    pub async fn check(&self, component: &Component, call: Call) -> Result<CheckReport, RunError> {
        let report = self.run(component, call, Entry::Check).await?;
        // An entry that is no check has no report; `run` refuses such components.
        report.ok_or_else(|| {
            let message = "the check gave no report".to_owned();
            RunError { failure: Failure::Incompatible { message }, log: Vec::new() }
        })
    }

    /// What a recipe's `deploy` would do now. It runs, and nothing is changed: what it writes it reads
    /// again, and what nobody can know it is not told. A failure of its own is part of the plan.
    pub async fn plan(&self, component: &Component, call: Call) -> Result<Plan, RunError> {
        let run = Run::new(call);
        let outcome = self.run_as(component, &run, Entry::Deploy, Mode::Plan).await;
        let Some(scope) = &outcome.scope else { return outcome.ended.map(|_| empty(component)) };
        let failed = outcome.ended.err().map(|error| error.to_string());
        let plan = scope.ledger().plan();
        let digest = component.digest().to_string();
        Ok(plan.map_or_else(|| empty(component), |plan| plan.finish(digest, failed)))
    }

    async fn run(
        &self,
        component: &Component,
        call: Call,
        entry: Entry,
    ) -> Result<Option<CheckReport>, RunError> {
        let run = Run::new(call);
        // A run under way is 26 KB. In a place of its own that is memory which the run before has left warm; as
        // a part of each caller, of whom thousands wait most of the time, it is far away at each call.
        let outcome = Box::pin(self.run_as(component, &run, entry, Mode::Make)).await;
        let Some(scope) = &outcome.scope else { return outcome.ended };
        let error = outcome.ended.as_ref().err().map(|error| error.failure.to_string());
        if let Some(writer) = scope.ledger().writer()
            && let Err(error) = writer.close(&Record::End { at: now(), error: error.clone() })
        {
            // It counts as cut off then, and is run or rolled back again: both can be.
            tracing::warn!(%error, "the end of a journal cannot be written");
        }
        // Nobody runs again what went well and changed nothing: it leaves nothing either.
        let is_of_interest =
            error.is_some() || scope.ledger().writer().is_some_and(|writer| !writer.is_empty());
        if let Tape::Recording(recorder) = scope.tape()
            && is_of_interest
        {
            let timed_out = outcome
                .ended
                .as_ref()
                .is_err_and(|e| matches!(e.failure, Failure::TimedOut { .. }));
            if let Err(error) = recorder.end(Ended { failure: error, timed_out }) {
                // Nothing but a replay misses it.
                tracing::warn!(%error, "a call's recording cannot be kept");
            }
        }
        outcome.ended
    }

    /// Runs a component; answers also what it ran in, if it ran.
    pub(crate) async fn run_as(
        &self,
        component: &Component,
        run: &Run,
        entry: Entry,
        mode: Mode,
    ) -> Outcome {
        let turns = match entry {
            Entry::Check => &self.inner.checks,
            Entry::Deploy | Entry::Undeploy => &self.inner.recipes,
        };
        // It is never closed; its time begins with its turn.
        let _turn = turns.acquire_many(component.places()).await;
        let asked = Instant::now();
        let (ended, scope) = loop {
            let mut scope = None;
            match self.run_once(component, run, entry, &mode, &mut scope).await {
                // Nothing of it has run yet. Others end meanwhile.
                Err(Failure::Crowded { .. }) if asked.elapsed() < run.call.limits.wall => {
                    sleep(CROWDED).await;
                }
                ended => break (ended, scope),
            }
        };
        let told = |failure: Failure| RunError {
            failure: failure.told(&run.secrets),
            log: run.log.tail(),
        };
        Outcome { ended: ended.map_err(told), scope }
    }

    async fn run_once(
        &self,
        component: &Component,
        run: &Run,
        entry: Entry,
        mode: &Mode,
        kept: &mut Option<Arc<Scope>>,
    ) -> Result<Option<CheckReport>, Failure> {
        let _running = self.inner.epoch.running();
        let Run { call, log, secrets } = run;
        let deadline = Instant::now() + call.limits.wall;
        let (after, memory) = (call.limits.wall, call.limits.memory);
        if component.kind() != entry.kind() {
            return Err(Failure::WrongKind { is: component.kind(), wanted: entry.kind() });
        }
        let linked = self.link(component, &call.grants)?;
        let wants = component.inspection().wants.clone();
        let (ledger, tape, seed) = mode.means(component, run, entry)?;
        let scope = Scope::new(Parts {
            call: call.clone(),
            allowed: Allowed::new(call.grants.clone(), wants),
            changing: self.inner.changing.clone(),
            log: log.clone(),
            secrets: secrets.clone(),
            http: self.inner.http.clone(),
            ledger,
            tape,
            seed,
            deadline,
        });
        let mut store = Store::new(self.wasmtime(), State::new(scope));
        *kept = Some(store.data().scope());
        store.limiter(|state| &mut state.limiter);
        store.epoch_deadline_callback(move |_| match Instant::now() < deadline {
            true => Ok(UpdateDeadline::Yield(1)),
            false => Err(wasmtime::Error::new(TimeIsUp)),
        });
        store.set_epoch_deadline(1);

        // Epochs end what computes, the timeout what waits for the host.
        let called = async {
            let outcome = invoke(&mut store, linked, entry).await?;
            // What it asked for to be done at the end, now that it has come to its end.
            if outcome.is_ok() && !matches!(entry, Entry::Check) {
                // It may have made light of what it was refused.
                if let Some(why) = store.data().scope().ledger().departed() {
                    return Ok((Err(why), Ok(())));
                }
                let done = store.data().scope().at_the_end().await?;
                return Ok((outcome, done));
            }
            Ok::<_, wasmtime::Error>((outcome, Ok(())))
        };
        let ended = match timeout_at(deadline, called).await {
            Ok(Ok((_, Err(error)))) => {
                return Err(Failure::AtEnd { message: words(&error).to_owned() });
            }
            Ok(Ok((outcome, Ok(())))) => Ok(Ok(outcome)),
            Ok(Err(stop)) => Ok(Err(stop)),
            Err(elapsed) => Err(elapsed),
        };
        match ended {
            Err(_) => Err(Failure::TimedOut { after }),
            Ok(Ok(Ok(report))) => Ok(report.map(|report| report.told(secrets))),
            Ok(Ok(Err(message))) => Err(Failure::Returned { message }),
            Ok(Err(error)) if error.is::<TimeIsUp>() => Err(Failure::TimedOut { after }),
            Ok(Err(error)) if error.is::<PoolConcurrencyLimitError>() => {
                Err(Failure::Crowded { after, message: error.to_string() })
            }
            Ok(Err(_)) if store.data().limiter.refused => {
                Err(Failure::OutOfMemory { limit: memory })
            }
            Ok(Err(error)) => {
                if let Tape::Playing(player) = store.data().scope().tape() {
                    player.ended_at(site(&error));
                }
                Err(trapped(&error, store.data().panic_message()))
            }
        }
    }
}

/// A call that is run.
pub(crate) struct Run {
    pub(crate) call: Arc<Call>,
    log: Arc<Logbook>,
    secrets: Arc<Secrets>,
}

impl Run {
    pub(crate) fn new(call: Call) -> Self {
        let (limits, secrets) = (&call.limits, Arc::<Secrets>::default());
        let (bytes, lines) = (limits.log_bytes, limits.log_lines);
        let log = Arc::new(Logbook::new(call.log.clone(), bytes, lines, secrets.clone()));
        Self { call: Arc::new(call), log, secrets }
    }
}

/// What came of a run.
pub(crate) struct Outcome {
    pub(crate) ended: Result<Option<CheckReport>, RunError>,
    pub(crate) scope: Option<Arc<Scope>>,
}

/// What a run is for.
pub(crate) enum Mode {
    /// It is made.
    Make,
    /// It is looked at what it would do.
    Plan,
    /// It is made again from what was recorded.
    Replay { recording: Arc<Recording>, is_strict: bool, until: Option<u32> },
}

/// Where effects are told, where answers come from, and what random numbers do.
type Means = (Ledger, Tape, Option<[u8; 32]>);

impl Mode {
    fn means(&self, component: &Component, run: &Run, entry: Entry) -> Result<Means, Failure> {
        match self {
            Self::Plan => Ok((Ledger::planning(), Tape::Off, None)),
            Self::Replay { recording, is_strict, until } => {
                let player = Player::new(recording, *is_strict, *until);
                Ok((Ledger::off(), Tape::Playing(Box::new(player)), Some(recording.inputs.seed)))
            }
            Self::Make => {
                let journal = run.call.journal.as_ref();
                match journal.filter(|_| !matches!(entry, Entry::Check)) {
                    None => Ok((Ledger::off(), Tape::Off, None)),
                    Some(journal) => journaled(journal, component, run, entry),
                }
            }
        }
    }
}

fn journaled(
    journal: &Journaling,
    component: &Component,
    run: &Run,
    entry: Entry,
) -> Result<Means, Failure> {
    let random =
        || crate::random().map_err(|error| Failure::Incompatible { message: error.to_string() });
    let mut seed = [0; 32];
    seed[..16].copy_from_slice(&random()?.to_le_bytes());
    seed[16..].copy_from_slice(&random()?.to_le_bytes());
    let (context, limits) = (&run.call.context, &run.call.limits);
    let (component, function) = (component.digest().to_string(), entry.name().to_owned());
    let (job, instance) = (context.job.to_string(), context.instance.to_string());
    let (machine, version) = (context.machine.to_string(), context.version.to_string());
    let begin = Begin {
        id: format!("{:012x}", random()? & 0xffff_ffff_ffff),
        component: component.clone(),
        function: function.clone(),
        job: job.clone(),
        instance: instance.clone(),
        version: version.clone(),
        at: now(),
        boot: journal.boot.clone().unwrap_or_else(boot),
    };
    let inputs = Inputs {
        component,
        function,
        job,
        instance,
        machine,
        version,
        at: begin.at,
        grants: run.call.grants.as_ref().clone(),
        memory: limits.memory,
        instances: limits.instances,
        tables: limits.tables,
        wall: u64::try_from(limits.wall.as_millis()).unwrap_or(u64::MAX),
        seed,
    };
    let directory = journal.directory.clone();
    let recorder = Recorder::new(&directory, inputs, run.secrets.clone());
    let writer = Writer::new(directory, begin, journal.open.clone());
    let plan = journal.plan.as_ref();
    let expected = plan.map(|(plan, beyond)| Expected::new(plan.as_ref().clone(), *beyond));
    let ledger = Ledger::journal(writer).held_to(expected);
    Ok((ledger, Tape::Recording(Box::new(recorder)), Some(seed)))
}

/// The boot of this machine, as the kernel names it.
pub(crate) fn boot() -> String {
    static BOOT: OnceLock<String> = OnceLock::new();
    let read = || std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    BOOT.get_or_init(|| read().unwrap_or_default().trim().to_owned()).clone()
}

fn empty(component: &Component) -> Plan {
    let component = component.digest().to_string();
    Plan { component, lines: Vec::new(), end: PlanEnd::Whole }
}

/// What is called.
#[derive(Clone, Copy)]
pub(crate) enum Entry {
    Deploy,
    Undeploy,
    Check,
}

impl Entry {
    fn name(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Undeploy => "undeploy",
            Self::Check => "check",
        }
    }

    fn kind(self) -> ComponentKind {
        match self {
            Self::Deploy | Self::Undeploy => ComponentKind::Recipe,
            Self::Check => ComponentKind::HealthCheck,
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the time is up")]
struct TimeIsUp;

async fn invoke(
    store: &mut Store<State>,
    linked: Linked,
    entry: Entry,
) -> Result<Result<Option<CheckReport>, String>, wasmtime::Error> {
    match linked {
        Linked::Recipe(pre) => {
            let recipe = pre.instantiate_async(&mut *store).await?;
            let called = match entry {
                Entry::Undeploy => recipe.call_undeploy(store).await,
                _ => recipe.call_deploy(store).await,
            };
            Ok(called?.map(|()| None))
        }
        Linked::Check(pre) => {
            let check = pre.instantiate_async(&mut *store).await?;
            Ok(check.call_check(store).await?.map(|report| Some(report.into())))
        }
    }
}

/// Metrics of one report that are passed on.
const MOST_METRICS: usize = 256;

impl CheckReport {
    /// The same as it may be told.
    fn told(mut self, secrets: &Secrets) -> Self {
        self.message = told(&self.message, secrets);
        self.metrics.truncate(MOST_METRICS);
        for metric in &mut self.metrics {
            metric.name = told(&metric.name, secrets);
            metric.unit = told(&metric.unit, secrets);
        }
        self
    }
}

impl From<health::Report> for CheckReport {
    fn from(report: health::Report) -> Self {
        let status = match report.status {
            health::Status::Passing => CheckStatus::Passing,
            health::Status::Warning => CheckStatus::Warning,
            health::Status::Critical => CheckStatus::Critical,
        };
        let metric = |m: health::Metric| Metric { name: m.name, value: m.value, unit: m.unit };
        let metrics = report.metrics.into_iter().map(metric).collect();
        Self { status, message: report.message, metrics }
    }
}

/// What is left until `deadline`, at most `asked`.
pub(crate) fn remaining(deadline: Instant, asked: Option<u32>) -> Duration {
    let left = deadline.saturating_duration_since(Instant::now());
    asked.map_or(left, |asked| left.min(Duration::from_millis(asked.into())))
}
