//! What components cost, beside what people use for the same: a health check, beside plugins, with
//! `cargo xtask bench recipes`; a release, beside deployment tools, with `cargo xtask bench release`.
//! Both build what is needed and run this; `docs/performance.md` says what the tables mean.

mod call;
mod cost;
mod release;
mod server;

use anyhow::Result;
use call::Checks;
use cerebro_bench::markdown;
use cerebro_bench::statistics::{maximum, percentile};
use cerebro_bench::table::{Table, figure};
use clap::{Args, Parser};
use server::Server;
use std::path::PathBuf;
use std::time::Duration;

/// What is measured.
#[derive(Debug, Parser)]
enum Bench {
    /// Health checks.
    Checks {
        #[command(flatten)]
        checks: Checked,
        #[command(flatten)]
        output: Output,
    },
    /// A release.
    Release {
        #[command(flatten)]
        release: release::Options,
        #[command(flatten)]
        output: Output,
    },
    /// What stands for an agent in `release`.
    #[command(hide = true)]
    Resident {
        /// The component.
        component: PathBuf,
    },
}

/// Where the tables go.
#[derive(Debug, Args)]
struct Output {
    /// Put the tables into this file, between `<!-- NAME -->` and `<!-- /NAME -->`.
    #[arg(long)]
    markdown: Option<PathBuf>,
}

/// What is measured of checks, and where its parts are.
#[derive(Debug, Args)]
struct Checked {
    /// The directory with `pass.wasm` and `tcp_check.wasm`.
    #[arg(long)]
    components: PathBuf,
    /// A further check that always passes, as `NAME=FILE`: of another language.
    #[arg(long, value_name = "NAME=FILE")]
    check: Vec<String>,
    /// Calls of each component, and runs of each program for every hundred of them.
    #[arg(long, default_value_t = 20_000)]
    calls: usize,
    /// How long a thousand checks each second are kept up, in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

fn main() -> Result<()> {
    match Bench::parse() {
        Bench::Checks { checks, output } => {
            output.write("recipes", || Ok(vec![cost::measure(&checks)?, load(&checks)?]))
        }
        Bench::Release { release, output } => {
            output.write("release", || release::measure(&release))
        }
        Bench::Resident { component } => release::resident::run(&component),
    }
}

impl Output {
    fn write(&self, mark: &str, measure: impl FnOnce() -> Result<Vec<Table>>) -> Result<()> {
        if let Some(file) = &self.markdown {
            markdown::check(file, mark)?;
        }
        let conditions = [conditions()];
        let tables = measure()?;
        println!("{}\n", conditions[0]);
        tables.iter().for_each(|table| println!("{}", table.text()));
        match &self.markdown {
            Some(file) => markdown::write(file, mark, &conditions, &tables),
            None => Ok(()),
        }
    }
}

fn conditions() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<&str> = load.split(' ').take(3).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    format!(
        "Linux {}, {cores} processors, load before the run {}, profile {profile}",
        kernel.trim(),
        load.join(" ")
    )
}

/// A thousand checks each second.
fn load(options: &Checked) -> Result<Table> {
    const EACH_SECOND: u32 = 1000;
    let mut table = Table::new(
        "A thousand checks each second",
        format!(
            "Evenly spread over {} s, on an engine with as many threads as cores. CPU of the whole \
             process in percent of one core; late: how long after its time a check began, in ms.",
            options.seconds
        ),
        &["contender", "checks", "CPU %", "late p99", "late max"],
    );
    for (name, file) in [("always passes", "pass.wasm"), ("TCP", "tcp_check.wasm")] {
        eprintln!("  {name}, {EACH_SECOND} a second");
        let server = Server::start()?;
        let (file, duration) =
            (options.components.join(file), Duration::from_secs(options.seconds));
        let (late, cpu) = Checks::open()?.keep_up(&file, server.port(), EACH_SECOND, duration)?;
        let cells = vec![
            late.len().to_string(),
            figure(Some(cpu / duration.as_secs_f64() * 100.0), 1),
            figure(percentile(&late, 0.99), 2),
            figure(maximum(&late), 2),
        ];
        table.row(name, cells);
    }
    Ok(table)
}
