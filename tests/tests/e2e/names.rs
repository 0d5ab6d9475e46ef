//! Names, as `dig` sees them while everything around them changes.

use anyhow::{Context, Result, ensure};
use cerebro_api::body::TaskView;
use cerebro_tests::portal;
use cerebro_tests::{Cluster, Options, until};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// From one question to the next.
const EVERY: Duration = Duration::from_millis(100);
/// The name that is asked for.
const NAME: &str = "aws-us-west-2a.portal.startup.com";
/// How long after a death it may be answered: until it is noticed (2.5 s, and both witnesses), and one TTL.
const DEAD_FOR: Duration = Duration::from_secs(5 + 5);

/// One answer.
#[derive(Debug, Clone)]
struct Answer {
    at: Instant,
    status: String,
    addresses: BTreeSet<IpAddr>,
}

fn dig(port: u16, name: &str) -> Result<Answer> {
    let port = port.to_string();
    let arguments = ["@127.0.0.1", "-p", &port, "+tries=3", "+time=2", name, "A"];
    let output = Command::new("dig").args(arguments).output().context("cannot run dig")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let status = text.split("status: ").nth(1).and_then(|rest| rest.split(',').next());
    let answers = text.lines().filter(|line| line.starts_with(name));
    let addresses = answers.filter_map(|line| line.split_whitespace().last()?.parse().ok());
    Ok(Answer {
        at: Instant::now(),
        status: status.unwrap_or("no answer").to_owned(),
        addresses: addresses.collect(),
    })
}

/// Asks all the time, until it is dropped.
struct Asking {
    answers: Arc<Mutex<Vec<Answer>>>,
    ends: Arc<AtomicBool>,
}

impl Asking {
    fn begin(port: u16) -> Self {
        let (answers, ends) = (Arc::<Mutex<Vec<Answer>>>::default(), Arc::<AtomicBool>::default());
        let (into, over) = (answers.clone(), ends.clone());
        std::thread::spawn(move || {
            while !over.load(Relaxed) {
                if let (Ok(answer), Ok(mut answers)) = (dig(port, NAME), into.lock()) {
                    answers.push(answer);
                }
                std::thread::sleep(EVERY);
            }
        });
        Self { answers, ends }
    }

    fn answers(&self) -> Vec<Answer> {
        self.answers.lock().map(|answers| answers.clone()).unwrap_or_default()
    }

    /// The first answer after `since` with these addresses.
    async fn until(&self, since: Instant, wanted: &BTreeSet<IpAddr>) -> Result<Answer> {
        let found = until("the name has the addresses that it should", || async {
            let answers = self.answers();
            answers.into_iter().find(|it| it.at > since && it.addresses == *wanted)
        });
        found.await.with_context(|| format!("{wanted:?}; {:?}", self.answers().last()))
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.ends.store(true, Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_follows_who_serves_and_is_never_empty() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let cluster = Cluster::start(dir.path(), &Options::default()).await?;
    cluster.upload_components().await?;
    let job = cluster.define_portal().await?;
    let first = cluster.deploy(&job, "1.0", portal::artifact()?).await?;
    ensure!(cluster.ended(&first).await?.state.has_succeeded(), "{}", cluster.log_tail());

    let port = cluster.dns_port().await?;
    let of_zone = |tasks: &[TaskView]| -> BTreeSet<IpAddr> {
        let here = tasks.iter().filter(|it| it.instance.zone.as_str() == "aws-us-west-2a");
        here.filter_map(|it| it.address).collect()
    };
    let tasks = cluster.healthy(&job, 3).await?;
    let asking = Asking::begin(port);
    asking.until(Instant::now(), &of_zone(&tasks)).await?;
    let begun = Instant::now();
    // Each instance has its own name too, and the job all of them.
    let own =
        tasks.iter().find(|it| it.instance.zone.as_str() == "aws-us-west-2a").context("none")?;
    let at_own = dig(port, own.instance.id.as_str())?;
    ensure!(at_own.addresses == own.address.into_iter().collect(), "{at_own:?}");
    let all: BTreeSet<IpAddr> = tasks.iter().filter_map(|it| it.address).collect();
    // Each zone is published for itself.
    until("all are under the job's own name", || async {
        dig(port, job.as_str()).ok().filter(|it| it.addresses == all)
    })
    .await
    .with_context(|| format!("{all:?}; {:?}", dig(port, job.as_str())))?;
    let list = cluster.cerebro(&["name", "list"])?;
    ensure!(list.contains(NAME) && list.contains("yes"), "{list}");
    let advice = cluster.cerebro(&["name", "advice", job.as_str()])?;
    ensure!(advice.contains("portal.startup.com. 3600 IN NS"), "{advice}");

    // A new version: whoever ends is taken out before, and nobody is told that there is no such name.
    let second = cluster.deploy(&job, "1.1", portal::artifact()?).await?;
    ensure!(cluster.ended(&second).await?.state.has_succeeded(), "{}", cluster.log_tail());
    let taken_out =
        |answers: &[Answer]| answers.iter().any(|it| it.at > begun && it.addresses.len() == 1);
    ensure!(taken_out(&asking.answers()), "nobody was ever taken out");
    let tasks = cluster.healthy(&job, 3).await?;
    asking.until(Instant::now(), &of_zone(&tasks)).await?;

    // A machine dies.
    let victim =
        tasks.iter().find(|it| it.instance.zone.as_str() == "aws-us-west-2a").context("none")?;
    let (machine, dead) = (victim.instance.machine.clone(), victim.address.context("no address")?);
    let killed = Instant::now();
    cluster.client.kill_machine(&machine).await?;
    until("every instance serves elsewhere", || async {
        let tasks = cluster.healthy(&job, 3).await.ok()?;
        tasks.iter().all(|it| it.instance.machine != machine).then_some(())
    })
    .await?;
    let tasks = cluster.healthy(&job, 3).await?;
    asking.until(Instant::now(), &of_zone(&tasks)).await?;
    let answers = asking.answers();
    let last_dead = answers.iter().filter(|it| it.addresses.contains(&dead)).map(|it| it.at).max();
    let dead_for = last_dead.map(|at| at.saturating_duration_since(killed)).unwrap_or_default();
    ensure!(dead_for <= DEAD_FOR, "{dead} was answered for {dead_for:?} after its death");

    // Never empty, at no time.
    let wrong: Vec<_> = answers
        .iter()
        .filter(|it| it.at > begun && (it.status != "NOERROR" || it.addresses.is_empty()))
        .collect();
    ensure!(wrong.is_empty(), "of {} answers: {wrong:?}", answers.len());
    Ok(())
}
