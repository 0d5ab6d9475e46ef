//! A machine that hangs with all that could start its agent again, through the built binaries.

use anyhow::{Context, Result, ensure};
use cerebro_model::{EventKind, Phase};
use cerebro_tests::{Cluster, Options, portal, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

const WEST: &str = "aws-us-west-2a";

/// Three attempts with the agent alone come first, and their back-off: some two minutes in all.
const REBOOTED_WITHIN: Duration = Duration::from_secs(240);

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_whose_init_hangs_is_rebooted_by_what_its_peers_say_and_serves_again()
-> Result<()> {
    let data = tempfile::tempdir()?;
    let options = Options { zones: vec![format!("{WEST}=3")], ..Options::default() };
    let cluster = Cluster::start(data.path(), &options).await?;
    cluster.upload_components().await?;
    let mut job = portal::job()?;
    let layout = job.deployment_layout.values().next().cloned().context("no layout")?;
    job.deployment_layout = [(WEST.parse()?, layout)].into();
    cluster.client.put_job(&job, None).await?;
    let name = &job.dns_basename;
    let deployment = cluster.deploy(name, "1.0", portal::artifact()?).await?;
    cluster.ended(&deployment).await?;
    let task = cluster.tasks(name).await?.pop().context("no task")?;
    let (machine, pid) = (task.instance.machine.clone(), cluster.task_pid(&task)?);

    let agent = cluster.agent_pid(&machine)?;
    let init = cluster.init_pid(&machine)?;
    for pid in [init, agent] {
        kill(Pid::from_raw(pid), Signal::SIGSTOP)?;
    }
    let end = Instant::now() + REBOOTED_WITHIN;
    let why = loop {
        let view = cluster.machine(&machine).await?;
        let rebooted = view.attempts.iter().find(|it| it.rung.ends_tasks());
        if let Some(attempt) = rebooted {
            break attempt.why.clone();
        }
        ensure!(Instant::now() < end, "it is not rebooted: {view:?}\n{}", cluster.log_tail());
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    ensure!(why.contains("does not reach it either"), "{why}");

    let after = until("it serves again", || async {
        let tasks = cluster.tasks(name).await.ok()?;
        let same = tasks.into_iter().find(|it| it.instance.id == task.instance.id)?;
        let is_well = same.status.as_ref().is_some_and(|it| it.phase == Phase::Healthy);
        let is_new = cluster.task_pid(&same).is_ok_and(|now| now != pid);
        (is_well && is_new && cluster.ask(&same).is_ok()).then_some(same)
    })
    .await
    .with_context(|| cluster.log_tail())?;
    ensure!(after.instance.machine == machine, "it stays where it was: {after:?}");
    ensure!(after.address == task.address, "at the same address: {after:?}");
    ensure!(cluster.init_pid(&machine)? != init, "by another init");
    let events = cluster.client.events(1000).await?;
    ensure!(events.iter().all(|it| it.kind != EventKind::MachineLost), "it was there all the time");
    let tried: Vec<_> = events.iter().filter(|it| it.kind == EventKind::RepairTried).collect();
    ensure!(tried.iter().any(|it| it.message.contains("reboots it")), "{tried:?}");
    Ok(())
}
