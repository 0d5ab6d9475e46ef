//! The controller's process: settings, then everything is built, announced, and waited for.

use anyhow::{Context, Result};
use cerebro_clustersitter::clock::{Clock, WallClock};
use cerebro_clustersitter::cluster::{Cluster, Joining, event};
use cerebro_clustersitter::decisions::{DECISIONS, DecisionLog, LogLimits};
use cerebro_clustersitter::executor::Executor;
use cerebro_clustersitter::probe::HttpProbe;
use cerebro_clustersitter::programs::Programs;
use cerebro_clustersitter::settings::{Arguments, Command, Machines, Network, Serve, Settings};
use cerebro_clustersitter::{
    decisions_command, http, machines, names, serve, settings_command, store_command, sweep,
};
use cerebro_machines::MachineProvider;
use cerebro_model::{EventKind, Subject};
use cerebro_planner::cluster::{Limits, Policy};
use cerebro_store::{Blobs, SqliteStore, Store};
use clap::Parser;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("CEREBRO_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.context("cannot start the runtime").and_then(|runtime| {
        runtime.block_on(async {
            match arguments.command {
                Some(Command::Purge { data }) => purge(&data),
                Some(Command::Store(command)) => Ok(store_command::run(command)?),
                Some(Command::Decisions(command)) => Ok(decisions_command::run(command)?),
                Some(Command::Settings(command)) => {
                    Ok(settings_command::run(command, arguments.serve).await?)
                }
                None => lead(arguments.serve).await,
            }
        })
    });
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn purge(data: &Path) -> Result<()> {
    cerebro_machines::purge(data)
        .with_context(|| format!("cannot end every machine of {}", data.display()))
}

async fn lead(said: Serve) -> Result<()> {
    let settings = Settings::read(said)?;
    std::fs::create_dir_all(&settings.data)
        .with_context(|| format!("cannot make {}", settings.data.display()))?;
    let data = settings.data.canonicalize().context("cannot find the data directory")?;
    let store = SqliteStore::open(&data.join("store"))?;
    let blobs = Blobs::open(&data.join("blobs"))?;
    let listener = listen(settings.listen).await?;
    let address = listener.local_addr().context("the listener has no address")?;
    let name = names::cluster_name(&settings, &data)?;
    let names = names::open(&settings.names, &name).await?;
    let decisions = DecisionLog::open(&data.join(DECISIONS), LogLimits::default())?;
    let bin_dir = machines::bin_dir(&settings)?;
    let programs = Programs::in_directory(bin_dir.clone());
    let machines = machines::open(&settings, &name, &data, &bin_dir, &programs).await?;
    let limits = if settings.no_repair_limits { Limits::none() } else { Limits::default() };
    let policy = Policy {
        zones: settings.zones.clone(),
        machine_capacity: settings.machine,
        started_at: WallClock.now(),
        suspect_after: Duration::from_millis(2500),
        join_within: machines.join_within,
        breaker_percent: 30,
        limits: Limits { observe_only: settings.observe_only, ..limits },
        publishes: names.dns.is_some(),
    };
    let (store, provider) = worn(Arc::new(store), machines.provider.clone());
    let cluster = Cluster::open(store, blobs, provider, policy)?;
    let own_url = || machines::base_url(address.ip(), address.port());
    let controller = settings.advertise.clone().unwrap_or_else(own_url);
    let cluster = cluster.with_decisions(decisions).with_joining(Joining { programs, controller });
    let cluster = match &machines.local {
        Some(local) => cluster.with_local(local.clone()),
        None => cluster,
    };
    let cluster = Arc::new(match names.dns {
        Some(dns) => cluster.with_dns(dns),
        None => cluster,
    });
    announce(&cluster, &machines, address, &names.words)?;

    let mut listeners = vec![listener];
    if let (Machines::Local { network: Network::Own, .. }, Some(local)) =
        (&settings.machines, &machines.local)
    {
        // Machines with a network of their own reach us at their bridge.
        listeners.push(listen(SocketAddr::new(local.controller_host(), address.port())).await?);
    }
    let (to, probing) = (machines.controller(&settings, address), Arc::new(HttpProbe::new()));
    let executor = Executor::new(cluster.clone(), to, probing);
    tokio::spawn(sweep::run(cluster.clone()));
    let router = http::router(cluster);
    for listener in listeners {
        tokio::spawn(serve::serve(listener, router.clone()));
    }
    tokio::select! {
        fenced = executor.run() => Err(fenced.into()),
        () = asked_to_stop() => {
            tracing::info!("stopping; machines and tasks go on, and are found again at the next start");
            Ok(())
        }
    }
}

/// Store and provider, as they are.
#[cfg(not(debug_assertions))]
fn worn(
    store: Arc<dyn Store>,
    provider: Arc<dyn MachineProvider>,
) -> (Arc<dyn Store>, Arc<dyn MachineProvider>) {
    (store, provider)
}

/// Store and provider, beside whose effects the controller dies where a test says so.
#[cfg(debug_assertions)]
fn worn(
    store: Arc<dyn Store>,
    provider: Arc<dyn MachineProvider>,
) -> (Arc<dyn Store>, Arc<dyn MachineProvider>) {
    use cerebro_clustersitter::die::{DieAt, DyingProvider, DyingStore};
    match DieAt::from_environment() {
        Some(at) => (
            Arc::new(DyingStore::new(store, at.clone())),
            Arc::new(DyingProvider::new(provider, at)),
        ),
        None => (store, provider),
    }
}

async fn listen(at: SocketAddr) -> Result<TcpListener> {
    let hint = "is another cluster sitter running there? choose another with --listen";
    TcpListener::bind(at).await.with_context(|| format!("cannot listen on {at}; {hint}"))
}

fn announce(
    cluster: &Cluster,
    machines: &machines::Open,
    address: SocketAddr,
    names: &str,
) -> Result<()> {
    machines.warnings.iter().for_each(|sentence| tracing::warn!("{sentence}"));
    let message = format!(
        "the cluster sitter started (term {}); page and API at http://{address}; {}; {names}",
        cluster.term(),
        machines.words
    );
    cluster.tell(vec![event(EventKind::ControllerStarted, Subject::default(), message)])?;
    Ok(())
}

async fn asked_to_stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        // Without signals there is only the kill that needs none.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
