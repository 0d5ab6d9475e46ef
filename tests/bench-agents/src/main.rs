//! A controller under many agents. The controller is the built program with its store on a disk; the
//! agents are tasks of this process, which say over HTTP what real ones say, each over connections of
//! its own from an address of its own: a heartbeat each second, a blocking query for what should run, a
//! report every ten seconds, and answers to probes. Some of them die, one after the other.

mod agent;
mod connection;
mod controller;

use agent::Fleet;
use anyhow::{Context, Result};
use cerebro_api::Client;
use cerebro_bench::markdown;
use cerebro_bench::statistics::{maximum, median, percentile};
use cerebro_bench::table::{Table, figure};
use cerebro_model::{Event, EventKind, MachineId};
use clap::Parser;
use controller::Controller;
use futures::StreamExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use tokio::time::{sleep, timeout};

/// How long a death may stay unseen before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long agents have to come to rest.
const SETTLE: Duration = Duration::from_secs(5);

#[derive(Debug, Parser)]
struct Options {
    /// The controller's program.
    #[arg(long)]
    clustersitter: PathBuf,
    /// How many agents; may be given more than once.
    #[arg(long, default_values_t = [10, 5000])]
    agents: Vec<u32>,
    /// How long the controller's use is looked at, in seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Agents that die.
    #[arg(long, default_value_t = 30)]
    deaths: u32,
    /// Put the table into this file, between `<!-- agents -->` and `<!-- /agents -->`.
    #[arg(long)]
    markdown: Option<PathBuf>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    if let Some(file) = &options.markdown {
        markdown::check(file, "agents")?;
    }
    cerebro_bench::host::raise_open_files();
    let conditions = cerebro_bench::host::conditions(&[]);
    let table = tokio::runtime::Runtime::new()?.block_on(measure(&options))?;
    conditions.iter().for_each(|line| println!("{line}"));
    println!("\n{}", table.text());
    match &options.markdown {
        Some(file) => markdown::write(file, "agents", &conditions, &[table]),
        None => Ok(()),
    }
}

async fn measure(options: &Options) -> Result<Table> {
    let mut table = Table::new(
        "A controller and its agents",
        format!(
            "CPU of the controller in percent of one core over {} s, and its memory at their end, while \
             nothing happens but a heartbeat of each agent each second, a blocking query of each, and a \
             report of each every 10 s. Then agents die, one after the other, at all moments of their \
             second: from the death to the certificate, in seconds.",
            options.seconds
        ),
        &["agents", "CPU %", "MB", "late beats", "deaths", "p50", "p99", "max"],
    );
    for &agents in &options.agents {
        eprintln!("  {agents} agents");
        let row = with(options, agents).await.with_context(|| format!("with {agents} agents"))?;
        table.row(&agents.to_string(), row);
    }
    Ok(table)
}

async fn with(options: &Options, agents: u32) -> Result<Vec<String>> {
    let data = tempfile::tempdir()?;
    agent::prepare(data.path(), agents)?;
    let controller = Controller::start(&options.clustersitter, data.path()).await?;
    let mut fleet = Fleet::start(agents, controller.address).await?;
    sleep(SETTLE).await;
    fleet.forget_late();
    let before = controller.cpu()?;
    sleep(Duration::from_secs(options.seconds)).await;
    let cpu = (controller.cpu()? - before) / options.seconds as f64 * 100.0;
    let (memory, late) = (controller.megabytes()?, fleet.late());

    let client = Client::new(format!("http://{}", controller.address))?;
    let mut took = Vec::new();
    // Enough stay to be a fleet.
    let deaths = options.deaths.min(agents / 2);
    for number in 1..=deaths {
        // By the golden ratio: spread over the second, and over the fleet.
        let phase = (f64::from(number) * 0.618_034).fract();
        sleep(Duration::from_secs_f64(phase)).await;
        let dead = agent::id(number * (agents / deaths));
        let seen = client.events(1).await?.last().map_or(0, |event| event.seq);
        let died = SystemTime::now();
        fleet.kill(&dead);
        let lost = timeout(PATIENCE, certificate(&client, seen, &dead)).await;
        let lost = lost.with_context(|| format!("the death of {dead} was not seen"))??;
        took.push(lost.at.since(died.into()).as_secs_f64());
    }
    Ok(vec![
        figure(Some(cpu), 1),
        figure(Some(memory), 0),
        late.to_string(),
        took.len().to_string(),
        figure(median(&took), 2),
        figure(percentile(&took, 0.99), 2),
        figure(maximum(&took), 2),
    ])
}

/// The event that tells the death of a machine.
async fn certificate(client: &Client, after: u64, dead: &MachineId) -> Result<Event> {
    let mut events = client.follow_events(after).await?;
    while let Some(event) = events.next().await {
        let event = event?;
        if event.kind == EventKind::MachineLost && event.subject.machine.as_ref() == Some(dead) {
            return Ok(event);
        }
    }
    anyhow::bail!("the controller ended the stream of its events")
}
