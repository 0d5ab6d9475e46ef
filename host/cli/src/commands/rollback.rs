//! `cerebro rollback`, and what a rollback leaves.

use super::follow;
use crate::fault::{CONFLICT, Fault};
use crate::output::Output;
use crate::style::printable;
use cerebro_api::Client;
use cerebro_api::call::{CallReport, CallState, Wanted};
use cerebro_model::{DeploymentId, JobName};

/// Takes a job's newest deployment back.
pub async fn of_job(
    client: &Client,
    output: Output,
    job: &JobName,
    follow: bool,
) -> Result<(), Fault> {
    let view = client.job(job).await?;
    let newest = view.deployment.ok_or_else(|| {
        Fault::new(CONFLICT, format!("{job} was never deployed: there is nothing to take back"))
    })?;
    of_deployment(client, output, &newest.id, follow).await
}

/// Takes a deployment back.
pub async fn of_deployment(
    client: &Client,
    output: Output,
    id: &DeploymentId,
    follow: bool,
) -> Result<(), Fault> {
    let rollback = client.roll_back(id).await?;
    if follow {
        return follow::to_the_end(client, output, &rollback).await;
    }
    output.show(&rollback, |it| {
        format!("{} of {}: back to {}, rolls {id} back", it.id, it.job_name(), it.version)
    })
}

/// What of a deployment that was rolled back is still there, or may be: a line for each.
pub async fn left(client: &Client, undone: &DeploymentId) -> Result<Vec<String>, Fault> {
    let told = client.deployment_calls(undone, Wanted::default()).await?;
    let silent = told.silent.iter().map(|it| {
        format!("{}: what is left there is not known: {}", it.instance, printable(&it.why))
    });
    Ok(told.calls.iter().flat_map(left_of_call).chain(silent).collect())
}

fn left_of_call(call: &CallReport) -> Vec<String> {
    let instance = &call.instance;
    let mut left = Vec::new();
    if let Some(why) = &call.torn {
        let why = printable(why);
        left.push(format!("{instance}: its journal is not whole ({why}): more may be left"));
    }
    if call.state != CallState::RolledBack {
        let done = call.effects.iter().filter(|effect| !effect.undone).count();
        if done > 0 {
            left.push(format!(
                "{instance}: what was done there was not taken back ({done} effects)"
            ));
        }
        return left;
    }
    let kept = call.effects.iter().filter_map(|effect| Some((effect, effect.kept.as_ref()?)));
    left.extend(kept.map(|(effect, kept)| {
        let (action, why) = (effect.effect.action.to_string(), kept.to_string());
        format!("{instance}: #{} {} ({})", effect.n, printable(&action), printable(&why))
    }));
    left
}

/// The same, below a sentence.
pub fn words_of_left(left: &[String]) -> String {
    left.iter().map(|line| format!("\n  {line}")).collect()
}
