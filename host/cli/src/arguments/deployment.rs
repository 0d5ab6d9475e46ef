//! The command line of deployments: making them, taking them back, and asking what they did.

use cerebro_model::{DeploymentId, InstanceId, JobName, MachineId, Seconds, Version, WhenBusy};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Deploy {
    /// The job.
    pub job: JobName,
    /// What to deploy.
    #[arg(long = "version", value_name = "VERSION", required_unless_present = "apply_plan")]
    pub release: Option<Version>,
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
    /// Deploy what this file plans, which `--plan --out` wrote, and nothing else: every machine stops
    /// before the first effect that is not as planned, and the deployment fails. Version, artifact and
    /// options are those of the plan; where they are given too, they must be the same.
    #[arg(long, value_name = "FILE", conflicts_with = "plan")]
    pub apply_plan: Option<PathBuf>,
    /// Go on where the plan is cut, and on instances that it does not have.
    #[arg(long, requires = "apply_plan")]
    pub beyond_plan: bool,
    /// What to do while another deployment of the job is on its way, if not what the job's
    /// `rollout.when_busy` says.
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with = "plan")]
    pub when_busy: Option<Busy>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Busy {
    /// Take the place of the other one, and of all that wait in the queue.
    Replace,
    /// Wait until the other one has ended, and its rollback if one follows.
    Queue,
    /// Do not deploy.
    Refuse,
}

impl From<Busy> for WhenBusy {
    fn from(busy: Busy) -> Self {
        match busy {
            Busy::Replace => Self::Replace,
            Busy::Queue => Self::Queue,
            Busy::Refuse => Self::Refuse,
        }
    }
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
        /// With from where in the component each effect came: its functions, by name if it has names.
        #[arg(long)]
        sites: bool,
    },
    /// Take a job's newest deployment back.
    Rollback {
        /// Its id.
        id: DeploymentId,
        /// Show what happens, until it is done; Ctrl-C only stops showing.
        #[arg(short, long)]
        follow: bool,
    },
    /// Hold a deployment: what it has not reached stays as it is, and its deadlines do not run.
    Pause {
        /// Its id.
        id: DeploymentId,
        /// Why, for those who find it paused.
        #[arg(long)]
        reason: String,
        /// Let it go on by itself after so many seconds.
        #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
        lasts: Option<Seconds>,
    },
    /// Let a paused deployment go on.
    Resume {
        /// Its id.
        id: DeploymentId,
    },
    /// Let a deployment go on from its canary to the other instances.
    Promote {
        /// Its id.
        id: DeploymentId,
    },
    /// Take a deployment out of the queue.
    Cancel {
        /// Its id.
        id: DeploymentId,
    },
    /// Save the recording of what its recipe did for one instance, to run it again elsewhere.
    Record(Record),
}

#[derive(Debug, Args)]
pub struct Record {
    /// The deployment's id.
    pub id: DeploymentId,
    /// The instance: `<number>.<zone>.<job>`.
    pub instance: InstanceId,
    /// Where to, sealed, with its key in `FILE.key`; what is there already is kept, and the command
    /// fails.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// For how many days it can be opened.
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub expires: u32,
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

fn seconds(text: &str) -> Result<Seconds, String> {
    let number: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    Seconds::try_from(number).map_err(|error| error.to_string())
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
