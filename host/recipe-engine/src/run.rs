//! One call of a component: a fresh instance, within its limits, to a clear end.

use crate::bindings::interfaces::health;
use crate::call::Call;
use crate::engine::{Component, Engine, Linked};
use crate::error::{Failure, RunError, told};
use crate::host::{State, words};
use crate::logbook::Logbook;
use crate::secrets::Secrets;
use crate::tree::Tree;
use cerebro_model::{Allowed, ComponentKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};
use wasmtime::{PoolConcurrencyLimitError, Store, UpdateDeadline, WasmBacktrace};

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

    async fn run(
        &self,
        component: &Component,
        call: Call,
        entry: Entry,
    ) -> Result<Option<CheckReport>, RunError> {
        let turns = match entry {
            Entry::Check => &self.inner.checks,
            Entry::Deploy | Entry::Undeploy => &self.inner.recipes,
        };
        // It is never closed; its time begins with its turn.
        let _turn = turns.acquire().await;
        let (call, asked) = (Arc::new(call), Instant::now());
        let limits = &call.limits;
        let secrets = Arc::<Secrets>::default();
        let (bytes, lines) = (limits.log_bytes, limits.log_lines);
        let log = Arc::new(Logbook::new(call.log.clone(), bytes, lines, secrets.clone()));
        let outcome = loop {
            match self.run_logged(component, &call, entry, &log, &secrets).await {
                // Nothing of it has run yet. Others end meanwhile.
                Err(Failure::Crowded { .. }) if asked.elapsed() < call.limits.wall => {
                    sleep(CROWDED).await;
                }
                outcome => break outcome,
            }
        };
        outcome.map_err(|failure| RunError { failure: failure.told(&secrets), log: log.tail() })
    }

    async fn run_logged(
        &self,
        component: &Component,
        call: &Arc<Call>,
        entry: Entry,
        log: &Arc<Logbook>,
        secrets: &Arc<Secrets>,
    ) -> Result<Option<CheckReport>, Failure> {
        let _running = self.inner.epoch.running();
        let deadline = Instant::now() + call.limits.wall;
        let (after, memory) = (call.limits.wall, call.limits.memory);
        if component.kind() != entry.kind() {
            return Err(Failure::WrongKind { is: component.kind(), wanted: entry.kind() });
        }
        let linked = self.link(component, &call.grants)?;
        let wants = component.inspection().wants.clone();
        let allowed = Allowed::new(call.grants.clone(), wants);
        let tree = Tree::new(&call.root, allowed.clone(), self.inner.changing.clone());

        let http = self.inner.http.clone();
        let state =
            State::new(call.clone(), allowed, tree, log.clone(), secrets.clone(), http, deadline);
        let mut store = Store::new(self.wasmtime(), state);
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
                let scope = store.data().scope();
                return Ok((outcome, scope.do_pending().await));
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
            Ok(Err(error)) => Err(trapped(&error, store.data().panic_message())),
        }
    }
}

/// What is called.
#[derive(Clone, Copy)]
enum Entry {
    Deploy,
    Undeploy,
    Check,
}

impl Entry {
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

fn trapped(error: &wasmtime::Error, panic: Option<String>) -> Failure {
    let frames = error.downcast_ref::<WasmBacktrace>().map(WasmBacktrace::frames).unwrap_or(&[]);
    let name = |frame: &wasmtime::FrameInfo| match frame.func_name() {
        Some(name) => name.to_owned(),
        None => format!("function {}", frame.func_index()),
    };
    Failure::Trapped {
        message: panic.unwrap_or_else(|| error.root_cause().to_string()),
        backtrace: frames.iter().take(32).map(name).collect(),
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
