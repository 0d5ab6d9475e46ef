//! The command line.

mod brakes;
mod deployment;
mod explain;
mod machine;
mod reach;

pub use brakes::{Pause, Repair, Resume, Scope, Switch};
pub use deployment::{Deploy, Deployment, Drift, Record, Rollback, Why};
pub use explain::{Explain, Happens, Simulate};
pub use machine::{Machine, Maintain, Name, Zone, ZoneSet};
pub use reach::{Join, Keeper, Login};

use crate::output::Format;
use crate::templates::{Kind, Language};
use cerebro_model::{InstanceId, JobName, RecipeName, SecretName};
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// Keeps jobs running on a fleet of machines.
#[derive(Debug, Parser)]
#[command(name = "cerebro", version)]
pub struct Arguments {
    /// Where the cluster sitter is.
    #[arg(long, env = "CEREBRO_SERVER", default_value = "http://127.0.0.1:30000", global = true)]
    pub server: String,
    /// How answers are written; `json` is one value, or one a line where they keep coming.
    #[arg(short, long, value_enum, default_value = "table", global = true)]
    pub output: Format,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a cluster of local machines, until Ctrl-C.
    Dev(Dev),
    /// Recipes and health checks.
    #[command(subcommand)]
    Recipe(Recipe),
    /// Artifacts: what recipes fetch.
    #[command(subcommand)]
    Artifact(Artifact),
    /// Secrets: what only the jobs that are granted it may know.
    #[command(subcommand)]
    Secret(Secret),
    /// Jobs.
    #[command(subcommand)]
    Job(Job),
    /// Deploy a version of a job, or with --plan show what that would do.
    Deploy(Deploy),
    /// Take a job's newest deployment back: go to what the last one before it that succeeded brought.
    Rollback(Rollback),
    /// Deployments, and what they did.
    #[command(subcommand)]
    Deployment(Deployment),
    /// Machines.
    #[command(subcommand)]
    Machine(Machine),
    /// Log in to a machine, or run a command there, by the real `ssh`: NAME is a machine, a job or a task, or enough
    /// of its name to tell it from all others.
    Login(Login),
    /// Zones: how many machines each keeps, and may have.
    #[command(subcommand)]
    Zone(Zone),
    /// Names: what is published in DNS, and what you should have there beside.
    #[command(subcommand)]
    Name(Name),
    /// Who wrote a path of a machine last, and whether it was changed since.
    Why(Why),
    /// What has changed on a machine since Cerebro wrote it.
    Drift(Drift),
    /// Tasks: the instances of all jobs.
    #[command(subcommand)]
    Task(Task),
    /// Look after the controller's store, on its own host: check, backup, restore, begin, sql; `cerebro store
    /// --help` says how.
    #[command(disable_help_flag = true)]
    Store {
        /// What `clustersitter store` takes, which does the work.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Settings of the controller: check, show, policy, schema; `cerebro settings --help` says how.
    #[command(disable_help_flag = true)]
    Settings {
        /// What `clustersitter settings` takes, which does the work.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Read the log of decisions, on the controller's own host, also while it does not run: list, explain,
    /// replay; `cerebro decisions --help` says how.
    #[command(disable_help_flag = true)]
    Decisions {
        /// What `clustersitter decisions` takes, which does the work.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Why a job or a machine is as it is, and why something was decided.
    #[command(subcommand)]
    Explain(Explain),
    /// What would be hit, for how long, and what would be done, if a machine, a zone or the controller were
    /// lost now. Nothing is changed.
    Simulate(Simulate),
    /// What is not as it should be, and what holds Cerebro back.
    Status,
    /// Have automation stand still: nothing is made, placed, moved, given up or ended, only looked at.
    Pause(Pause),
    /// End a pause before its time.
    Resume(Resume),
    /// Repairs that wait for a person.
    #[command(subcommand)]
    Repair(Repair),
    /// What Cerebro saw and did.
    Events {
        /// Go on with what is to come.
        #[arg(short, long)]
        follow: bool,
    },
}

#[derive(Debug, Args)]
pub struct Dev {
    /// Where everything is kept (default: `cerebro` in the user's data directory).
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:30000")]
    pub listen: String,
    /// A zone and the machines that it keeps: ZONE=MIN or ZONE=MIN..MAX.
    #[arg(long = "zone", default_values = ["aws-us-west-2a=2", "aws-us-east-1b=1"])]
    pub zones: Vec<String>,
    /// What each machine has to give.
    #[arg(long, default_value = "cpus=4,mem=4096")]
    pub machine: String,
    /// The network of the machines: `host`, or (as root) `own`.
    #[arg(long, default_value = "host")]
    pub network: String,
    /// Give machines no isolation, even as root.
    #[arg(long)]
    pub unprivileged: bool,
    /// Give up and replace whatever dies at once, however much it is: for who breaks machines to see what
    /// follows.
    #[arg(long)]
    pub no_repair_limits: bool,
}

#[derive(Debug, Subcommand)]
pub enum Recipe {
    /// Upload a component under a name.
    Push {
        /// The name that jobs use.
        name: RecipeName,
        /// The component, a .wasm file.
        file: PathBuf,
    },
    /// List what was uploaded.
    List,
    /// Write the directory of a new component: source, interfaces, scripts that build and test it.
    New(NewRecipe),
    /// Run a component on this machine, without a cluster; `cerebro recipe run --help` says how.
    #[command(disable_help_flag = true)]
    Run {
        /// What `machinesitter run-component` takes, which does the work.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Save the recording of what a deployment's recipe did for one instance: the same as `cerebro
    /// deployment record`.
    Record(Record),
    /// Run a recorded call of a recipe again, without its machine; `cerebro recipe replay --help`
    /// says how.
    #[command(disable_help_flag = true)]
    Replay {
        /// What `machinesitter replay-component` takes, which does the work.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Show a component: what it is, what it imports and wants, and what of that has no bound.
    Inspect {
        /// Its name in the cluster, or a .wasm file, which nothing needs to be uploaded for.
        component: String,
    },
}

#[derive(Debug, Args)]
pub struct NewRecipe {
    /// Its name, and its directory's, which must be empty if it is there: lower-case letters, digits
    /// and `-`.
    #[arg(value_parser = component_name)]
    pub name: String,
    /// The language to write it in.
    #[arg(long = "lang", value_enum)]
    pub language: Language,
    /// What it is for.
    #[arg(long, value_enum, default_value = "recipe")]
    pub kind: Kind,
}

/// A name that is good for a package of each language.
fn component_name(text: &str) -> Result<String, String> {
    let is_good = text.starts_with(|first: char| first.is_ascii_lowercase())
        && !text.ends_with('-')
        && !text.contains("--")
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    match is_good {
        true => Ok(text.to_owned()),
        false => Err("expected up to 64 lower-case letters, digits and single `-` between them, \
                      beginning with a letter"
            .to_owned()),
    }
}

#[derive(Debug, Subcommand)]
pub enum Artifact {
    /// Upload a file; prints its digest, which a job's options name.
    Push {
        /// The file.
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub enum Secret {
    /// Set a secret from standard input or a file, as it is there; nobody can read it back.
    Set {
        /// The name that recipes and the job's `grants.secrets` use.
        name: SecretName,
        /// The file, instead of standard input.
        #[arg(long)]
        file: Option<PathBuf>,
        /// Without the line breaks at its end, such as `echo` adds one.
        #[arg(long)]
        trim: bool,
    },
    /// List the secrets and the jobs that are granted them; not what they are.
    List,
    /// Remove a secret.
    Remove {
        /// Its name.
        name: SecretName,
    },
}

#[derive(Debug, Subcommand)]
pub enum Job {
    /// Define a job, or change it; what runs changes with its next deployment.
    Apply {
        /// The job file: JSON as the original's, YAML or TOML.
        file: PathBuf,
    },
    /// List the jobs.
    List,
    /// Show a job.
    Describe {
        /// Its name, the `dns_basename`.
        job: JobName,
    },
    /// Delete a job and end its instances.
    Delete {
        /// Its name, the `dns_basename`.
        job: JobName,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum Task {
    /// List the tasks.
    List,
    /// Show a task's log.
    Logs {
        /// Its id: `<number>.<zone>.<job>`.
        id: InstanceId,
        /// Go on with what is to come.
        #[arg(short, long)]
        follow: bool,
        /// Which log: `stdout`, `stderr` or `recipe`.
        #[arg(long, default_value = "stdout")]
        stream: String,
        /// The last so many lines.
        #[arg(long, default_value_t = 100)]
        tail: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_name_is_good_everywhere() {
        assert!(component_name("a").is_ok() && component_name("my-recipe-2").is_ok());
        for bad in ["", "A", "2a", "a_b", "a.b", "a--b", "a-", "../a", "a/b", &"a".repeat(65)] {
            assert!(component_name(bad).is_err(), "{bad}");
        }
    }
}
