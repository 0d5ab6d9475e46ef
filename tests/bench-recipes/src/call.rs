//! Calls of components, as an agent makes them.

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use cerebro_model::{Digest, Grants, Options};
use cerebro_recipe_engine::{
    Agent, AgentError, Call, CheckStatus, Compiler, Component, Context, Engine, Limits, LogLine,
    TaskStatus, TaskUsage, beat,
};
use nix::sys::resource::{UsageWho, getrusage};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::sleep_until;

/// Calls before those that count.
const WARM_UP: usize = 200;

/// A component with what it is called with, on a thread of its own.
pub struct Prepared {
    runtime: Runtime,
    component: Component,
    call: Call,
    file: PathBuf,
}

/// An engine of its own, and a machine that has nothing.
pub struct Checks {
    engine: Engine,
    dir: TempDir,
}

impl Checks {
    /// Makes the engine.
    pub fn open() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        std::fs::create_dir(dir.path().join("root"))?;
        let engine = Engine::new(dir.path().join("compiled"), Compiler::Here)?;
        Ok(Self { engine, dir })
    }

    async fn component(&self, file: &Path) -> Result<Component> {
        let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
        Ok(self.engine.compile(Digest::of(&bytes), bytes).await?)
    }

    fn call(&self, port: u16) -> Result<Call> {
        let context = context(port, Options::default())?;
        Ok(Call {
            context: Arc::new(context),
            grants: Arc::new(Grants::default()),
            root: self.dir.path().join("root"),
            limits: Limits { wall: Duration::from_secs(5), ..Limits::default() },
            memory: self.dir.path().join("memory"),
            agent: Arc::new(Agentless(self.dir.path().to_owned())),
            log: Arc::new(|_: LogLine| {}),
            journal: None,
        })
    }

    /// A check that is called again and again.
    pub fn prepare(&self, file: &Path, port: u16) -> Result<Prepared> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (component, call) = (runtime.block_on(self.component(file))?, self.call(port)?);
        let prepared = Prepared { runtime, component, call, file: file.to_owned() };
        self.measure(&prepared, WARM_UP)?;
        Ok(prepared)
    }

    /// How long each of some calls takes, in microseconds.
    pub fn measure(&self, prepared: &Prepared, calls: usize) -> Result<Vec<f64>> {
        let Prepared { runtime, component, call, file } = prepared;
        runtime.block_on(async {
            let mut micros = Vec::with_capacity(calls);
            for _ in 0..calls {
                let begun = Instant::now();
                let report = self.engine.check(component, call.clone()).await?;
                micros.push(begun.elapsed().as_secs_f64() * 1e6);
                if report.status != CheckStatus::Passing {
                    bail!("{}: {}", file.display(), report.message);
                }
            }
            Ok(micros)
        })
    }

    /// Begins so many checks each second; answers how late each began, in milliseconds, and the
    /// seconds of CPU that all of them took.
    pub fn keep_up(
        &self,
        file: &Path,
        port: u16,
        each_second: u32,
        duration: Duration,
    ) -> Result<(Vec<f64>, f64)> {
        Runtime::new()?.block_on(async {
            let (component, call) = (self.component(file).await?, self.call(port)?);
            for _ in 0..WARM_UP {
                self.engine.check(&component, call.clone()).await?;
            }
            let before = cpu()?;
            let (begun, mut checks) = (tokio::time::Instant::now(), JoinSet::new());
            // As many as there are in a fleet where each runs once a second.
            for number in 0..each_second {
                let first = begun + Duration::from_secs(1) * number / each_second;
                let (engine, component, call) =
                    (self.engine.clone(), component.clone(), call.clone());
                checks.spawn(async move {
                    let (mut due, mut late) = (first, Vec::new());
                    while due < begun + duration {
                        sleep_until(beat(due)).await;
                        late.push(due.elapsed().as_secs_f64() * 1e3);
                        engine.check(&component, call.clone()).await?;
                        due += Duration::from_secs(1);
                    }
                    Ok::<_, anyhow::Error>(late)
                });
            }
            let mut late = Vec::new();
            while let Some(done) = checks.join_next().await {
                late.append(&mut done??);
            }
            Ok((late, cpu()? - before))
        })
    }
}

/// An instance that listens on `port`.
pub fn context(port: u16, options: Options) -> Result<Context> {
    let ports = [("http".parse()?, port)].into_iter().collect();
    Ok(Context {
        job: "bench.example.com".parse()?,
        instance: "0.zone-1.bench.example.com".parse()?,
        number: 0,
        zone: "zone-1".parse()?,
        machine: "m-1".parse()?,
        version: "1.0".parse()?,
        previous_version: None,
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        ports,
        options,
    })
}

/// Seconds of CPU that this process has used.
fn cpu() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// No agent: it has nothing to give but a directory for artifacts.
pub struct Agentless(pub PathBuf);

fn nothing<T>() -> Result<T, AgentError> {
    Err(AgentError::Unsupported("there is nothing in a benchmark".to_owned()))
}

#[async_trait]
impl Agent for Agentless {
    async fn artifact(&self, _: Digest) -> Result<PathBuf, AgentError> {
        nothing()
    }

    fn artifacts(&self) -> &Path {
        &self.0
    }

    async fn task(&self, _: Option<&str>) -> Result<Option<TaskStatus>, AgentError> {
        nothing()
    }

    async fn task_usage(&self, _: Option<&str>) -> Result<Option<TaskUsage>, AgentError> {
        nothing()
    }

    async fn task_output(
        &self,
        _: Option<&str>,
        _: bool,
        _: usize,
    ) -> Result<Vec<String>, AgentError> {
        nothing()
    }

    async fn signal_task(&self, _: Option<&str>, _: i32) -> Result<(), AgentError> {
        nothing()
    }

    async fn restart_task(&self, _: Option<&str>) -> Result<(), AgentError> {
        nothing()
    }

    async fn secret(&self, _: &str) -> Result<Vec<u8>, AgentError> {
        nothing()
    }
}
