//! The test suites.

use crate::shell::run_in;
use crate::{build, packages, rules, shell};
use anyhow::Result;

/// A suite of tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Suite {
    /// Formatting of every workspace.
    Fmt,
    /// Lints of every workspace.
    Clippy,
    /// Who may depend on what.
    Rules,
    /// Every crate's own tests.
    Unit,
    /// The guests' own tests, run on the host.
    Guests,
    /// A whole cluster.
    E2e,
}

const ALL: [Suite; 6] =
    [Suite::Fmt, Suite::Rules, Suite::Clippy, Suite::Unit, Suite::Guests, Suite::E2e];

/// Debian's packages that some tests use: (package, a file that it brings).
const PACKAGES: [(&str, &str); 2] =
    [("redis-server", "/usr/bin/redis-server"), ("iproute2", "/usr/sbin/ip")];

/// Runs the suites that are named, or all of them.
pub fn run(named: &[Suite]) -> Result<()> {
    // Tests that need what cannot be installed fail, and say so.
    packages::install(&PACKAGES, "some tests")?;
    build::everything()?;
    for suite in if named.is_empty() { &ALL } else { named } {
        match suite {
            Suite::Fmt => {
                shell::run("cargo", &["fmt", "--all", "--check"])?;
                run_in("recipes-wasm", "cargo", &["fmt", "--all", "--check"])?;
            }
            Suite::Rules => rules::check()?,
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
                shell::run("cargo", &["test", "--workspace", "--exclude", "cerebro-tests"])?
            }
            Suite::Guests => run_in("recipes-wasm", "cargo", &["test", "--workspace"])?,
            // One cluster at a time: each is a few machines, and measures nothing but itself.
            Suite::E2e => {
                shell::run("cargo", &["test", "-p", "cerebro-tests", "--", "--test-threads=1"])?
            }
        }
    }
    Ok(())
}
