//! How long an outage of a machine lasts: real processes on local machines, one of which dies.

use crate::build;
use anyhow::{Context, Result};
use cerebro_bench::statistics::{maximum, median, percentile};
use cerebro_bench::table::{Table, figure};
use cerebro_bench::{host, markdown};
use cerebro_model::{Event, EventKind, Job, JobName, MachineId};
use cerebro_tests::{Cluster, Options as ClusterOptions, portal, until};
use futures::StreamExt;
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// Where the machines are: so many, one of which has nothing to do and takes over.
const ZONE: &str = "z-1";
const MACHINES: usize = 4;
const INSTANCES: usize = MACHINES - 1;

/// How it is measured.
#[derive(Debug, clap::Args)]
pub struct Heal {
    /// Machines that die, one after the other.
    #[arg(long, value_name = "N", default_value_t = 40)]
    deaths: u32,
    /// Replace the table of this file, between `<!-- heal -->` and `<!-- /heal -->`.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

pub fn run(options: &Heal) -> Result<()> {
    let markdown = options.markdown.as_ref().map(std::path::absolute).transpose()?;
    if let Some(file) = &markdown {
        markdown::check(file, "heal")?;
    }
    build::everything()?;
    let conditions = host::conditions(&[]);
    let table = tokio::runtime::Runtime::new()?.block_on(measure(options.deaths))?;
    conditions.iter().for_each(|line| println!("{line}"));
    println!("\n{}", table.text());
    match &markdown {
        Some(file) => markdown::write(file, "heal", &conditions, &[table]),
        None => Ok(()),
    }
}

async fn measure(deaths: u32) -> Result<Table> {
    let data = tempfile::tempdir()?;
    let options = ClusterOptions {
        zones: vec![format!("{ZONE}={MACHINES}")],
        no_repair_limits: true,
        ..ClusterOptions::default()
    };
    let cluster = Cluster::start(data.path(), &options).await?;
    cluster.upload_components().await?;
    let job = define(&cluster).await?;
    let deployment = cluster.deploy(&job, "1.0", portal::artifact()?).await?;
    cluster.ended(&deployment).await?;
    let (mut certified, mut served) = (Vec::new(), Vec::new());
    for number in 1..=deaths {
        // By the golden ratio: at all moments between two heartbeats.
        let phase = (f64::from(number) * 0.618_034).fract();
        tokio::time::sleep(Duration::from_secs_f64(phase)).await;
        let dead = cluster.healthy(&job, INSTANCES).await?.remove(0).instance.machine;
        let seen = cluster.last_event().await?;
        let died = SystemTime::now();
        cluster.client.kill_machine(&dead).await?;
        let lost = certificate(&cluster, seen, &dead).await?;
        until("it serves elsewhere", || serves(&cluster, &job, &dead)).await?;
        served.push(died.elapsed().unwrap_or_default().as_secs_f64());
        certified.push(lost.at.since(died.into()).as_secs_f64());
        let whole = || async {
            let machines = cluster.client.machines().await.ok()?;
            let active = machines.iter().filter(|view| view.word() == "active").count();
            (active == MACHINES && machines.len() == MACHINES).then_some(())
        };
        until("another machine is warm", whole).await?;
    }
    let mut table = Table::new(
        "The death of a machine",
        format!(
            "{MACHINES} machines of this host with {INSTANCES} instances of the example, by the binaries that the tests \
             use; a machine with an instance is killed as by a power cut, {deaths} times. Seconds from the death to \
             the certificate, and until every instance answers over HTTP again, on a machine that was warm."
        ),
        &["from the death", "p50", "p99", "max"],
    );
    for (name, took) in [("certificate", certified), ("all serve again", served)] {
        let figures = [median(&took), percentile(&took, 0.99), maximum(&took)];
        table.row(name, figures.map(|it| figure(it, 2)).to_vec());
    }
    Ok(table)
}

/// The example's job, one instance for each machine but one.
async fn define(cluster: &Cluster) -> Result<JobName> {
    let mut job = serde_json::to_value(portal::job()?)?;
    job["deployment_layout"] = json!({ ZONE: { "mem": 512, "count": INSTANCES } });
    job["placement"] = json!({ "spread": "require" });
    let job: Job = serde_json::from_value(job)?;
    cluster.client.put_job(&job, None).await?;
    Ok(job.dns_basename)
}

async fn certificate(cluster: &Cluster, after: u64, dead: &MachineId) -> Result<Event> {
    let mut events = cluster.client.follow_events(after).await?;
    while let Some(event) = events.next().await {
        let event = event?;
        if event.kind == EventKind::MachineLost && event.subject.machine.as_ref() == Some(dead) {
            return Ok(event);
        }
    }
    None.context("the controller ended the stream of its events")
}

async fn serves(cluster: &Cluster, job: &JobName, dead: &MachineId) -> Option<()> {
    let tasks = cluster.tasks(job).await.ok()?;
    let answers = tasks.iter().all(|task| {
        task.instance.machine != *dead
            && cluster.ask(task).is_ok_and(|it| it.starts_with("portal "))
    });
    (tasks.len() == INSTANCES && answers).then_some(())
}
