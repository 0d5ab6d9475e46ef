//! `cerebro deploy`.

use super::{follow, plan, read};
use crate::arguments::Deploy;
use crate::fault::{ERROR, Fault};
use crate::output::Output;
use cerebro_api::Client;
use cerebro_api::body::DeployRequest;
use cerebro_api::deployment::PlanReport;
use cerebro_model::{Digest, HeldTo, Version};
use std::path::Path;
use std::process::ExitCode;

pub async fn run(client: &Client, output: Output, options: Deploy) -> Result<ExitCode, Fault> {
    let mut recipe_options: cerebro_model::Options = options.options.into_iter().collect();
    if let Some(file) = &options.artifact {
        let artifact = client.post_artifact(read(file)?).await?;
        recipe_options.insert("artifact".to_owned(), artifact.digest.to_string().into());
    }
    let (planned, held) = match &options.apply_plan {
        Some(file) => {
            let (version, plans) = plans(client, file).await?;
            (Some(version), Some(HeldTo { plans, beyond: options.beyond_plan }))
        }
        None => (None, None),
    };
    let no_version = || Fault::new(ERROR, "no version to deploy: give --version");
    let version = options.release.or(planned).ok_or_else(no_version)?;
    let when_busy = options.when_busy.map(Into::into);
    let request = DeployRequest {
        apply_plan: held,
        when_busy,
        ..DeployRequest::new(version, recipe_options)
    };
    if options.plan {
        let report = client.plan(&options.job, &request).await?;
        if let Some(file) = &options.planned.out {
            let text = serde_json::to_vec_pretty(&report)
                .map_err(|error| Fault::new(ERROR, error.to_string()))?;
            std::fs::write(file, text).map_err(|error| {
                Fault::new(ERROR, format!("cannot write {}: {error}", file.display()))
            })?;
        }
        output.or_json(options.planned.json).show(&report, plan::describe)?;
        // A plan that could not be made, or that fails, is an error whether it was asked about or not.
        let code = report.exit_code();
        let told = options.planned.exit_code || code == ERROR;
        return Ok(ExitCode::from(if told { code } else { 0 }));
    }
    let deployment = client.deploy(&options.job, &request).await?;
    if options.follow {
        follow::to_the_end(client, output, &deployment).await?;
    } else {
        output.show(&deployment, |d| {
            let waits = if d.state.is_queued() { ": it waits in the queue" } else { "" };
            format!("{} of {} to {}{waits}", d.id, d.job_name(), d.version)
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Uploads a file of plans; the version that it plans, and its digest.
async fn plans(client: &Client, file: &Path) -> Result<(Version, Digest), Fault> {
    let text = read(file)?;
    let report: PlanReport = serde_json::from_slice(&text).map_err(|error| {
        let file = file.display();
        Fault::new(ERROR, format!("{file} is no plan: {error}"))
            .hint("`cerebro deploy JOB --version VERSION --plan --out FILE` writes one")
    })?;
    let uploaded = client.post_artifact(text).await?;
    Ok((report.deployment.version, uploaded.digest))
}
