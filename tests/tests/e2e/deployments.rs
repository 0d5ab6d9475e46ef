//! Deployments that stop by themselves, through the built binaries: held to a plan that is no longer
//! true, and cut off from their controller.

use anyhow::{Context, Result, ensure};
use cerebro_api::body::TaskView;
use cerebro_model::{Deployment, DeploymentState, EventKind, Job, JobName, Megabytes, ZoneLayout};
use cerebro_tests::processes::kill_9;
use cerebro_tests::{Cluster, Options, component, portal, until};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};

const ZONE: &str = "z-1";

fn machines(count: usize, own_network: bool) -> Options {
    Options { zones: vec![format!("{ZONE}={count}")], own_network, ..Options::default() }
}

/// A job with one instance, whose recipe takes the steps of its options.
fn scripted(name: &str) -> Result<Job> {
    Ok(serde_json::from_value(json!({
        "dns_basename": name,
        "deployment_recipe": "script",
        "deployment_layout": { ZONE: { "mem": 1, "count": 1 } },
        "task_configuration": { "name": "t", "command": "sleep 600", "cpu": 0.1, "mem": 50 },
        "grants": {
            "write": ["/opt/app"],
            "commands": ["/usr/sbin/ip **", "/bin/sleep *", "/bin/true"],
            "secrets": ["none"],
        },
        "rollout": { "deadline": 60, "confirm_within": 3 },
    }))?)
}

async fn scripted_cluster(data: &Path, options: &Options) -> Result<Cluster> {
    let cluster = Cluster::start(data, options).await?;
    cluster.client.put_recipe(&"script".parse()?, component("script")?).await?;
    Ok(cluster)
}

/// `cerebro deploy` of these steps, and how it ended.
fn deploy(cluster: &Cluster, job: &JobName, steps: &Value, more: &[&str]) -> Result<Output> {
    let steps = format!("steps={steps}");
    let deploy = ["deploy", job.as_str(), "--set", steps.as_str()];
    cluster.try_cerebro(&[&deploy, more].concat())
}

fn code(output: &Output, expected: i32) -> Result<String> {
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(expected), "{}: {words}", output.status);
    Ok(words)
}

async fn only_task(cluster: &Cluster, job: &JobName) -> Result<TaskView> {
    Ok(cluster.healthy(job, 1).await?.remove(0))
}

fn conf(text: &str) -> Value {
    json!([
        {"directory": ["/opt/app", null]},
        {"write": ["/opt/app/first", text, null]},
        {"write": ["/opt/app/conf", text, null]},
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_planned_is_done_and_where_a_machine_has_drifted_nothing_is() -> Result<()> {
    let data = tempfile::tempdir()?;
    let cluster = scripted_cluster(data.path(), &machines(1, false)).await?;
    let (app, other) = (scripted("app.startup.com")?, scripted("other.startup.com")?);
    for job in [&app, &other] {
        cluster.client.put_job(job, None).await?;
    }
    let job = &app.dns_basename;
    code(&deploy(&cluster, job, &conf("one"), &["--version", "1", "--follow"])?, 0)?;
    let pid = cluster.task_pid(&only_task(&cluster, job).await?)?;

    let file = data.path().join("plan.json");
    let file = file.to_str().context("the path is no text")?;
    let plan = || deploy(&cluster, job, &conf("two"), &["--version", "2", "--plan", "--out", file]);
    let apply = || cluster.try_cerebro(&["deploy", job.as_str(), "--apply-plan", file, "--follow"]);
    code(&plan()?, 0)?;
    // Somebody else was there since.
    let steps = json!([{"write": ["/opt/app/conf", "theirs", null]}]);
    let drift = deploy(&cluster, &other.dns_basename, &steps, &["--version", "1", "--follow"])?;
    code(&drift, 0)?;
    let words = code(&apply()?, 7)?;
    for part in [
        "0.z-1.app.startup.com failed on m-1",
        "held to plan",
        "#2 `write /opt/app/conf`: `/opt/app/conf` is not as the plan found it, a file of 3 bytes",
        "but a file of 6 bytes",
        "plan again",
        "rolled it back",
    ] {
        ensure!(words.contains(part), "`{part}` is missing: {words}");
    }
    // The rollback brought `conf` of its own version; what was planned now is what is done.
    code(&plan()?, 0)?;
    code(&apply()?, 0)?;
    let deployments = cluster.client.deployments().await?;
    let show = cluster.cerebro(&["deployment", "show", deployments[0].id.as_str()])?;
    ensure!(show.contains("held to plan") && show.contains("write /opt/app/conf"), "{show}");
    ensure!(cluster.task_pid(&only_task(&cluster, job).await?)? != pid, "it was not deployed");

    // Of another job, or of this one after it was changed, it is no plan.
    let refused = cluster.try_cerebro(&["deploy", "other.startup.com", "--apply-plan", file])?;
    ensure!(code(&refused, 4)?.contains("the plan is of app.startup.com"));
    let mut changed = app.clone();
    changed.persistent = false;
    cluster.client.put_job(&changed, Some(1)).await?;
    ensure!(code(&apply()?, 4)?.contains("from revision 1 to 2: plan again"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_of_one_machine_are_held_to_plans_of_the_same_files() -> Result<()> {
    let data = tempfile::tempdir()?;
    let cluster = Cluster::start(data.path(), &machines(1, false)).await?;
    cluster.upload_components().await?;
    let mut job = portal::job()?;
    job.deployment_layout = [(ZONE.parse()?, ZoneLayout::new(Megabytes::new(1), 2))].into();
    cluster.client.put_job(&job, None).await?;
    let first = cluster.deploy(&job.dns_basename, "1.0", portal::artifact()?).await?;
    cluster.ended(&first).await?;
    let path = |name: &str| data.path().join(name).to_string_lossy().into_owned();
    let (plan, artifact) = (path("plan.json"), path("portal.tar.gz"));
    std::fs::write(&artifact, portal::artifact()?)?;
    let deploy = ["deploy", job.dns_basename.as_str()];
    let planned = ["--version", "1.1", "--artifact", &artifact, "--plan", "--out", &plan];
    code(&cluster.try_cerebro(&[&deploy[..], &planned].concat())?, 0)?;
    // The first of them does what both were planned to do.
    let apply = ["--apply-plan", &plan, "--artifact", &artifact, "--follow"];
    code(&cluster.try_cerebro(&[&deploy[..], &apply].concat())?, 0)?;
    for task in cluster.healthy(&job.dns_basename, 2).await? {
        let answer = cluster.ask(&task)?;
        ensure!(answer.starts_with("portal 1.1 "), "{answer}");
    }
    Ok(())
}

/// Whether machines can have networks of their own here; without, there is nothing to cut.
fn can_cut() -> bool {
    let can = nix::unistd::geteuid().is_root();
    if !can {
        eprintln!("only root can give a machine a network of its own: nothing tested");
    }
    can
}

fn link(state: &str) -> Value {
    let argv = |state: &str| json!(["/usr/sbin/ip", "link", "set", "eth0", state]);
    let undo = if state == "down" { "up" } else { "down" };
    json!({ "run-undo": [argv(state), argv(undo)] })
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cuts_itself_off_comes_back_and_says_so() -> Result<()> {
    if !can_cut() {
        return Ok(());
    }
    let data = tempfile::tempdir()?;
    let cluster = scripted_cluster(data.path(), &machines(2, true)).await?;
    let app = scripted("app.startup.com")?;
    cluster.client.put_job(&app, None).await?;
    let job = &app.dns_basename;
    code(&deploy(&cluster, job, &conf("one"), &["--version", "1", "--follow"])?, 0)?;
    let task = only_task(&cluster, job).await?;
    let pid = cluster.task_pid(&task)?;

    let steps = json!([{"write": ["/opt/app/conf", "two", null]}, link("down")]);
    let words = code(&deploy(&cluster, job, &steps, &["--version", "2", "--follow"])?, 7)?;
    for part in [
        "cut off: the controller was reached right before the recipe, and not for 3 s after it",
        "the controller is reached again after it was taken back",
        "d-3 rolled it back",
    ] {
        ensure!(words.contains(part), "`{part}` is missing: {words}");
    }
    let show = cluster.cerebro(&["deployment", "show", "d-2"])?;
    ensure!(show.contains("(try 1,"), "what cuts it off is not tried again: {show}");
    ensure!(show.contains("run /usr/sbin/ip link set eth0 down"), "{show}");
    let events = cluster.client.events(1000).await?;
    let lost = events.iter().any(|event| event.kind == EventKind::MachineLost);
    ensure!(!lost, "its machine was there all the time");
    let after = only_task(&cluster, job).await?;
    ensure!(after.instance.machine == task.instance.machine);
    ensure!(cluster.task_pid(&after)? != pid, "the rollback starts it again, as any does");

    // So does an agent that dies while it is cut off, and finds what the one before it had begun.
    let steps = json!([{"write": ["/opt/app/conf", "four", null]}, link("down")]);
    let deploy = deploy(&cluster, job, &steps, &["--version", "4", "--output", "json"])?;
    let bad: Deployment = serde_json::from_slice(&deploy.stdout)?;
    let recording = format!("calls/{}.1/recording", bad.id);
    let recording = cluster.task_dir(&after).join(recording);
    until("the recipe has ended", || async { recording.exists().then_some(()) }).await?;
    kill_9(cluster.agent_pid(&after.instance.machine)?);
    let ended = cluster.ended(&bad).await?;
    let DeploymentState::Failed { reason, .. } = &ended.state else {
        anyhow::bail!("it should have failed: {:?}", ended.state)
    };
    ensure!(reason.contains("reached again after it was taken back"), "{reason}");
    let told = cluster.client.deployment_calls(&bad.id, Default::default()).await?;
    ensure!(told.calls[0].attempt == 1, "{:?}", told.calls);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_cut_it_off_is_not_taken_back() -> Result<()> {
    if !can_cut() {
        return Ok(());
    }
    let data = tempfile::tempdir()?;
    let cluster = scripted_cluster(data.path(), &machines(1, true)).await?;
    let app = scripted("app.startup.com")?;
    cluster.client.put_job(&app, None).await?;
    let job = &app.dns_basename;
    let steps = |text: &str| {
        json!([
            {"directory": ["/opt/app", null]},
            {"write": ["/opt/app/conf", text, null]},
            {"run-undo": [["/bin/sleep", "5"], ["/bin/true"]]},
        ])
    };
    code(&deploy(&cluster, job, &steps("one"), &["--version", "1", "--follow"])?, 0)?;
    let machine = only_task(&cluster, job).await?.instance.machine;

    // The controller dies while the recipe runs, and is away when it has.
    let begun = |seen: u64| {
        let cluster = &cluster;
        until("the recipe has begun", move || async move {
            let events = cluster.events_after(seen).await.ok()?;
            let wrote =
                |event: &cerebro_model::Event| event.message.contains("write /opt/app/conf");
            events.iter().any(wrote).then_some(())
        })
    };
    let seen = cluster.last_event().await?;
    code(&deploy(&cluster, job, &steps("two"), &["--version", "2"])?, 0)?;
    begun(seen).await?;
    kill_9(cluster.controller_pid()?);
    let deployments =
        until("the controller is back", || async { cluster.client.deployments().await.ok() })
            .await?;
    let ended = cluster.ended(&deployments[0]).await?;
    ensure!(matches!(ended.state, DeploymentState::Succeeded { .. }), "{:?}", ended.state);

    // The cable is pulled while the recipe runs: taking it back does not help, so it is deployed again.
    let cable = Cable::of(&cluster, &machine)?;
    let seen = cluster.last_event().await?;
    code(&deploy(&cluster, job, &steps("three"), &["--version", "3"])?, 0)?;
    begun(seen).await?;
    cable.set("down")?;
    let log = cluster.task_dir(&only_instance(&cluster, job).await?).join("instance.json");
    until("it is deployed again without the controller", || async {
        let record: Value = serde_json::from_slice(&std::fs::read(&log).ok()?).ok()?;
        let deployed = &record["deployed"];
        (deployed["deployment"] == "d-3" && deployed["failures"].is_null()).then_some(())
    })
    .await?;
    cable.set("up")?;
    let deployments = cluster.client.deployments().await?;
    let ended = cluster.ended(&deployments[0]).await?;
    ensure!(matches!(ended.state, DeploymentState::Succeeded { .. }), "{:?}", ended.state);
    let told = until("what happened is told", || async {
        let events = cluster.events_after(seen).await.ok()?;
        let words = "that did not help: it was not to blame, and is deployed again";
        events.into_iter().find(|event| event.message.contains(words))
    })
    .await?;
    ensure!(told.subject.machine.as_ref() == Some(&machine), "{told:?}");
    Ok(())
}

async fn only_instance(cluster: &Cluster, job: &JobName) -> Result<TaskView> {
    let mut all = cluster.tasks(job).await?;
    ensure!(all.len() == 1, "{all:?}");
    Ok(all.remove(0))
}

/// The host's end of a machine's cable; plugged in again when it is dropped.
struct Cable(String);

impl Cable {
    fn of(cluster: &Cluster, machine: &cerebro_model::MachineId) -> Result<Self> {
        let machine = cluster.data().join("machines").join(machine.as_str());
        let pid = std::fs::read(machine.join("init.json"))?;
        let pid: Value = serde_json::from_slice(&pid)?;
        let pid = pid["pid"].as_i64().context("no init")?.to_string();
        // The inner end names the outer one by its number.
        let inner = ["-t", &pid, "-n", "ip", "-o", "link", "show", "eth0"];
        let inner = Command::new("nsenter").args(inner).output()?;
        let inner = String::from_utf8(inner.stdout)?;
        let (_, peer) = inner.split_once("eth0@if").context(inner.clone())?;
        let number: String = peer.chars().take_while(char::is_ascii_digit).collect();
        let all = String::from_utf8(Command::new("ip").args(["-o", "link"]).output()?.stdout)?;
        let outer = all.lines().find_map(|line| {
            let (index, rest) = line.split_once(": ")?;
            (index == number).then(|| rest.split(['@', ':']).next().map(str::to_owned))?
        });
        Ok(Self(outer.context("the cable has no other end")?))
    }

    fn set(&self, state: &str) -> Result<()> {
        let status = Command::new("ip").args(["link", "set", &self.0, state]).status()?;
        ensure!(status.success(), "ip link set {} {state}: {status}", self.0);
        Ok(())
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        let _ = self.set("up");
    }
}
