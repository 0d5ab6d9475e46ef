//! `cerebro deploy`.

use super::{follow, plan, read};
use crate::arguments::Deploy;
use crate::fault::{ERROR, Fault};
use crate::output::Output;
use cerebro_api::Client;
use cerebro_api::body::DeployRequest;
use std::process::ExitCode;

pub async fn run(client: &Client, output: Output, options: Deploy) -> Result<ExitCode, Fault> {
    let mut recipe_options: cerebro_model::Options = options.options.into_iter().collect();
    if let Some(file) = &options.artifact {
        let artifact = client.post_artifact(read(file)?).await?;
        recipe_options.insert("artifact".to_owned(), artifact.digest.to_string().into());
    }
    let request = DeployRequest { version: options.release, options: recipe_options };
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
        output.show(&deployment, |d| format!("{} of {} to {}", d.id, d.job_name(), d.version))?;
    }
    Ok(ExitCode::SUCCESS)
}
