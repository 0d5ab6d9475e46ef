//! The demo: a cluster of three local machines, the example on it, and, on demand, a bad night.

use crate::drill;
use anyhow::{Context, Result, ensure};
use cerebro_model::{Deployment, JobName};
use cerebro_tests::{Cluster, Options as ClusterOptions, portal, root};
use std::path::PathBuf;
use std::time::Instant;

#[derive(Debug, clap::Args)]
pub struct Options {
    /// Play the night: kill one thing after the other, and see it heal.
    #[arg(long)]
    drill: bool,
    /// How often each thing is killed.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Where the cluster keeps its files.
    #[arg(long)]
    data: Option<PathBuf>,
    /// The port of page and API; the next free one if it is taken.
    #[arg(long, default_value_t = cerebro_tests::CLUSTER_PORT)]
    port: u16,
    /// Give machines no isolation, even as root.
    #[arg(long)]
    unprivileged: bool,
}

/// Whether all healed, where there was a drill.
pub async fn run(options: Options) -> Result<bool> {
    let data = options.data.clone().unwrap_or_else(|| root().join("target/demo"));
    if data.exists() {
        // Of an earlier demo: it starts from nothing each time.
        ensure!(data.join("cerebro.log").exists(), "{} is not a demo's directory", data.display());
        std::fs::remove_dir_all(&data)
            .with_context(|| format!("cannot clear {}", data.display()))?;
    }
    let story = story(&options, &data);
    tokio::select! {
        healed = story => healed,
        () = asked_to_end() => {
            // Dropping the story has ended the cluster.
            println!("\nended; its files are in {}", data.display());
            Ok(true)
        }
    }
}

/// Ctrl-C, or any other polite way to end us: none may leave the cluster behind.
async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
        signal(SignalKind::hangup()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}

async fn story(options: &Options, data: &std::path::Path) -> Result<bool> {
    say("starting a cluster of three local machines in aws-us-west-2a and aws-us-east-1b");
    let begun = Instant::now();
    let started = ClusterOptions {
        port: options.port,
        unprivileged: options.unprivileged,
        ..ClusterOptions::default()
    };
    let cluster = Cluster::start(data, &started).await?;
    for line in cluster.log_tail().lines().filter(|line| line.contains("WARN")) {
        println!("  {}", line.trim());
    }
    println!("  three machines have joined after {:.2} s", begun.elapsed().as_secs_f64());

    say("uploading the recipe `mystartup.recipes.deploy` and the health checks");
    cluster.upload_components().await?;
    say("defining the job of examples/portal/job.json");
    let job = cluster.define_portal().await?;
    say("POST /v1/jobs/portal.startup.com/deployments: version 1.0");
    let deployment = cluster.deploy(&job, "1.0", portal::artifact()?).await?;
    follow(&cluster, &deployment).await?;
    ask_all(&cluster, &job).await?;

    let healed =
        if options.drill { drill::night(&cluster, &job, options.rounds).await? } else { true };
    if options.drill {
        return Ok(healed);
    }
    goodbye(&cluster);
    // Until Ctrl-C, which ends the story from outside.
    std::future::pending().await
}

pub fn say(words: &str) {
    println!("\n\x1b[1m▸ {words}\x1b[0m");
}

/// Prints a deployment's events until it has ended well.
pub async fn follow(cluster: &Cluster, deployment: &Deployment) -> Result<()> {
    let mut last = 0;
    loop {
        // The end first: whatever was told before it is then shown.
        let now = cluster.client.deployment(&deployment.id).await?;
        for event in cluster.events_after(last).await? {
            last = event.seq;
            if event.subject.deployment.as_ref() == Some(&deployment.id) {
                println!("  {:<21} {}", event.kind.to_string(), event.message);
            }
        }
        if now.state.has_ended() {
            ensure!(now.state.word() == "succeeded", "{} {}", now.id, now.state.word());
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn ask_all(cluster: &Cluster, job: &JobName) -> Result<()> {
    say("asking every instance");
    for task in cluster.tasks(job).await? {
        println!("  {} on {}: {}", task.instance.id, task.instance.machine, cluster.ask(&task)?);
    }
    Ok(())
}

fn goodbye(cluster: &Cluster) {
    let artifact = root().join("target/cerebro/artifacts/portal.tar.gz");
    let artifact = artifact.display();
    let (base, bin) = (cluster.base(), root().join("target/cerebro/bin/cerebro"));
    let cerebro = format!("{} --server {base}", bin.display());
    println!(
        "
\x1b[1mIt runs. The page is at {base}/\x1b[0m

Five things to try, in another terminal:
  {cerebro} task list
  {cerebro} events -f
  {cerebro} machine kill m-1
  {cerebro} task logs -f 0.aws-us-east-1b.portal.startup.com
  {cerebro} deploy portal.startup.com --version 1.1 --artifact {artifact} --follow

Ctrl-C ends it. `cargo xtask demo --drill` plays a bad night."
    );
}
