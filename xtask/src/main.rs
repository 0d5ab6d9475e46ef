//! Automation of this repository. `cargo xtask demo` and `cargo xtask test` are all that a
//! newcomer needs.

mod aws;
mod bad_release;
mod bench;
mod bench_checks;
mod bench_heal;
mod build;
mod conformance;
mod demo;
mod drill;
mod fuzz;
mod packages;
mod rules;
mod shell;
mod simulate;
mod suites;
mod toolchains;
mod wit;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure, and compare.
    Bench {
        /// What.
        #[command(subcommand)]
        what: bench::Bench,
    },
    /// Build everything into target/cerebro: binaries in bin/, components in components/.
    Build,
    /// Make the documents that are made from sources.
    Docs,
    /// Start a cluster on this machine, deploy the example to it, and show what happens.
    Demo(demo::Options),
    /// Run a whole cluster under simulated time, with faults, by seeds.
    Simulate(simulate::Options),
    /// Install what tests need, build, and run every suite, or those that are named.
    Test {
        /// Which suites.
        #[arg(value_enum)]
        suites: Vec<suites::Suite>,
        /// Only these languages in the suite `conformance`: rust, js, python, c, go.
        #[arg(long = "lang", value_name = "LANGUAGE")]
        languages: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all went well.
fn run(command: Command) -> Result<bool> {
    match command {
        Command::Bench { what } => bench::run_bench(what).map(|()| true),
        Command::Build => build::everything().map(|()| true),
        Command::Docs => wit::write_reference().map(|()| true),
        Command::Demo(options) => {
            build::everything()?;
            tokio::runtime::Runtime::new()?.block_on(demo::run(options))
        }
        Command::Simulate(options) => simulate::simulate(&options).map(|()| true),
        Command::Test { suites, languages } => suites::run(&suites, &languages).map(|()| true),
    }
}
