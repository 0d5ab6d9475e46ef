//! The whole story through the built binaries: upload, deploy, kill, heal, refuse.
//!
//! Each test is a cluster of its own; dropped, it leaves nothing behind.

use anyhow::{Context, Result, ensure};
use cerebro_api::ClientError;
use cerebro_api::body::{DeployRequest, PushedRecipe, TaskView};
use cerebro_model::{
    Cores, Deployment, DeploymentState, EventKind, Grants, Job, JobName, MachineId, Megabytes,
    OnFailure, Seconds, ZoneLayout,
};
use cerebro_tests::processes::{blocked_signals, is_running, kill_9, touching};
use cerebro_tests::{Cluster, Options, component, portal, root, until};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

const EAST: &str = "aws-us-east-1b";
/// How long redis may take to answer, also on a busy machine.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

fn one_machine() -> Options {
    Options { zones: vec![format!("{EAST}=1")], ..Options::default() }
}

/// A cluster with the example's job defined and not yet deployed.
async fn portal_cluster(data: &Path, options: &Options) -> Result<Cluster> {
    let cluster = Cluster::start(data, options).await?;
    cluster.upload_components().await?;
    cluster.define_portal().await?;
    Ok(cluster)
}

/// Deploys a working release and waits until it runs.
async fn deploy(cluster: &Cluster, version: &str) -> Result<()> {
    let job = portal::job()?.dns_basename;
    let deployment = cluster.deploy(&job, version, portal::artifact()?).await?;
    succeeded(&cluster.ended(&deployment).await?)
}

/// Waits until all three instances answer, none of them from the dead machine.
async fn serves_without(cluster: &Cluster, job: &JobName, dead: &MachineId) -> Result<()> {
    until("it serves elsewhere", || async {
        let tasks = cluster.tasks(job).await.ok()?;
        let serves =
            tasks.iter().all(|task| task.instance.machine != *dead && cluster.ask(task).is_ok());
        (tasks.len() == 3 && serves).then_some(())
    })
    .await
}

fn succeeded(deployment: &Deployment) -> Result<()> {
    ensure!(
        matches!(deployment.state, DeploymentState::Succeeded { .. }),
        "{:?}",
        deployment.state
    );
    Ok(())
}

fn reason(deployment: &Deployment) -> Result<&str> {
    match &deployment.state {
        DeploymentState::Failed { reason, .. } => Ok(reason),
        other => anyhow::bail!("it should have failed: {other:?}"),
    }
}

#[test]
fn the_seeds_own_job_file_is_accepted_as_it_stands() -> Result<()> {
    // Read where it lies beside the checkout, never copied in; without it there is nothing to test.
    let seed = root().join("../shared/mission/seed.md");
    let Ok(text) = std::fs::read_to_string(&seed) else {
        eprintln!("{} is not there: nothing tested", seed.display());
        return Ok(());
    };
    let (_, after) =
        text.split_once("Example Job Configuration Format\n").context("no example in the seed")?;
    let (example, _) = after.split_once("def run_deploy").context("no end of the example")?;
    let job = cerebro_api::jobfile::parse("seed.json", example)?;
    let zones: Vec<_> =
        job.deployment_layout.iter().map(|(zone, l)| (zone.as_str(), l.instances())).collect();
    assert_eq!(zones, [("aws-us-east-1b", 10), ("aws-us-west-2a", 1)]);
    let task = &job.task_configuration;
    assert_eq!((task.cpu, task.mem), (Some(Cores::from_millis(500)), Some(Megabytes::new(1200))));
    assert_eq!(task.max_restarts.limit(), None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_in_its_zones_rolls_to_a_new_version_and_leaves_nothing_behind() -> Result<()> {
    let data = tempfile::tempdir()?;
    let mut cluster = portal_cluster(data.path(), &Options::default()).await?;
    let job = portal::job()?.dns_basename;
    let file = data.path().join("portal.tar.gz");
    std::fs::write(&file, portal::artifact()?)?;
    let file = file.to_str().context("the path is no text")?;
    for version in ["1.0", "1.1"] {
        let name = job.as_str();
        let told = cluster.cerebro(&[
            "deploy",
            name,
            "--version",
            version,
            "--artifact",
            file,
            "--follow",
        ])?;
        for words in ["deployment-started", "recipe-log", "is healthy on", "deployment-succeeded"] {
            ensure!(told.contains(words), "`{words}` is missing: {told}");
        }
        for task in cluster.healthy(&job, 3).await? {
            let answer = cluster.ask(&task)?;
            assert_eq!(
                answer,
                format!("portal {version} instance {}: good night", task.instance.id)
            );
            let machine = cluster.machine(&task.instance.machine).await?;
            assert_eq!(machine.machine.zone, task.instance.zone);
            // Else it would not hear that it should stop.
            assert_eq!(blocked_signals(cluster.task_pid(&task)?), Some(0));
        }
    }
    let id = cluster.tasks(&job).await?[0].instance.id.clone();
    let log = cluster.client.task_log(&id, "stdout", 1000, false).await?;
    let lines: Vec<_> = futures::StreamExt::collect(log).await;
    let said = |words: &str| lines.iter().flatten().any(|line: &String| line.contains(words));
    ensure!(said("portal 1.1 listens") && said("GET /healthz"), "{lines:?}");

    let listed: serde_json::Value =
        serde_json::from_str(&cluster.cerebro(&["-o", "json", "task", "list"])?)?;
    assert_eq!(listed.as_array().map(Vec::len), Some(3));

    cluster.cerebro(&["job", "delete", job.as_str(), "--yes"])?;
    until("the tasks are gone", || async { cluster.tasks(&job).await.ok().filter(Vec::is_empty) })
        .await?;
    let was_running = cluster.processes();
    ensure!(!was_running.is_empty());
    cluster.stop();
    assert_eq!(
        was_running.into_iter().filter(|pid| is_running(*pid)).count(),
        0,
        "processes are left"
    );
    assert_eq!(touching(data.path()), [0; 0], "processes or mounts are left");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_wants_more_waits_until_it_may_have_it() -> Result<()> {
    let data = tempfile::tempdir()?;
    let cluster = portal_cluster(data.path(), &Options::default()).await?;
    let mut job = portal::job()?;
    let (recipe, file) = (job.deployment_recipe.to_string(), data.path().join("release.wasm"));
    std::fs::write(&file, component("release")?)?;
    let push = |wants: &Grants| {
        std::fs::write(file.with_extension("wants.json"), serde_json::to_vec(wants)?)?;
        cluster.cerebro(&["recipe", "push", &recipe, &file.display().to_string()])
    };
    // At first it may declare more than it gets: that is a bound and no demand.
    let mut wants = job.grants.clone();
    wants.commands.push("/usr/bin/true".to_owned().try_into().map_err(anyhow::Error::msg)?);
    ensure!(!push(&wants)?.contains("+ grants"));
    deploy(&cluster, "1.0").await?;

    wants.write.push("/srv/more".to_owned().try_into().map_err(anyhow::Error::msg)?);
    let line = "+ grants.write: \"/srv/more\"";
    let pushed = push(&wants)?;
    ensure!(pushed.contains(line) && pushed.contains(job.dns_basename.as_str()), "{pushed}");
    let described = cluster.cerebro(&["job", "describe", job.dns_basename.as_str()])?;
    ensure!(described.contains(line), "{described}");
    let refused = cluster.deploy(&job.dns_basename, "2.0", portal::artifact()?).await;
    let refused = format!("{:#}", refused.err().context("it was deployed")?);
    ensure!(refused.contains(line) && !refused.contains("grants.commands"), "{refused}");

    job.grants = wants;
    let view = cluster.client.put_job(&job, Some(1)).await?;
    ensure!(view.missing.is_empty(), "{:?}", view.missing);
    deploy(&cluster, "2.0").await
}

/// The example's job on a cluster on which 1.0 runs: what fails is given up soon, rather than tried
/// for ever, and then this follows.
async fn portal_that_gives_up(cluster: &Cluster, on_failure: OnFailure) -> Result<Job> {
    let mut job = portal::job()?;
    job.task_configuration.max_restarts = 1i64.try_into().map_err(anyhow::Error::msg)?;
    job.rollout.on_failure = on_failure;
    cluster.client.put_job(&job, Some(1)).await?;
    deploy(cluster, "1.0").await?;
    Ok(job)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_release_is_stopped_and_the_others_keep_what_they_have() -> Result<()> {
    let data = tempfile::tempdir()?;
    let cluster = portal_cluster(data.path(), &Options::default()).await?;
    let job = portal_that_gives_up(&cluster, OnFailure::Keep).await?;
    let bad = cluster.deploy(&job.dns_basename, "2.0", portal::bad_artifact()?).await?;
    let ended = cluster.ended(&bad).await?;
    let why = reason(&ended)?;
    ensure!(
        why.contains("code 1") && why.contains("the database at 127.0.0.1:1 is not there"),
        "{why}"
    );
    let tasks = cluster.tasks(&job.dns_basename).await?;
    let serving = tasks
        .iter()
        .filter(|task| cluster.ask(task).is_ok_and(|answer| answer.contains("portal 1.0")));
    assert_eq!(serving.count(), 2, "one was tried, two go on");
    ensure!(rollback_of(&cluster, &bad).await?.is_none(), "its job wants none");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_release_is_taken_back_and_the_others_are_not_even_started_again() -> Result<()> {
    let data = tempfile::tempdir()?;
    let cluster = portal_cluster(data.path(), &Options::default()).await?;
    let job = portal_that_gives_up(&cluster, OnFailure::RollBack).await?;
    let pids = |tasks: &[TaskView]| {
        tasks.iter().map(|task| cluster.task_pid(task)).collect::<Result<Vec<_>>>()
    };
    let before = pids(&cluster.healthy(&job.dns_basename, 3).await?)?;
    let bad = cluster.deploy(&job.dns_basename, "2.0", portal::bad_artifact()?).await?;
    reason(&cluster.ended(&bad).await?)?;
    // It begins in the commit in which the other fails, so it is there.
    let rollback = rollback_of(&cluster, &bad).await?.context("nothing takes it back")?;
    succeeded(&cluster.ended(&rollback).await?)?;
    let tasks = cluster.healthy(&job.dns_basename, 3).await?;
    for task in &tasks {
        let answer = cluster.ask(task)?;
        ensure!(answer.starts_with("portal 1.0"), "{answer}");
    }
    let kept = pids(&tasks)?.iter().filter(|pid| before.contains(pid)).count();
    assert_eq!(kept, 2, "two had never left 1.0");
    Ok(())
}

/// What takes a deployment back, if anything does.
async fn rollback_of(cluster: &Cluster, deployment: &Deployment) -> Result<Option<Deployment>> {
    let all = cluster.client.deployments().await?;
    Ok(all.into_iter().find(|it| it.rolls_back.as_ref() == Some(&deployment.id)))
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_answers_and_keeps_its_data_over_a_restart() -> Result<()> {
    let server = Path::new("/usr/bin/redis-server");
    ensure!(server.exists(), "install redis-server, or let `cargo xtask test` do it");
    let data = tempfile::tempdir()?;
    let cluster = Cluster::start(data.path(), &one_machine()).await?;
    cluster.upload_components().await?;
    let text = std::fs::read_to_string(root().join("examples/redis/job.yaml"))?;
    let job = cerebro_api::jobfile::parse("job.yaml", &text)?;
    cluster.client.put_job(&job, None).await?;
    let request = DeployRequest::new("7".parse()?, cerebro_model::Options::new());
    let deployment = cluster.client.deploy(&job.dns_basename, &request).await?;
    succeeded(&cluster.ended(&deployment).await?)?;

    let task = cluster.healthy(&job.dns_basename, 1).await?.remove(0);
    let port = *task.instance.ports.values().next().context("no port")?;
    let address = SocketAddr::new(task.address.context("no address")?, port);
    let say = |line: &str| -> Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, ANSWERS_WITHIN)?;
        stream.set_read_timeout(Some(ANSWERS_WITHIN))?;
        stream.write_all(format!("{line}\r\n").as_bytes())?;
        let mut answer = [0; 256];
        let read = stream.read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
    };
    ensure!(say("PING")?.starts_with("+PONG"));
    ensure!(say("SET night quiet")?.starts_with("+OK"));
    // Its own fsync is once a second by default: what it promised to keep must be on disk.
    until("redis has synced", || async {
        say("WAITAOF 1 0 100").ok().filter(|answer| !answer.is_empty())
    })
    .await?;
    let pid = cluster.task_pid(&task)?;
    kill_9(pid);
    until("redis is back with its data", || async {
        say("GET night").ok().filter(|answer| answer.contains("quiet"))
    })
    .await?;
    ensure!(cluster.task_pid(&task)? != pid);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_privileges_it_runs_all_the_same() -> Result<()> {
    let data = tempfile::tempdir()?;
    let options = Options { unprivileged: true, ..Options::default() };
    let mut cluster = portal_cluster(data.path(), &options).await?;
    let job = portal::job()?.dns_basename;
    deploy(&cluster, "1.0").await.with_context(|| cluster.log_tail())?;
    let task = cluster.healthy(&job, 3).await?.remove(0);
    ensure!(cluster.ask(&task)?.starts_with("portal 1.0"));
    ensure!(!Path::new("/opt/startup").exists(), "the host's own files were touched");
    let dead = task.instance.machine.clone();
    cluster.client.kill_machine(&dead).await?;
    serves_without(&cluster, &job, &dead).await?;
    let was_running = cluster.processes();
    cluster.stop();
    assert_eq!(
        was_running.into_iter().filter(|pid| is_running(*pid)).count(),
        0,
        "processes are left"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_outlive_sitters_agents_and_controller() -> Result<()> {
    let data = tempfile::tempdir()?;
    let cluster = portal_cluster(data.path(), &Options::default()).await?;
    let job = portal::job()?.dns_basename;
    deploy(&cluster, "1.0").await?;
    let tasks = cluster.healthy(&job, 3).await?;
    let pids = || tasks.iter().map(|task| cluster.task_pid(task)).collect::<Result<Vec<_>>>();
    let before = pids()?;

    for task in &tasks {
        kill_9(cluster.sitter_pid(task)?);
        // Two tasks may share a machine, whose agent is then dead already.
        if let Ok(agent) = cluster.agent_pid(&task.instance.machine) {
            kill_9(agent);
        }
    }
    kill_9(cluster.controller_pid()?);
    until("sitters, agents and controller are back", || async {
        let sitters = tasks.iter().all(|task| cluster.sitter_pid(task).is_ok());
        let machines = cluster.client.machines().await.ok()?;
        let heard = machines.iter().filter(|view| view.last_heartbeat.is_some()).count();
        (sitters && heard == 3).then_some(())
    })
    .await?;
    cluster.healthy(&job, 3).await?;
    assert_eq!(pids()?, before, "a task was started again");
    for task in &tasks {
        assert_eq!(cluster.instance_processes(&task.instance.id).len(), 1, "doubled");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_machine_is_replaced_with_evidence() -> Result<()> {
    let data = tempfile::tempdir()?;
    let cluster = portal_cluster(data.path(), &Options::default()).await?;
    let job = portal::job()?.dns_basename;
    deploy(&cluster, "1.0").await?;
    let (seen, task) = (cluster.last_event().await?, cluster.healthy(&job, 3).await?.remove(0));
    let dead = task.instance.machine.clone();
    cluster.client.kill_machine(&dead).await?;
    serves_without(&cluster, &job, &dead).await?;
    let events = cluster.events_after(seen).await?;
    let lost = events
        .iter()
        .find(|event| event.kind == EventKind::MachineLost)
        .context("no certificate")?;
    for witness in ["no heartbeat", "probe:", "provider:"] {
        ensure!(lost.message.contains(witness), "{}", lost.message);
    }
    let gone = || async {
        let machines = cluster.client.machines().await.ok()?;
        let active = machines.iter().filter(|view| view.machine.state.is_active()).count();
        (active == 3 && machines.iter().all(|view| view.machine.id != dead)).then_some(())
    };
    if let Err(error) = until("the dead one is forgotten and replaced", gone).await {
        let events = cluster.events_after(seen).await?;
        let told: String = events.iter().map(|event| format!("\n{}", event.message)).collect();
        return Err(error.context(told));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_killed_in_a_deployment_finishes_it() -> Result<()> {
    let data = tempfile::tempdir()?;
    let cluster = portal_cluster(data.path(), &Options::default()).await?;
    let job = portal::job()?.dns_basename;
    let moments =
        [EventKind::DeploymentStarted, EventKind::InstancePlaced, EventKind::InstancePhase];
    for (round, moment) in moments.into_iter().enumerate() {
        let seen = cluster.last_event().await?;
        let deployment = cluster.deploy(&job, &format!("1.{round}"), portal::artifact()?).await?;
        until("the moment to kill", || async {
            let events = cluster.events_after(seen).await.ok()?;
            events.iter().any(|event| event.kind == moment).then_some(())
        })
        .await?;
        kill_9(cluster.controller_pid()?);
        succeeded(&cluster.ended(&deployment).await?)?;
        for task in cluster.healthy(&job, 3).await? {
            ensure!(cluster.ask(&task)?.starts_with(&format!("portal 1.{round} ")));
            assert_eq!(cluster.instance_processes(&task.instance.id).len(), 1, "doubled");
        }
    }
    assert_eq!(cluster.client.machines().await?.len(), 3, "a machine was doubled or lost");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_recipe_is_refused_at_the_door() -> Result<()> {
    let data = tempfile::tempdir()?;
    let cluster = Cluster::start(data.path(), &one_machine()).await?;
    let name = "misbehave".parse()?;
    let refusal = |result: Result<PushedRecipe, ClientError>| match result {
        Ok(pushed) => anyhow::bail!("{} was taken", pushed.recipe.name),
        Err(error) => Ok(error.to_string()),
    };
    let text = refusal(cluster.client.put_recipe(&name, b"#!/bin/sh".to_vec()).await)?;
    ensure!(text.contains("wasm32-wasip2"), "{text}");
    let nothing = refusal(cluster.client.put_recipe(&name, component("nothing")?).await)?;
    ensure!(nothing.contains("must export"), "{nothing}");
    // It imports commands, and the job grants none.
    cluster.client.put_recipe(&name, component("misbehave")?).await?;
    let job = misbehaving_job(serde_json::json!({}))?;
    cluster.client.put_job(&job, None).await?;
    let request = DeployRequest::new("1".parse()?, cerebro_model::Options::new());
    let Err(error) = cluster.client.deploy(&job.dns_basename, &request).await else {
        anyhow::bail!("it was deployed without a grant");
    };
    ensure!(error.to_string().contains("grants."), "{error}");
    Ok(())
}

fn misbehaving_job(grants: serde_json::Value) -> Result<Job> {
    Ok(serde_json::from_value(serde_json::json!({
        "dns_basename": "bad.startup.com",
        "deployment_recipe": "misbehave",
        "deployment_layout": { EAST: { "mem": 1, "count": 1 } },
        "task_configuration": { "name": "Bad", "command": "sleep 600", "cpu": 0.1, "mem": 50 },
        "grants": grants,
    }))?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipe_that_misbehaves_ends_in_words_and_the_cluster_goes_on() -> Result<()> {
    let data = tempfile::tempdir()?;
    let cluster = portal_cluster(data.path(), &Options::default()).await?;
    cluster.client.put_recipe(&"misbehave".parse()?, component("misbehave")?).await?;
    let job =
        misbehaving_job(serde_json::json!({ "commands": ["/bin/true"], "write": ["/opt/x"] }))?;
    cluster.client.put_job(&job, None).await?;
    for (does, words) in [
        ("memory", "memory"),
        ("panic", "the recipe lost its head"),
        ("fail", "the release is for another planet"),
    ] {
        let options = [("do".to_owned(), does.into())].into_iter().collect();
        let request = DeployRequest::new("1".parse()?, options);
        let deployment = cluster.client.deploy(&job.dns_basename, &request).await?;
        let ended = cluster.ended(&deployment).await?;
        let why = reason(&ended)?;
        ensure!(why.contains(words), "{does}: {why}");
        ensure!(why.contains("about to misbehave"), "the last log lines are missing: {why}");
    }
    // One that never ends is ended at the rollout's deadline, and the next one takes its place.
    let mut endless = job.clone();
    endless.rollout.deadline = Seconds::new(3);
    cluster.client.put_job(&endless, Some(1)).await?;
    let options = [("do".to_owned(), "loop".into())].into_iter().collect();
    let request = DeployRequest::new("2".parse()?, options);
    let deployment = cluster.client.deploy(&job.dns_basename, &request).await?;
    let ended = cluster.ended(&deployment).await?;
    let why = reason(&ended)?;
    ensure!(why.contains("within 3"), "{why}");
    cluster.client.put_job(&job, Some(2)).await?;
    let write = [("do", "write"), ("path", "/opt/x"), ("text", "here")];
    let options = write.map(|(name, value)| (name.to_owned(), value.into())).into_iter().collect();
    let request = DeployRequest::new("3".parse()?, options);
    let deployment = cluster.client.deploy(&job.dns_basename, &request).await?;
    let ended = cluster.ended(&deployment).await?;
    ensure!(matches!(ended.state, DeploymentState::Succeeded { .. }), "{:?}", ended.state);
    deploy(&cluster, "1.0").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fits_nowhere_says_what_is_short_by_how_much() -> Result<()> {
    let data = tempfile::tempdir()?;
    let cluster = Cluster::start(data.path(), &one_machine()).await?;
    cluster.upload_components().await?;
    let mut job = portal::job()?;
    job.deployment_layout = [(EAST.parse()?, ZoneLayout::new(Megabytes::new(1), 1))].into();
    job.task_configuration.cpu = Some(Cores::from_millis(64_000));
    cluster.client.put_job(&job, None).await?;
    cluster.deploy(&job.dns_basename, "1.0", portal::artifact()?).await?;
    until("the shortage is told", || async {
        let view = cluster.client.job(&job.dns_basename).await.ok()?;
        view.problems.iter().any(|problem| problem.contains("1 lacks cores (m-1: ")).then_some(())
    })
    .await?;
    // The next deployment, of a job that fits, takes its place.
    job.task_configuration.cpu = Some(Cores::from_millis(500));
    cluster.client.put_job(&job, Some(1)).await?;
    deploy(&cluster, "1.1").await
}
