//! The controller is killed by SIGKILL at every moment between an intent and what follows from it, and the
//! next one goes on: nothing is orphaned, nothing doubled, everything finished.

use anyhow::{Context, Result, ensure};
use cerebro_model::{JobName, MachineId, Seconds};
use cerebro_tests::processes::{is_running, kill_9};
use cerebro_tests::{Cluster, Options, portal, until};
use std::fs;

/// Before and behind what happens then.
const SIDES: [&str; 2] = ["before", "behind"];

/// A cluster whose job has succeeded once, and where it stands.
struct Round {
    cluster: Cluster,
    job: JobName,
    version: u32,
}

impl Round {
    async fn begin(data: &std::path::Path) -> Result<Self> {
        let options = Options { no_repair_limits: true, ..Options::default() };
        let cluster = Cluster::start(data, &options).await?;
        cluster.upload_components().await?;
        // A recipe that may have cut its machine off is given little time to find out.
        let mut job = portal::job()?;
        (job.rollout.deadline, job.rollout.confirm_within) = (Seconds::new(20), Seconds::new(3));
        cluster.client.put_job(&job, None).await?;
        let job = job.dns_basename;
        let mut round = Self { cluster, job, version: 0 };
        round.deploy(portal::artifact()?).await?;
        round.is_whole("the first deployment").await?;
        Ok(round)
    }

    /// Deploys the next version, also if whoever took the request dies of it.
    async fn deploy(&mut self, artifact: Vec<u8>) -> Result<()> {
        self.version += 1;
        let version = format!("{}.0", self.version);
        let deployment = until("the controller takes a deployment", || async {
            self.cluster.deploy(&self.job, &version, artifact.clone()).await.ok()
        })
        .await?;
        self.cluster.ended(&deployment).await?;
        Ok(())
    }

    /// The controller has died, and all is as it should be again.
    async fn is_whole(&self, moment: &str) -> Result<()> {
        let cluster = &self.cluster;
        let died = || async { cluster.has_died().then_some(()) };
        until("the controller dies", died).await.with_context(|| moment.to_owned())?;
        let whole = || async {
            let machines = cluster.client.machines().await.ok()?;
            let deployments = cluster.client.deployments().await.ok()?;
            let is_quiet = machines.iter().all(|view| view.word() == "active")
                && deployments.iter().all(|it| it.state.has_ended());
            (is_quiet && machines.len() == 3).then_some(machines)
        };
        let machines = until("three machines, and nothing on its way", whole)
            .await
            .with_context(|| format!("{moment}\n{}", cluster.log_tail()))?;
        for task in cluster.healthy(&self.job, 3).await.with_context(|| moment.to_owned())? {
            ensure!(cluster.ask(&task)?.starts_with("portal "), "{moment}: it does not serve");
        }
        for task in cluster.tasks(&self.job).await? {
            let there = cluster.instance_processes(&task.instance.id).len();
            ensure!(there == 1, "{moment}: {} has {there} processes", task.instance.id);
        }
        let known: Vec<_> = machines.iter().map(|view| view.machine.id.to_string()).collect();
        for entry in fs::read_dir(cluster.data().join("machines"))?.flatten() {
            if !entry.file_type()?.is_dir() {
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            ensure!(known.contains(&name), "{moment}: {name} is there, and nobody knows of it");
        }
        Ok(())
    }

    /// Whether a machine is known to be there no longer.
    async fn is_gone(&self, id: &MachineId) -> Option<()> {
        let machines = self.cluster.client.machines().await.ok()?;
        machines.iter().all(|view| view.machine.id != *id).then_some(())
    }

    async fn busy_machine(&self) -> Result<MachineId> {
        Ok(self.cluster.healthy(&self.job, 3).await?.remove(0).instance.machine)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_killed_at_any_moment_of_a_deployment_is_followed_by_one_that_ends_it()
-> Result<()> {
    let data = tempfile::tempdir()?;
    let mut round = Round::begin(data.path()).await?;
    let good = ["deployment-started", "instance-placed", "instance-phase", "deployment-succeeded"];
    for moment in good.iter().flat_map(|it| SIDES.map(|side| format!("commit {it}: {side}"))) {
        round.cluster.die_at(&moment)?;
        round.deploy(portal::artifact()?).await?;
        round.is_whole(&moment).await?;
        let version = format!("portal {}.0 ", round.version);
        for task in round.cluster.tasks(&round.job).await? {
            ensure!(round.cluster.ask(&task)?.starts_with(&version), "{moment}: not {version}");
        }
    }
    // The end of a bad one, and the beginning of what takes it back, are one commit.
    for moment in SIDES.map(|side| format!("commit deployment-failed: {side}")) {
        let before = round.version;
        round.cluster.die_at(&moment)?;
        round.deploy(portal::bad_artifact()?).await?;
        round.is_whole(&moment).await?;
        for task in round.cluster.tasks(&round.job).await? {
            let answer = round.cluster.ask(&task)?;
            ensure!(answer.starts_with(&format!("portal {before}.0 ")), "{moment}: {answer}");
        }
        // A good one again, to be gone back to.
        round.deploy(portal::artifact()?).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_killed_at_any_moment_of_a_repair_is_followed_by_one_that_ends_it()
-> Result<()> {
    let data = tempfile::tempdir()?;
    let round = Round::begin(data.path()).await?;
    let commits = [
        "commit machine-lost",
        "commit machine-terminating",
        "commit machine-terminated",
        "commit machine-provisioning",
        "commit machine-joined",
        "commit instance-placed",
    ];
    let effects = ["create", "destroy"];
    let all = commits.iter().chain(&effects);
    for moment in all.flat_map(|it| SIDES.map(|side| format!("{it}: {side}"))) {
        let dead = round.busy_machine().await?;
        round.cluster.die_at(&moment)?;
        round.cluster.client.kill_machine(&dead).await?;
        let gone = || round.is_gone(&dead);
        until("the dead machine is gone", gone).await.with_context(|| moment.clone())?;
        round.is_whole(&moment).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_killed_at_any_moment_of_a_removal_is_followed_by_one_that_ends_it()
-> Result<()> {
    let data = tempfile::tempdir()?;
    let round = Round::begin(data.path()).await?;
    let moments = [
        "commit machine-draining",
        "commit instance-placed",
        "commit instance-moved",
        "commit machine-drained",
    ];
    for moment in moments.iter().flat_map(|it| SIDES.map(|side| format!("{it}: {side}"))) {
        let machine = round.busy_machine().await?;
        round.cluster.die_at(&moment)?;
        until("the controller takes the removal", || async {
            let asked = round.cluster.client.remove_machine(&machine, &Default::default()).await;
            // It may have been taken before the answer was lost, and be done by now.
            let is_gone = round.is_gone(&machine).await.is_some();
            (asked.is_ok() || is_gone).then_some(())
        })
        .await
        .with_context(|| moment.clone())?;
        let gone = || round.is_gone(&machine);
        until("the machine is gone", gone).await.with_context(|| moment.clone())?;
        round.is_whole(&moment).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_killed_beside_a_restart_of_an_agent_is_followed_by_one_that_has_it_back()
-> Result<()> {
    let data = tempfile::tempdir()?;
    let round = Round::begin(data.path()).await?;
    for moment in SIDES.map(|side| format!("restart-agent: {side}")) {
        let machine = round.busy_machine().await?;
        let agent = round.cluster.agent_pid(&machine)?;
        round.cluster.die_at(&moment)?;
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(agent),
            nix::sys::signal::Signal::SIGSTOP,
        )?;
        // The next controller first waits for the machine to find out whether a recipe cut it off.
        let died = || async { round.cluster.has_died().then_some(()) };
        let died = until("the controller dies", died).await;
        let back = until("another agent is heard", || async {
            (!is_running(agent) && round.cluster.agent_pid(&machine).is_ok()).then_some(())
        })
        .await;
        if back.is_err() {
            kill_9(agent);
        }
        died.and(back).with_context(|| moment.clone())?;
        round.is_whole(&moment).await?;
    }
    Ok(())
}
