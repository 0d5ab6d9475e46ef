//! The wiring: opens what the agent needs, takes over what is there, and runs until it is told to
//! end. Tasks go on without it.

use crate::agent::{Agent, Orders};
use crate::blobs::Blobs;
use crate::disk::{Disk, DiskError};
use crate::events::Events;
use crate::settings::Settings;
use crate::table::{Entry, Table};
use crate::{http, link, reconcile, tasks};
use cerebro_api::{Client, ClientError};
use cerebro_linux::cgroup::Cgroups;
use cerebro_model::{EventKind, Subject};
use cerebro_recipe_engine::{Engine, EngineError};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Why the agent cannot run.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Its data directory cannot be used.
    #[error("cannot use the agent's data directory")]
    Disk(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Recipes cannot be run.
    #[error("cannot run recipes on this machine")]
    Engine(#[from] EngineError),
    /// The controller's address is none.
    #[error("cannot call the controller")]
    Client(#[from] ClientError),
    /// Its port is taken, or its address is not this machine's.
    #[error(
        "cannot listen on {address}: is another agent there, or the address not this machine's?"
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The machine lacks something that each has.
    #[error("cannot {doing}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl From<DiskError> for AgentError {
    fn from(error: DiskError) -> Self {
        Self::Disk(Box::new(error))
    }
}

/// Runs the agent until it is asked to end.
pub async fn run(settings: Settings) -> Result<(), AgentError> {
    let system = |doing| move |source| AgentError::System { doing, source };
    let mut terminate = signal(SignalKind::terminate()).map_err(system("wait for signals"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system("wait for signals"))?;
    let disk = Disk::open(&settings.data)?;
    let address = SocketAddr::new(settings.address, settings.port);
    let listening = TcpListener::bind(address).await;
    let listener = listening.map_err(|source| AgentError::Listen { address, source })?;
    let agent = Arc::new(build(settings, disk)?);

    adopt(&agent)?;
    let mut parts = JoinSet::new();
    parts.spawn(http::serve(agent.clone(), listener));
    parts.spawn(link::beat(agent.clone()));
    parts.spawn(link::obey(agent.clone()));
    parts.spawn(link::report(agent.clone()));
    parts.spawn(reconcile::run(agent));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        // None of them ends by itself.
        _ = parts.join_next() => {
            return Err(system("go on")(io::Error::other("a part of the agent has ended")));
        }
    }
    tracing::info!("the agent ends; tasks go on");
    Ok(())
}

fn build(settings: Settings, disk: Disk) -> Result<Agent, AgentError> {
    let system = |doing| move |source| AgentError::System { doing, source };
    let client = Client::new(settings.controller.clone())?;
    let blobs = Blobs::open(disk.cache().join("blobs"), client.clone())
        .map_err(system("make the cache for components and artifacts"))?;
    let engine = Engine::new(disk.cache().join("compiled"))?;
    let boot = cerebro_linux::process::boot_id().map_err(system("find out the boot"))?;
    let orders = Orders { term: disk.term()?, desired: disk.desired()? };
    let cgroups = match &settings.cgroup {
        Some(_) => Some(Cgroups::detect().map_err(system("find the control groups"))?),
        None => None,
    };
    Ok(Agent {
        settings,
        disk,
        client,
        engine,
        blobs: Arc::new(blobs),
        events: Events::default(),
        table: Table::default(),
        boot,
        cgroups,
        wake: Notify::new(),
        orders: Mutex::new(orders),
    })
}

/// Takes over what an earlier agent left.
fn adopt(agent: &Arc<Agent>) -> Result<(), AgentError> {
    let mut found = 0;
    for record in agent.disk.records()? {
        let id = record.id().clone();
        let rebooted = record.boot != agent.boot;
        let follow = match &record.task {
            Some(task) => !rebooted || task.deployment.job.persistent,
            None => false,
        };
        let mut entry = Entry::new(record);
        if rebooted && !follow {
            entry.note = "the machine was rebooted, and the job is not persistent".to_owned();
        }
        agent.table.insert(entry);
        if follow {
            found += 1;
            tasks::follow(agent, &id, true);
        }
    }
    if found > 0 {
        let pid = std::process::id();
        let subject =
            Subject { machine: Some(agent.settings.machine.clone()), ..Subject::default() };
        let message = format!("the agent (pid {pid}) takes over {found} tasks that it found");
        agent.tell(EventKind::AgentStarted, subject, message);
    }
    Ok(())
}
