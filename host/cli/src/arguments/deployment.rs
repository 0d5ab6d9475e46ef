//! The command line of deployments: making them, taking them back, and asking what they did.

use cerebro_model::{DeploymentId, InstanceId, JobName, MachineId, Version};
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Deploy {
    /// The job.
    pub job: JobName,
    /// What to deploy.
    #[arg(long = "version", value_name = "VERSION")]
    pub release: Version,
    /// Upload this file first, and hand its digest to the recipe as the option `artifact`.
    #[arg(long)]
    pub artifact: Option<PathBuf>,
    /// An option for the recipe, on top of the job's `recipe_options`: JSON, or else text.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    pub options: Vec<(String, serde_json::Value)>,
    /// Show what happens, until it is done; Ctrl-C only stops showing. The exit code says how it
    /// ended: 0 well, 6 failed and no rollback followed, 7 failed and rolled back, 8 failed and rolled back
    /// except for what is listed, 9 failed, and so did its rollback.
    #[arg(short, long, conflicts_with = "plan")]
    pub follow: bool,
    /// Show what it would do on every machine, and do nothing.
    #[arg(long)]
    pub plan: bool,
    #[command(flatten)]
    pub planned: Planned,
}

#[derive(Debug, Args)]
pub struct Planned {
    /// End with 0 if there is nothing to do, 10 if all that would change is certain, 11 if some of it
    /// nobody can know, 12 if a plan is cut.
    #[arg(long, requires = "plan")]
    pub exit_code: bool,
    /// The same as `--output json`.
    #[arg(long, requires = "plan")]
    pub json: bool,
    /// Write the plans to this file too, as JSON.
    #[arg(long, requires = "plan", value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Rollback {
    /// The job.
    pub job: JobName,
    /// Show what happens, until it is done; Ctrl-C only stops showing.
    #[arg(short, long)]
    pub follow: bool,
}

#[derive(Debug, Subcommand)]
pub enum Deployment {
    /// List the deployments, newest first.
    List,
    /// Show what a deployment did, effect by effect.
    Show {
        /// Its id.
        id: DeploymentId,
        /// With how the text of files changed.
        #[arg(long)]
        diff: bool,
    },
    /// Take a job's newest deployment back.
    Rollback {
        /// Its id.
        id: DeploymentId,
        /// Show what happens, until it is done; Ctrl-C only stops showing.
        #[arg(short, long)]
        follow: bool,
    },
    /// Save the recording of what its recipe did for one instance, to run it again elsewhere.
    Record {
        /// The deployment's id.
        id: DeploymentId,
        /// The instance: `<number>.<zone>.<job>`.
        instance: InstanceId,
        /// Where to; what is there already is kept, and the command fails.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

#[derive(Debug, Args)]
pub struct Why {
    /// The machine's id.
    pub machine: MachineId,
    /// The path, as the machine has it.
    pub path: String,
}

#[derive(Debug, Args)]
pub struct Drift {
    /// The machine's id.
    pub machine: MachineId,
}

fn key_value(text: &str) -> Result<(String, serde_json::Value), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    Ok((key.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_json_or_else_text() {
        assert_eq!(key_value("keep=3"), Ok(("keep".to_owned(), 3.into())));
        assert_eq!(key_value("a=b=c"), Ok(("a".to_owned(), "b=c".into())));
        assert!(key_value("a").is_err());
    }
}
