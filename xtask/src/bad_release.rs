//! A release that does not run: planned, deployed to every machine at once, caught by its health check,
//! taken back on all of them, explained, and its recipe run again from its recording. All by the commands
//! that a user has.

use anyhow::{Context, Result, ensure};
use cerebro_api::body::TaskView;
use cerebro_model::{Deployment, Event, EventKind, Job, JobName, Rollout};
use cerebro_tests::processes::is_running;
use cerebro_tests::{Cluster, built};
use std::time::Duration;

/// Lines that are shown of what a command prints.
const SHOWN: usize = 16;
/// `cerebro deploy --follow` ended with this: it failed, and all of it was rolled back.
const ROLLED_BACK: i32 = 7;

/// Deploys it everywhere at once, as nobody should; answers how long it took from when it was caught
/// until all was as before.
pub async fn deploy(
    cluster: &Cluster,
    job: &JobName,
    round: usize,
    tasks: &[TaskView],
) -> Result<Duration> {
    let careful = cluster.client.job(job).await?;
    let batch = tasks.len().try_into().context("too many instances")?;
    let rollout = Rollout { batch, ..careful.record.job.rollout.clone() };
    let careless = Job { rollout, ..careful.record.job.clone() };
    let careless = cluster.client.put_job(&careless, Some(careful.record.revision)).await?;
    let took = deploy_everywhere(cluster, job, round, tasks).await;
    cluster.client.put_job(&careful.record.job, Some(careless.record.revision)).await?;
    took
}

async fn deploy_everywhere(
    cluster: &Cluster,
    job: &JobName,
    round: usize,
    tasks: &[TaskView],
) -> Result<Duration> {
    let before = Before::of(cluster, tasks)?;
    let (name, version) = (job.as_str(), format!("3.{round}"));
    let artifact = path(&built()?.join("artifacts/portal-bad.tar.gz"))?;
    let file = |name: &str| path(&cluster.data().join(name));
    let (plan, recording) = (file("plan.json")?, file(&format!("{version}.recording"))?);

    let deploy = ["deploy", name, "--version", &version, "--artifact", &artifact];
    let planned = cluster.cerebro(&[&deploy[..], &["--plan", "--out", &plan]].concat())?;
    show(&format!("cerebro {} --plan --out plan.json", deploy[..4].join(" ")), &planned);
    // Machines differ by what the night has done to them; those that it spared do not.
    for part in [" identical: ", "# No database listens here"] {
        ensure!(planned.contains(part), "the plan lacks `{part}`: {planned}");
    }

    let seen = cluster.last_event().await?;
    let apply = ["deploy", name, "--apply-plan", &plan, "--follow"];
    let output = cluster.try_cerebro(&apply)?;
    let words = String::from_utf8_lossy(&output.stderr);
    show(&format!("cerebro deploy {name} --apply-plan plan.json --follow"), &words);
    let code = output.status.code();
    ensure!(code == Some(ROLLED_BACK), "it ended with {}: {words}", output.status);
    for part in ["crashes on", "rolled it back"] {
        ensure!(words.contains(part), "`{part}` is missing: {words}");
    }
    let (bad, took) = caught(cluster, job, seen).await?;
    before.is_now(cluster, job, &bad).await?;

    let id = bad.id.as_str();
    let explained = cluster.cerebro(&["deployment", "show", id])?;
    show(&format!("cerebro deployment show {id}"), &explained);
    let told = cluster.client.deployment_calls(&bad.id, Default::default()).await?;
    let count = told.calls.len();
    ensure!(count == tasks.len(), "it came to {count} instances of {}", tasks.len());
    for call in &told.calls {
        let undone = call.effects.iter().all(|effect| effect.undone);
        ensure!(undone && !call.effects.is_empty(), "not all of it was taken back: {explained}");
    }

    let call = told.calls.first().context("it came to no instance")?;
    let instance = call.instance.as_str();
    cluster.cerebro(&["deployment", "record", id, instance, "--out", &recording])?;
    let component = path(&built()?.join("components/release.wasm"))?;
    let replayed = cluster.cerebro(&["recipe", "replay", "--quiet", &recording, &component])?;
    show(&format!("cerebro recipe replay --quiet {version}.recording release.wasm"), &replayed);
    ensure!(replayed.contains("now:  the same"), "{replayed}");
    Ok(took)
}

/// What every instance answered, and by which process.
struct Before(Vec<(TaskView, String, i32)>);

impl Before {
    fn of(cluster: &Cluster, tasks: &[TaskView]) -> Result<Self> {
        let one = |task: &TaskView| Ok((task.clone(), cluster.ask(task)?, cluster.task_pid(task)?));
        Ok(Self(tasks.iter().map(one).collect::<Result<_>>()?))
    }

    /// Every instance answers as before, by another process.
    async fn is_now(&self, cluster: &Cluster, job: &JobName, bad: &Deployment) -> Result<()> {
        let now = cluster.healthy(job, self.0.len()).await?;
        let mut started = 0;
        for (task, answer, pid) in &self.0 {
            let id = &task.instance.id;
            let found = now.iter().find(|found| found.instance.id == *id);
            let found = found.with_context(|| format!("{id} is gone"))?;
            let said = cluster.ask(found)?;
            ensure!(said == *answer, "{id} says after {}: {said}", bad.id);
            started += usize::from(!is_running(*pid) || cluster.task_pid(found)? != *pid);
        }
        let all = self.0.len();
        ensure!(started == all, "{started} instances were started again, where {all} were tried");
        Ok(())
    }
}

/// The deployment that failed after event `seen`, and how long its rollback took.
async fn caught(cluster: &Cluster, job: &JobName, seen: u64) -> Result<(Deployment, Duration)> {
    let events = cluster.events_after(seen).await?;
    let at = |kind: EventKind| -> Result<&Event> {
        let is_it = |event: &&Event| event.kind == kind && event.subject.job.as_ref() == Some(job);
        events.iter().find(is_it).with_context(|| format!("there is no event {kind}"))
    };
    let (failed, back) = (at(EventKind::DeploymentFailed)?, at(EventKind::DeploymentSucceeded)?);
    let id = failed.subject.deployment.as_ref().context("of no deployment")?;
    Ok((cluster.client.deployment(id).await?, back.at.since(failed.at)))
}

fn path(path: &std::path::Path) -> Result<String> {
    Ok(path.to_str().with_context(|| format!("{} is no text", path.display()))?.to_owned())
}

/// A command and the beginning of what it printed.
fn show(command: &str, printed: &str) {
    println!("  $ {command}");
    for line in printed.lines().take(SHOWN) {
        println!("    {line}");
    }
    let more = printed.lines().count().saturating_sub(SHOWN);
    if more > 0 {
        println!("    ... and {more} lines more");
    }
}
