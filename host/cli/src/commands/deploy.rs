//! `cerebro deploy`.

use super::{events, read};
use crate::arguments::Deploy;
use crate::fault::{ERROR, Fault, UNHEALTHY};
use crate::output::Output;
use cerebro_api::Client;
use cerebro_api::body::DeployRequest;
use cerebro_model::{Deployment, DeploymentState};
use futures::StreamExt;
use std::time::Duration;

pub async fn run(client: &Client, output: Output, options: Deploy) -> Result<(), Fault> {
    let mut recipe_options: cerebro_model::Options = options.options.into_iter().collect();
    if let Some(file) = &options.artifact {
        let artifact = client.post_artifact(read(file)?).await?;
        recipe_options.insert("artifact".to_owned(), artifact.digest.to_string().into());
    }
    let request = DeployRequest { version: options.release, options: recipe_options };
    let deployment = client.deploy(&options.job, &request).await?;
    if !options.follow {
        return output
            .show(&deployment, |d| format!("{} of {} to {}", d.id, d.job_name(), d.version));
    }
    tokio::select! {
        ended = follow(client, output, &deployment) => outcome(&ended?),
        _ = tokio::signal::ctrl_c() => {
            anstream::eprintln!("{} goes on; `cerebro events -f` shows it", deployment.id);
            Ok(())
        }
    }
}

/// Shows events until the deployment has ended, also over a restart of the controller.
async fn follow(
    client: &Client,
    output: Output,
    deployment: &Deployment,
) -> Result<Deployment, Fault> {
    let mut last = 0;
    let mut failures = 0;
    loop {
        if let Ok(mut stream) = client.follow_deployment(&deployment.id, last).await {
            while let Some(Ok(event)) = stream.next().await {
                last = event.seq;
                failures = 0;
                output.show_next(&event, events::words)?;
            }
        }
        match client.deployment(&deployment.id).await {
            Ok(now) if !now.state.is_running() => return Ok(now),
            Ok(_) => {}
            Err(error) => {
                failures += 1;
                if failures > 60 || error.status().is_some() {
                    return Err(error.into());
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn outcome(deployment: &Deployment) -> Result<(), Fault> {
    let id = &deployment.id;
    match &deployment.state {
        DeploymentState::Succeeded { .. } => Ok(()),
        DeploymentState::Failed { reason, .. } => {
            Err(Fault::new(UNHEALTHY, format!("{id} failed: {reason}"))
                .hint(format!("`cerebro job describe {}` shows what runs", deployment.job_name())))
        }
        DeploymentState::Superseded { by } => {
            Err(Fault::new(ERROR, format!("{id} was superseded by {by}")))
        }
        DeploymentState::Running => Ok(()),
    }
}
