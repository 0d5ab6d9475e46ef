//! The controller's store is lost, and everything goes on.

use anyhow::{Context, Result, ensure};
use cerebro_model::{DeploymentState, EventKind};
use cerebro_tests::processes::kill_9;
use cerebro_tests::{Cluster, Options, built, portal, until};
use std::fs;
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn machines_outlive_the_store_and_are_taken_over_with_what_they_run() -> Result<()> {
    let data = tempfile::tempdir()?;
    let cluster = Cluster::start(data.path(), &Options::default()).await?;
    cluster.upload_components().await?;
    let job = cluster.define_portal().await?;
    let deployment = cluster.deploy(&job, "1.0", portal::artifact()?).await?;
    ensure!(matches!(cluster.ended(&deployment).await?.state, DeploymentState::Succeeded { .. }));
    let tasks = cluster.healthy(&job, 3).await?;
    let pids = || tasks.iter().map(|task| cluster.task_pid(task)).collect::<Result<Vec<_>>>();
    let before = pids()?;
    let machines: Vec<_> =
        cluster.client.machines().await?.into_iter().map(|view| view.machine.id).collect();

    // The disk with the store is gone, and another one is there.
    let store = cluster.data().join("store");
    fs::rename(&store, cluster.data().join("lost"))?;
    let begun = Command::new(built()?.join("bin/clustersitter"))
        .args(["store", "begin", "--data"])
        .arg(cluster.data())
        .output()?;
    ensure!(begun.status.success(), "{begun:?}");
    kill_9(cluster.controller_pid()?);
    until("agents show up that are not known", || async {
        let events = cluster.client.events(1000).await.ok()?;
        let unknown = events.iter().filter(|event| event.kind == EventKind::MachineUnknown);
        (unknown.count() == machines.len()).then_some(())
    })
    .await
    .with_context(|| cluster.log_tail())?;
    assert_eq!(pids()?, before, "whoever is not known goes on");

    for id in &machines {
        let words =
            cluster.cerebro(&["machine", "adopt", id.as_str(), "--reason", "a new disk"])?;
        ensure!(words.contains("locked: adopted: a new disk"), "{words}");
    }
    let taken = cluster.healthy(&job, 3).await?;
    let paused = cluster.cerebro(&["status"])?;
    ensure!(paused.contains("yet to be taken over"), "{paused}");
    cluster.cerebro(&["resume", job.as_str()])?;
    assert_eq!(pids()?, before, "a task was ended or started again");
    for (now, was) in taken.iter().zip(&tasks) {
        assert_eq!(now.instance, was.instance);
        assert_eq!(cluster.instance_processes(&now.instance.id).len(), 1, "doubled");
    }

    // It is as any cluster: what is uploaded again is deployed.
    cluster.upload_components().await?;
    let next = cluster.deploy(&job, "2.0", portal::artifact()?).await?;
    let ended = cluster.ended(&next).await?;
    ensure!(matches!(ended.state, DeploymentState::Succeeded { .. }), "{:?}", ended.state);
    for task in cluster.healthy(&job, 3).await? {
        ensure!(cluster.ask(&task)?.starts_with("portal 2.0 "));
    }
    Ok(())
}
