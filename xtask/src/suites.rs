//! The test suites.

use crate::shell::run_in;
use crate::{build, conformance, fuzz, packages, rules, shell, wit};
use anyhow::Result;

/// A suite of tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Suite {
    /// Formatting of every workspace.
    Fmt,
    /// Lints of every workspace.
    Clippy,
    /// Who may depend on what, and that released interfaces stay.
    Rules,
    /// Every crate's own tests.
    Unit,
    /// Components and inputs that mean harm, and what the engine makes of them.
    Hostile,
    /// What a recipe did is taken back, wherever it ended: every effect and every record in turn.
    Rollback,
    /// A hundred failures are run again elsewhere.
    Replay,
    /// What comes from outside, mutated for a minute each.
    Fuzz,
    /// The guests' own tests, run on the host.
    Guests,
    /// The examples in each language, held to one specification.
    Conformance,
    /// A whole cluster.
    E2e,
}

const ALL: [Suite; 11] = [
    Suite::Fmt,
    Suite::Rules,
    Suite::Clippy,
    Suite::Unit,
    Suite::Hostile,
    Suite::Rollback,
    Suite::Replay,
    Suite::Fuzz,
    Suite::Guests,
    Suite::Conformance,
    Suite::E2e,
];

/// Debian's packages that some tests use: (package, a file that it brings).
const PACKAGES: [(&str, &str); 4] = [
    ("redis-server", "/usr/bin/redis-server"),
    ("iproute2", "/usr/sbin/ip"),
    ("monitoring-plugins-basic", "/usr/lib/nagios/plugins/check_dummy"),
    ("postgresql", "/usr/lib/postgresql"),
];

/// Runs the suites that are named, or all of them; of `conformance`, the languages that are named.
pub fn run(named: &[Suite], languages: &[String]) -> Result<()> {
    if named == [Suite::Conformance] {
        // It needs nothing of the rest.
        return conformance::run(languages);
    }
    if named == [Suite::Fuzz] {
        return fuzz::all();
    }
    // Tests that need what cannot be installed fail, and say so.
    packages::install(&PACKAGES, "some tests")?;
    build::everything()?;
    for suite in if named.is_empty() { &ALL } else { named } {
        match suite {
            Suite::Fmt => {
                shell::run("cargo", &["fmt", "--all", "--check"])?;
                run_in("recipes-wasm", "cargo", &["fmt", "--all", "--check"])?;
                run_in("fuzz", "cargo", &["fmt", "--check"])?;
            }
            Suite::Rules => {
                rules::check()?;
                wit::check()?;
            }
            Suite::Clippy => {
                shell::run(
                    "cargo",
                    &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
                )?;
                let guests =
                    ["clippy", "--release", "--target", "wasm32-wasip2", "--", "-D", "warnings"];
                run_in("recipes-wasm", "cargo", &guests)?;
            }
            Suite::Unit => {
                let others = ["--exclude", "cerebro-tests", "--exclude", "cerebro-conformance"];
                shell::run("cargo", &[&["test", "--workspace"][..], &others].concat())?
            }
            Suite::Fuzz => fuzz::all()?,
            Suite::Hostile => {
                let test = ["test", "-p", "cerebro-recipe-engine", "--test", "hostile"];
                shell::run("cargo", &[&test[..], &["--", "--nocapture"]].concat())?
            }
            // What is planned and taken back, and what kills those who do it.
            Suite::Rollback => journal(&["rollback::", "killed::", "plan::"])?,
            Suite::Replay => journal(&["replay::"])?,
            Suite::Guests => run_in("recipes-wasm", "cargo", &["test", "--workspace"])?,
            Suite::Conformance => conformance::run(languages)?,
            // One cluster at a time: each is a few machines, and measures nothing but itself.
            Suite::E2e => {
                shell::run("cargo", &["test", "-p", "cerebro-tests", "--", "--test-threads=1"])?
            }
        }
    }
    Ok(())
}

/// The engine's tests of journals whose names begin so.
fn journal(names: &[&str]) -> Result<()> {
    let test = ["test", "-p", "cerebro-recipe-engine", "--test", "journal", "--"];
    shell::run("cargo", &[&test[..], names].concat())
}
