//! Measures supervisors of processes side by side: ours, those that people use, and a *floor*, the
//! least that could be done in C. Every figure is told with its ratio to the floor of the same run,
//! for the machine and its other work are never the same twice. `cargo xtask bench supervision`
//! builds what is needed and runs it; `docs/performance.md` says what the tables mean.

mod beacon;
mod bench;
pub mod cgroup;
pub mod clock;
mod contender;
pub mod host;
pub mod markdown;
mod options;
mod proc;
mod run;
mod scenario;
pub mod statistics;
pub mod table;

pub use options::{Defaults, Options, USAGE};
pub use scenario::Scenario;

use anyhow::Result;
use bench::Bench;

/// The name of the tables' place in a document.
const MARK: &str = "supervision";

/// Runs the scenarios that are asked for, prints a table each, and writes them to a Markdown file
/// where that is asked for.
pub fn run(options: &Options) -> Result<()> {
    if let Some(file) = &options.markdown {
        markdown::check(file, MARK)?;
    }
    clock::heed_signals()?;
    host::keep_descriptors();
    host::raise_open_files();
    let bench = Bench::prepare(options)?;
    let conditions = host::conditions(&options.notes);
    conditions.iter().for_each(|line| println!("{line}"));

    let mut tables = Vec::new();
    for scenario in options.scenarios() {
        let table = scenario.run(&bench)?;
        println!("\n{}", table.text());
        tables.push(table);
    }
    match &options.markdown {
        Some(file) => markdown::write(file, MARK, &conditions, &tables),
        None => Ok(()),
    }
}
