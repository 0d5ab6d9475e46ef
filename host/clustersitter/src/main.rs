//! The controller's process: settings, then everything is built, announced, and waited for.

use anyhow::{Context, Result};
use cerebro_clustersitter::clock::{Clock, WallClock};
use cerebro_clustersitter::cluster::{Cluster, Joining, event};
use cerebro_clustersitter::decisions::{DECISIONS, DecisionLog, LogLimits};
use cerebro_clustersitter::executor::Executor;
use cerebro_clustersitter::probe::HttpProbe;
use cerebro_clustersitter::programs::Programs;
use cerebro_clustersitter::settings::{Arguments, Command, Network, Serve};
use cerebro_clustersitter::{decisions_command, http, serve, store_command};
use cerebro_machines::{
    Isolation, LocalConfig, LocalProvider, MachineProvider, beyond_host, host_capacity,
};
use cerebro_model::{Digest, EventKind, Subject};
use cerebro_planner::cluster::{Limits, Policy};
use cerebro_store::{Blobs, SqliteStore, Store};
use clap::Parser;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
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

async fn lead(settings: Serve) -> Result<()> {
    std::fs::create_dir_all(&settings.data)
        .with_context(|| format!("cannot make {}", settings.data.display()))?;
    let data = settings.data.canonicalize().context("cannot find the data directory")?;
    let store = SqliteStore::open(&data.join("store"))?;
    let blobs = Blobs::open(&data.join("blobs"))?;
    let listener = listen(settings.listen).await?;
    let isolation = isolation(&settings, &data)?;
    let sentence = isolation.sentence();
    let address = listener.local_addr().context("the listener has no address")?;
    let names = settings.names.open(&cluster_name(&data)).await?;
    let decisions = DecisionLog::open(&data.join(DECISIONS), LogLimits::default())?;
    let local = Arc::new(local_machines(&settings, data, isolation)?);
    let limits = if settings.no_repair_limits { Limits::none() } else { Limits::default() };
    let policy = Policy {
        zones: settings.zones.iter().map(|zone| (zone.name.clone(), zone.policy)).collect(),
        machine_capacity: settings.machine.0,
        started_at: WallClock.now(),
        suspect_after: Duration::from_millis(2500),
        join_within: Duration::from_secs(60),
        breaker_percent: 30,
        limits: Limits { observe_only: settings.observe_only, ..limits },
        publishes: settings.names.publishes(),
    };
    let (store, provider) = worn(Arc::new(store), local.clone());
    let cluster = Cluster::open(store, blobs, provider, policy)?;
    let joining = Joining {
        programs: Programs::in_directory(bin_dir(&settings)?),
        controller: settings.advertise.clone().unwrap_or_else(|| format!("http://{address}")),
    };
    let cluster = cluster.with_local(local.clone()).with_decisions(decisions).with_joining(joining);
    let cluster = Arc::new(match names.dns {
        Some(dns) => cluster.with_dns(dns),
        None => cluster,
    });
    announce(&cluster, &settings, sentence, address, &names.words)?;

    // Machines with a network of their own reach us at their bridge.
    let controller = SocketAddr::new(local.controller_host(), address.port());
    let mut listeners = vec![listener];
    if settings.network == Network::Own {
        listeners.push(listen(controller).await?);
    }
    let (to, probing) = (format!("http://{controller}"), Arc::new(HttpProbe::new()));
    let executor = Executor::new(cluster.clone(), to, probing);
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

fn bin_dir(settings: &Serve) -> Result<PathBuf> {
    if let Some(dir) = &settings.bin_dir {
        return Ok(dir.clone());
    }
    let own = std::env::current_exe().context("cannot find this program's own path")?;
    own.parent().map(PathBuf::from).context("this program has no directory")
}

fn isolation(settings: &Serve, data: &Path) -> Result<Isolation> {
    if settings.unprivileged {
        return Ok(Isolation::none("`--unprivileged` was given"));
    }
    Isolation::detect(&bin_dir(settings)?, data)
        .context("cannot find out what can be isolated on this host")
}

fn local_machines(
    settings: &Serve,
    data_dir: PathBuf,
    isolation: Isolation,
) -> Result<LocalProvider> {
    let network = match settings.network {
        Network::Host => cerebro_machines::Network::Host,
        Network::Own => cerebro_machines::Network::Own,
    };
    let cluster = cluster_name(&data_dir);
    let config = LocalConfig { data_dir, bin_dir: bin_dir(settings)?, cluster, isolation, network };
    Ok(LocalProvider::open(config)?)
}

/// A cluster is told from others of this host by where its data are.
fn cluster_name(data: &Path) -> String {
    Digest::of(data.as_os_str().as_encoded_bytes()).short()
}

fn announce(
    cluster: &Cluster,
    settings: &Serve,
    isolation: Option<String>,
    address: SocketAddr,
    names: &str,
) -> Result<()> {
    if let Some(sentence) = isolation {
        tracing::warn!("{sentence}");
    }
    let machines: usize = settings.zones.iter().map(|zone| zone.policy.min as usize).sum();
    let promised = vec![settings.machine.0; machines];
    if let Some(sentence) = host_capacity().ok().and_then(|host| beyond_host(&promised, host)) {
        tracing::warn!("{sentence}");
    }
    let message = format!(
        "the cluster sitter started (term {}); page and API at http://{address}; {names}",
        cluster.term()
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
