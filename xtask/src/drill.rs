//! The night: one thing is killed after the other, and Cerebro is watched healing it.

use crate::bad_release;
use crate::demo::say;
use anyhow::{Context, Result, ensure};
use cerebro_api::body::TaskView;
use cerebro_model::JobName;
use cerebro_tests::processes::{is_running, kill_9};
use cerebro_tests::{Cluster, portal, until};
use std::time::{Duration, Instant, SystemTime};

/// Something that dies at night.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Task,
    TaskSitter,
    MachineSitter,
    Machine,
    ClusterSitter,
    Release,
}

const NIGHT: [Fault; 6] = [
    Fault::Task,
    Fault::TaskSitter,
    Fault::MachineSitter,
    Fault::Machine,
    Fault::ClusterSitter,
    Fault::Release,
];

impl Fault {
    /// What dies, and what is measured.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Task => ("task killed", "killed → executed again"),
            Self::TaskSitter => ("task sitter killed", "killed → same process adopted"),
            Self::MachineSitter => ("machine sitter killed", "killed → agent back, same processes"),
            Self::Machine => ("machine killed", "killed → every instance answers elsewhere"),
            Self::ClusterSitter => {
                ("controller killed in a deployment", "killed → deployment finished")
            }
            Self::Release => ("bad release deployed", "caught → taken back, and all is as before"),
        }
    }
}

struct Row {
    fault: Fault,
    times: Vec<Duration>,
    failures: Vec<String>,
}

/// Plays the night so many times over; whether all healed each time.
pub async fn night(cluster: &Cluster, job: &JobName, rounds: usize) -> Result<bool> {
    let wanted = cluster.tasks(job).await?.len();
    let mut rows = Vec::new();
    for fault in NIGHT {
        let mut row = Row { fault, times: Vec::new(), failures: Vec::new() };
        for round in 1..=rounds {
            say(&format!("{} (round {round} of {rounds})", fault.words().0));
            let before = cluster.last_event().await?;
            let outcome = match strike(cluster, job, fault, round, wanted).await {
                Ok(time) => settled(cluster, job, wanted).await.map(|()| time),
                Err(error) => Err(error),
            };
            for event in cluster.events_after(before).await.unwrap_or_default() {
                println!("  {:<21} {}", event.kind.to_string(), event.message);
            }
            match outcome {
                Ok(time) => {
                    println!("  healed after {}", milliseconds(time));
                    row.times.push(time);
                }
                Err(error) => {
                    println!("  NOT HEALED: {error:#}");
                    row.failures.push(format!("{error:#}"));
                }
            }
        }
        rows.push(row);
    }
    report(&rows);
    Ok(rows.iter().all(|row| row.failures.is_empty()))
}

/// Kills, waits until it is healed, and answers how long that took.
async fn strike(
    cluster: &Cluster,
    job: &JobName,
    fault: Fault,
    round: usize,
    wanted: usize,
) -> Result<Duration> {
    let tasks = cluster.healthy(job, wanted).await?;
    let task = &tasks[round % tasks.len()];
    match fault {
        Fault::Task => kill_task(cluster, task).await,
        Fault::TaskSitter => kill_sitter(cluster, task).await,
        Fault::MachineSitter => kill_agent(cluster, task, &tasks).await,
        Fault::Machine => kill_machine(cluster, job, task, wanted).await,
        Fault::ClusterSitter => kill_controller(cluster, job, round).await,
        Fault::Release => bad_release::deploy(cluster, job, round, &tasks).await,
    }
}

/// By the task sitter's own stamp of the exec: nothing of our looking is in it.
async fn kill_task(cluster: &Cluster, task: &TaskView) -> Result<Duration> {
    let pid = cluster.task_pid(task)?;
    let killed_at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    kill_9(pid);
    let started_at = until("the task runs again", || async {
        let started =
            cluster.task_state(task)?["started_at"].as_u64().map(Duration::from_micros)?;
        (started > killed_at).then_some(started)
    })
    .await?;
    Ok(started_at - killed_at)
}

async fn kill_sitter(cluster: &Cluster, task: &TaskView) -> Result<Duration> {
    let (pid, sitter) = (cluster.task_pid(task)?, cluster.sitter_pid(task)?);
    let before = cluster.task_state(task).context("no state")?["sitter"].clone();
    let begun = Instant::now();
    kill_9(sitter);
    until("a new task sitter has adopted the task", || async {
        let state = cluster.task_state(task)?;
        (state["sitter"] != before && state["pid"].is_u64()).then_some(())
    })
    .await?;
    let took = begun.elapsed();
    ensure!(cluster.task_pid(task)? == pid, "the task is another process now");
    Ok(took)
}

async fn kill_agent(cluster: &Cluster, task: &TaskView, tasks: &[TaskView]) -> Result<Duration> {
    let machine = &task.instance.machine;
    let there = tasks.iter().filter(|task| task.instance.machine == *machine);
    let before: Vec<(&TaskView, i32)> =
        there.map(|task| Ok((task, cluster.task_pid(task)?))).collect::<Result<_>>()?;
    let agent = cluster.agent_pid(machine)?;
    let seen = cluster.last_event().await?;
    let begun = Instant::now();
    kill_9(agent);
    until("the agent is back", || async {
        let events = cluster.events_after(seen).await.ok()?;
        let is_back = |event: &cerebro_model::Event| {
            event.kind == cerebro_model::EventKind::AgentStarted
                && event.subject.machine.as_ref() == Some(machine)
        };
        events.iter().any(is_back).then_some(())
    })
    .await?;
    let took = begun.elapsed();
    for (task, pid) in before {
        ensure!(cluster.task_pid(task)? == pid, "{} is another process now", task.instance.id);
    }
    Ok(took)
}

async fn kill_machine(
    cluster: &Cluster,
    job: &JobName,
    task: &TaskView,
    wanted: usize,
) -> Result<Duration> {
    let dead = task.instance.machine.clone();
    let begun = Instant::now();
    cluster.client.kill_machine(&dead).await?;
    until("every instance answers from another machine", || async {
        let tasks = cluster.tasks(job).await.ok()?;
        let serves = |task: &TaskView| task.instance.machine != dead && cluster.ask(task).is_ok();
        (tasks.len() == wanted && tasks.iter().all(serves)).then_some(())
    })
    .await?;
    Ok(begun.elapsed())
}

async fn kill_controller(cluster: &Cluster, job: &JobName, round: usize) -> Result<Duration> {
    let seen = cluster.last_event().await?;
    let deployment = cluster.deploy(job, &format!("2.{round}"), portal::artifact()?).await?;
    until("the deployment has reached a machine", || async {
        let events = cluster.events_after(seen).await.ok()?;
        events
            .iter()
            .any(|event| event.kind == cerebro_model::EventKind::InstancePlaced)
            .then_some(())
    })
    .await?;
    let controller = cluster.controller_pid()?;
    let begun = Instant::now();
    kill_9(controller);
    let ended = cluster.ended(&deployment).await?;
    ensure!(ended.state.word() == "succeeded", "{} {}", ended.id, ended.state.word());
    let took = begun.elapsed();
    for task in cluster.tasks(job).await? {
        let answer = cluster.ask(&task)?;
        ensure!(
            answer.contains(&format!("portal 2.{round} ")),
            "{} says: {answer}",
            task.instance.id
        );
    }
    Ok(took)
}

/// Everything is healthy, answers, and is there once.
async fn settled(cluster: &Cluster, job: &JobName, wanted: usize) -> Result<()> {
    for task in cluster.healthy(job, wanted).await? {
        let id = &task.instance.id;
        // An old one that was told to stop may take a moment.
        until("each instance is one process", || async {
            let running =
                cluster.instance_processes(id).into_iter().filter(|pid| is_running(*pid)).count();
            (running == 1).then_some(())
        })
        .await
        .with_context(|| format!("{id} runs as {:?}", cluster.instance_processes(id)))?;
        cluster.ask(&task)?;
    }
    let zones = cluster.client.machines().await?;
    ensure!(zones.len() <= 6, "machines pile up: {}", zones.len());
    Ok(())
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

fn report(rows: &[Row]) {
    say("the night is over");
    println!(
        "  {:<34} {:<42} {:>6} {:>11} {:>11}",
        "what died", "measured", "healed", "p50", "max"
    );
    for Row { fault, times, failures } in rows {
        let (what, measured) = fault.words();
        let mut sorted = times.clone();
        sorted.sort();
        let median =
            sorted.get(sorted.len() / 2).map_or("-".to_owned(), |time| milliseconds(*time));
        let max = sorted.last().map_or("-".to_owned(), |time| milliseconds(*time));
        let healed = format!("{}/{}", times.len(), times.len() + failures.len());
        println!("  {what:<34} {measured:<42} {healed:>6} {median:>11} {max:>11}");
    }
}
