//! The wiring: opens what the agent needs, takes over what is there, and runs until it is told to
//! end. Tasks go on without it.

use crate::agent::{Agent, Orders, Turns};
use crate::blobs::Blobs;
use crate::compile_component::compiler;
use crate::disk::{Disk, DiskError};
use crate::events::Events;
use crate::link::Link;
use crate::machine::Machine;
use crate::own::Own;
use crate::settings::Settings;
use crate::sitters::Sitters;
use crate::table::{Entry, Hold, Table};
use crate::{http, link, machine, own, reconcile, tasks};
use cerebro_api::{Client, ClientError};
use cerebro_linux::cgroup::Cgroups;
use cerebro_model::{Digest, EventKind};
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
    disk.tell_address(listener.local_addr().map_err(system("find out its own address"))?)?;
    let agent = Arc::new(build(settings, disk)?);

    let found = adopt(&agent)? + own::begin(&agent)?;
    if found > 0 {
        let pid = std::process::id();
        let message = format!("the agent (pid {pid}) takes over {found} tasks that it found");
        agent.tell_of_machine(EventKind::AgentStarted, message);
    }
    let mut parts = JoinSet::new();
    parts.spawn(http::serve(agent.clone(), listener));
    parts.spawn(machine::watch(agent.clone()));
    if let Some(link) = &agent.link {
        parts.spawn(link::beat(agent.clone(), link.clone()));
        parts.spawn(link::obey(agent.clone(), link.clone()));
        parts.spawn(link::report(agent.clone(), link.clone()));
        parts.spawn(reconcile::run(agent.clone()));
    }
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
    let link = match (&settings.controller, &settings.token) {
        (Some(controller), Some(token)) => {
            let client = Client::new(controller.clone())?;
            let anew = Client::connecting_anew(controller.clone())?;
            let (token, join_token) = (token.clone(), settings.join_token.clone());
            Some(Link { client, anew, token, join_token })
        }
        _ => None,
    };
    let client = link.as_ref().map(|link| link.client.clone());
    let blobs = Blobs::open(disk.cache().join("blobs"), client)
        .map_err(system("make the cache for components and artifacts"))?;
    // It has a thread that wakes up, which an agent without instances can do without.
    let runs_components = link.is_some() || !disk.records()?.is_empty();
    let engine = runs_components
        .then(|| Engine::new(disk.cache().join("compiled"), compiler()))
        .transpose()?;
    let boot = cerebro_linux::process::boot_id().map_err(system("find out the boot"))?;
    let orders = Orders { term: disk.term()?, desired: disk.desired()?, heard: false };
    let cgroups = cgroups(&settings, &disk).map_err(system("find the control groups"))?;
    Ok(Agent {
        own: Own::open(&disk)?,
        sitters: Arc::new(Sitters::new(settings.task_sitter())),
        settings,
        disk,
        link,
        engine,
        blobs: Arc::new(blobs),
        events: Events::default(),
        table: Table::default(),
        machine: Machine::default(),
        boot,
        cgroups,
        wake: Notify::new(),
        orders: Mutex::new(orders),
        suspects: tokio::sync::Mutex::default(),
        turns: Turns::default(),
        looks: http::Looks::default(),
    })
}

/// The hierarchies, and the group for the tasks: the one that the agent was told; standing alone as
/// root, one that is named after its data directory, since no other agent can have that.
fn cgroups(settings: &Settings, disk: &Disk) -> io::Result<Option<(Cgroups, String)>> {
    let parent = match &settings.cgroup {
        Some(parent) => parent.clone(),
        None if settings.controller.is_none() && nix::unistd::geteuid().is_root() => {
            let digest = Digest::of(disk.root().as_os_str().as_encoded_bytes()).to_string();
            let end = digest.len().saturating_sub(12);
            format!("machinesitter-{}", &digest[end..])
        }
        None => return Ok(None),
    };
    Ok(Some((Cgroups::detect()?, parent)))
}

/// Takes over the instances that an earlier agent left; answers how many of their tasks go on.
fn adopt(agent: &Arc<Agent>) -> Result<usize, AgentError> {
    let mut found = 0;
    for record in agent.disk.records()? {
        let id = record.id().clone();
        let job = record.task.as_ref().map(|task| &task.deployment.job);
        let Some(job) = job else {
            agent.table.insert(Entry::new(record));
            continue;
        };
        let (auto_start, persistent) = (job.task_configuration.auto_start, job.persistent);
        let hold = hold(record.boot == agent.boot, persistent, auto_start);
        let mut entry = Entry::new(record);
        entry.hold = hold;
        agent.table.insert(entry);
        if hold.is_none() {
            found += 1;
            tasks::resume(agent, &id);
        }
    }
    Ok(found)
}

/// Why the task of an instance is left alone that an earlier agent left, if it is.
fn hold(same_boot: bool, persistent: bool, auto_start: bool) -> Option<Hold> {
    match (same_boot, persistent, auto_start) {
        (true, ..) | (false, true, true) => None,
        (false, true, false) => Some(Hold::Unheard),
        (false, false, _) => Some(Hold::NotPersistent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reboot_holds_a_task_back() {
        for (persistent, auto_start) in [(false, false), (false, true), (true, false), (true, true)]
        {
            assert_eq!(hold(true, persistent, auto_start), None);
        }
        assert_eq!(hold(false, true, true), None);
        assert_eq!(hold(false, true, false), Some(Hold::Unheard));
        assert_eq!(hold(false, false, true), Some(Hold::NotPersistent));
    }
}
