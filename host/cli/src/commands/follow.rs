//! Following a deployment to its end, and that of its rollback, and telling how both went.

use super::events;
use super::rollback::{left, words_of_left};
use crate::fault::{ERROR, Fault, ROLLBACK_FAILED, ROLLED_BACK, ROLLED_BACK_EXCEPT, UNHEALTHY};
use crate::output::Output;
use crate::style::lines;
use cerebro_api::{Client, ClientError};
use cerebro_model::{Deployment, DeploymentId, DeploymentState, OnFailure};
use futures::StreamExt;
use std::time::Duration;

/// How often a controller that does not answer is asked again, each half a second.
const TRIES: u32 = 60;
const BETWEEN: Duration = Duration::from_millis(500);

/// Shows what happens until the deployment has ended, and if it failed its rollback too. One that
/// failed is a fault, whatever became of its rollback.
pub async fn to_the_end(
    client: &Client,
    output: Output,
    deployment: &Deployment,
) -> Result<(), Fault> {
    let Some(ended) = followed(client, output, deployment).await? else {
        anstream::eprintln!("{} goes on; `cerebro events -f` shows it", deployment.id);
        return Ok(());
    };
    let (id, job) = (&ended.id, ended.job_name());
    match &ended.state {
        DeploymentState::Failed { reason, .. } => {
            let failed = format!("{id} failed: {}", lines(reason));
            Err(match &ended.rolls_back {
                Some(undone) => Fault::new(
                    ROLLBACK_FAILED,
                    format!("{failed}\n{undone} is not taken back, or not everywhere"),
                )
                .hint(format!("`cerebro deployment show {undone}` shows what is left of it")),
                None => with_rollback(client, output, &ended, &failed).await?,
            })
        }
        DeploymentState::Superseded { by } => {
            Err(Fault::new(ERROR, format!("{id} was superseded by {by}")))
        }
        DeploymentState::Cancelled { .. } => {
            Err(Fault::new(ERROR, format!("{id} was taken out of the queue")))
        }
        DeploymentState::Succeeded { .. } | DeploymentState::Running | DeploymentState::Queued => {
            match &ended.rolls_back {
                Some(undone) => {
                    let left = left(client, undone).await?;
                    if left.is_empty() {
                        let version = &ended.version;
                        anstream::eprintln!(
                            "{id} rolled {undone} back: {job} is at {version} again"
                        );
                        return Ok(());
                    }
                    let message =
                        format!("{id} rolled {undone} back except:{}", words_of_left(&left));
                    Err(Fault::new(ROLLED_BACK_EXCEPT, message))
                }
                None => Ok(()),
            }
        }
    }
}

/// What to say of a deployment that failed: how its rollback went, if it has one.
async fn with_rollback(
    client: &Client,
    output: Output,
    failed: &Deployment,
    words: &str,
) -> Result<Fault, Fault> {
    let (id, job) = (&failed.id, failed.job_name());
    let Some(rollback) = rollback_of(client, id).await? else {
        let why = match failed.job.rollout.on_failure {
            OnFailure::Keep => "its job wants none (`rollout.on_failure`)",
            OnFailure::RollBack => "no deployment of its job succeeded before it",
        };
        return Ok(Fault::new(UNHEALTHY, format!("{words}\nno rollback follows: {why}"))
            .hint(format!("`cerebro deployment show {id}` shows what it did")));
    };
    let by = &rollback.id;
    let show = format!("`cerebro deployment show {id}` shows what it did and what was undone");
    let fault = |code, ending: String| Fault::new(code, format!("{words}\n{ending}")).hint(&show);
    let Some(ended) = followed(client, output, &rollback).await? else {
        return Ok(fault(ROLLBACK_FAILED, format!("its rollback {by} goes on")));
    };
    if let DeploymentState::Failed { reason, .. } = &ended.state {
        let words = format!("its rollback {by} failed too: {}", lines(reason));
        return Ok(fault(ROLLBACK_FAILED, words));
    }
    if !ended.state.has_succeeded() {
        let word = ended.state.word();
        return Ok(fault(ROLLBACK_FAILED, format!("its rollback {by} was {word} before its end")));
    }
    let left = left(client, id).await?;
    let version = &ended.version;
    Ok(match left.is_empty() {
        true => fault(ROLLED_BACK, format!("{by} rolled it back: {job} is at {version} again")),
        false => fault(
            ROLLED_BACK_EXCEPT,
            format!(
                "{by} rolled it back, so that {job} is at {version} again, except:{}",
                words_of_left(&left)
            ),
        ),
    })
}

/// The rollback of a deployment, if there is one: it begins in the commit in which that one fails.
async fn rollback_of(client: &Client, id: &DeploymentId) -> Result<Option<Deployment>, Fault> {
    let all = patiently(|| client.deployments()).await?;
    Ok(all.into_iter().find(|it| it.rolls_back.as_ref() == Some(id)))
}

/// The deployment when it has ended; none if whoever looked on has had enough.
async fn followed(
    client: &Client,
    output: Output,
    deployment: &Deployment,
) -> Result<Option<Deployment>, Fault> {
    tokio::select! {
        ended = follow(client, output, deployment) => ended.map(Some),
        _ = tokio::signal::ctrl_c() => Ok(None),
    }
}

/// Shows events until the deployment has ended, also over a restart of the controller.
async fn follow(
    client: &Client,
    output: Output,
    deployment: &Deployment,
) -> Result<Deployment, Fault> {
    let mut last = 0;
    loop {
        if let Ok(mut stream) = client.follow_deployment(&deployment.id, last).await {
            while let Some(Ok(event)) = stream.next().await {
                last = event.seq;
                output.show_next(&event, events::words)?;
            }
        }
        let now = patiently(|| client.deployment(&deployment.id)).await?;
        if now.state.has_ended() {
            return Ok(now);
        }
        tokio::time::sleep(BETWEEN).await;
    }
}

/// Asks until there is an answer, or a refusal.
async fn patiently<T, F: Future<Output = Result<T, ClientError>>>(
    ask: impl Fn() -> F,
) -> Result<T, Fault> {
    let mut failures = 0;
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => {
                failures += 1;
                if failures > TRIES || error.status().is_some() {
                    return Err(error.into());
                }
            }
        }
        tokio::time::sleep(BETWEEN).await;
    }
}
