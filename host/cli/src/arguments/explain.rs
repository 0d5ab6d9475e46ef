//! Why, and what if.

use super::brakes::span;
use cerebro_model::{DecisionId, JobName, MachineId};
use clap::{Args, Subcommand, ValueEnum};
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub enum Explain {
    /// Explain how a job stands: what should be, what is, what stands in the way, what comes next.
    Job {
        /// Its name, the `dns_basename`.
        job: JobName,
    },
    /// Explain how a machine stands.
    Machine {
        /// Its id.
        id: MachineId,
    },
    /// Explain a decision: what it rests on, and whether it is the same when it is planned again.
    Decision {
        /// Its id, as events show it, such as `3-41`.
        id: DecisionId,
    },
    /// List what was decided last.
    Decisions {
        /// About a machine.
        #[arg(long)]
        machine: Option<MachineId>,
        /// About a job.
        #[arg(long)]
        job: Option<JobName>,
        /// At most so many looks.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
}

#[derive(Debug, Args)]
pub struct Simulate {
    /// What happens.
    #[arg(long, value_enum)]
    pub what_if: Happens,
    /// The machine that is lost, or the zone.
    pub what: Option<String>,
    /// How long no controller is there, such as 10m, with `--what-if controller-lost`.
    #[arg(long = "for", value_name = "SPAN", default_value = "10m", value_parser = span)]
    pub span: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(clippy::enum_variant_names, reason = "they are written so on the command line")]
pub enum Happens {
    /// A machine dies.
    MachineLost,
    /// Every machine of a zone dies.
    ZoneLost,
    /// The controller is gone, and another one comes after a time.
    ControllerLost,
}

impl Simulate {
    /// The name of what happens to, as a machine or a zone has it.
    pub fn named<T: std::str::FromStr>(&self, sort: &str) -> Result<T, String>
    where
        T::Err: std::fmt::Display,
    {
        let text = self.what.as_deref().ok_or_else(|| format!("name the {sort} that is lost"))?;
        text.parse().map_err(|error: T::Err| error.to_string())
    }
}
