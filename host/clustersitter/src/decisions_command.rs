//! `cerebro decisions`: the log of decisions, read from beside, on the controller's own host, also while no
//! controller runs.

use crate::cluster::explained;
use crate::decisions::{DECISIONS, LogError, Wanted, read, replay};
use cerebro_model::{DecisionId, JobName, MachineId};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What to do with the log.
#[derive(Debug, Subcommand)]
pub enum DecisionsCommand {
    /// List what was decided, the newest first.
    List {
        /// Which log.
        #[command(flatten)]
        data: Data,
        /// About this machine.
        #[arg(long)]
        machine: Option<MachineId>,
        /// About this job.
        #[arg(long)]
        job: Option<JobName>,
        /// At most so many looks.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Explain one decision, and plan it again.
    Explain {
        /// Which log.
        #[command(flatten)]
        data: Data,
        /// Its id.
        id: DecisionId,
    },
    /// Plan all of them again: how many come to the same. Fails if one does not.
    Replay {
        /// Which log.
        #[command(flatten)]
        data: Data,
    },
}

/// Which log.
#[derive(Debug, Args)]
pub struct Data {
    /// The directory that the cluster sitter has as `--data`.
    #[arg(long = "data", default_value = "cerebro-data")]
    directory: PathBuf,
}

impl Data {
    fn log(&self) -> PathBuf {
        self.directory.join(DECISIONS)
    }
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum DecisionsCommandError {
    /// The log says why.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Not all come to the same.
    #[error("{others} of {all} decisions do not come to the same again")]
    Differs {
        /// How many.
        others: usize,
        /// Of how many.
        all: usize,
    },
}

/// Carries it out; what it has to say goes to standard output.
pub fn run(command: DecisionsCommand) -> Result<(), DecisionsCommandError> {
    match command {
        DecisionsCommand::List { data, machine, job, limit } => {
            for summary in read::list(&data.log(), &Wanted { machine, job }, limit)? {
                println!("{}", summary.words());
            }
        }
        DecisionsCommand::Explain { data, id } => {
            println!("{}", explained(&read::find(&data.log(), &id)?).words());
        }
        DecisionsCommand::Replay { data } => {
            let outcome = replay::all(&data.log())?;
            for (id, replay) in &outcome.others {
                println!("{id}  {}", replay.words());
            }
            for (segment, why) in &outcome.torn {
                println!("{segment} ends before its end: {why}");
            }
            println!("{} decisions come to the same again", outcome.same);
            let others = outcome.others.len();
            if others > 0 {
                return Err(DecisionsCommandError::Differs { others, all: outcome.same + others });
            }
        }
    }
    Ok(())
}
