//! The command line.

use crate::Scenario;
use lexopt::prelude::*;
use std::path::PathBuf;

/// What `--help` prints.
pub const USAGE: &str = "\
Measures supervisors of processes side by side.

Usage: supervision --bin DIRECTORY --contenders DIRECTORY [FLAGS]

  --bin DIRECTORY         where `kid`, `floor`, `tasksitter` and `machinesitter` are
  --contenders DIRECTORY  the descriptions of who is measured
  --scenario NAME         restart, rest, rest-logs, rest-1000, memory, log or behaviour; repeatable
                          (default: all)
  --only NAME             only this contender, and the floors; repeatable
  --samples N             kills of each contender in `restart` (default: 120)
  --rounds N              rounds of `log` (default: 3)
  --seconds N             how long `rest` and `memory` look (default: 60)
  --log-megabytes N       what the task of `log` writes (default: 1000)
  --markdown FILE         put the tables into FILE, between <!-- supervision --> and
                          <!-- /supervision -->
  --note TEXT             a condition to print above the tables; repeatable
  -h, --help              this text
";

/// What a run takes where nothing else is said.
pub struct Defaults;

impl Defaults {
    /// Kills of each contender in `restart`.
    pub const SAMPLES: usize = 120;
    /// Rounds of `log`.
    pub const ROUNDS: usize = 3;
    /// How long `rest` and `memory` look.
    pub const SECONDS: u64 = 60;
    /// What the task of `log` writes, in units of 10^6 bytes.
    pub const LOG_MEGABYTES: u64 = 1000;
}

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where `kid`, `floor` and our own binaries are.
    pub bin: PathBuf,
    /// Where the descriptions of the contenders are.
    pub contenders: PathBuf,
    scenarios: Vec<Scenario>,
    /// The contenders to run beside the floors; empty for all.
    pub only: Vec<String>,
    /// Kills of each contender in `restart`.
    pub samples: usize,
    /// Rounds of `log`.
    pub rounds: usize,
    /// How long `rest` and `memory` look, in seconds.
    pub seconds: u64,
    /// What the task of `log` writes, in bytes.
    pub log_bytes: u64,
    /// The file whose tables are to be replaced.
    pub markdown: Option<PathBuf>,
    /// Conditions that the caller knows of.
    pub notes: Vec<String>,
}

impl Options {
    /// Reads the command line; none where only help is asked for.
    pub fn parse(mut parser: lexopt::Parser) -> Result<Option<Self>, lexopt::Error> {
        let (mut bin, mut contenders) = (None, None);
        let mut options = Self {
            bin: PathBuf::new(),
            contenders: PathBuf::new(),
            scenarios: Vec::new(),
            only: Vec::new(),
            samples: Defaults::SAMPLES,
            rounds: Defaults::ROUNDS,
            seconds: Defaults::SECONDS,
            log_bytes: Defaults::LOG_MEGABYTES * 1_000_000,
            markdown: None,
            notes: Vec::new(),
        };
        while let Some(argument) = parser.next()? {
            match argument {
                Long("bin") => bin = Some(PathBuf::from(parser.value()?)),
                Long("contenders") => contenders = Some(PathBuf::from(parser.value()?)),
                Long("scenario") => {
                    options.scenarios.push(parser.value()?.parse_with(Scenario::named)?);
                }
                Long("only") => options.only.push(parser.value()?.string()?),
                Long("samples") => options.samples = parser.value()?.parse::<usize>()?.max(1),
                Long("rounds") => options.rounds = parser.value()?.parse::<usize>()?.max(1),
                Long("seconds") => options.seconds = parser.value()?.parse::<u64>()?.max(1),
                Long("log-megabytes") => {
                    options.log_bytes = parser.value()?.parse::<u64>()?.max(1) * 1_000_000;
                }
                Long("markdown") => options.markdown = Some(parser.value()?.into()),
                Long("note") => options.notes.push(parser.value()?.string()?),
                Short('h') | Long("help") => return Ok(None),
                _ => return Err(argument.unexpected()),
            }
        }
        options.bin = bin.ok_or("--bin is missing")?;
        options.contenders = contenders.ok_or("--contenders is missing")?;
        Ok(Some(options))
    }

    /// The scenarios that are asked for, or all.
    pub fn scenarios(&self) -> Vec<Scenario> {
        if self.scenarios.is_empty() { Scenario::ALL.to_vec() } else { self.scenarios.clone() }
    }
}
