//! The test suites.

use crate::fuzz::Luck;
use crate::shell::run_in;
use crate::{aws, build, conformance, fuzz, packages, rules, shell, simulate, wit};
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
    /// Every crate's own tests; the next three are parts of them.
    Unit,
    /// Components and inputs that mean harm, and what the engine makes of them.
    Hostile,
    /// What a recipe did is taken back, wherever it ended: every effect and every record in turn.
    Rollback,
    /// A hundred failures are run again elsewhere.
    Replay,
    /// Two hundred days of a whole cluster under simulated time, with faults.
    Simulation,
    /// What comes from outside, mutated for a minute each.
    Fuzz,
    /// The guests' own tests, run on the host.
    Guests,
    /// The examples in each language, held to one specification.
    Conformance,
    /// A whole cluster.
    E2e,
    /// Machines and names at Amazon, by its SDK: minutes and gigabytes to build, so only when it is named.
    Aws,
}

/// Hostile, rollback and replay are parts of unit, to be run by themselves.
const ALL: [Suite; 9] = [
    Suite::Fmt,
    Suite::Rules,
    Suite::Clippy,
    Suite::Unit,
    Suite::Simulation,
    Suite::Fuzz,
    Suite::Guests,
    Suite::Conformance,
    Suite::E2e,
];

/// Debian's packages that some tests use: (package, a file that it brings).
const PACKAGES: [(&str, &str); 15] = [
    ("redis-server", "/usr/bin/redis-server"),
    ("iproute2", "/usr/sbin/ip"),
    ("monitoring-plugins-basic", "/usr/lib/nagios/plugins/check_dummy"),
    ("postgresql", "/usr/lib/postgresql"),
    ("dnf", "/usr/bin/dnf"),
    ("rpm", "/usr/bin/rpmbuild"),
    ("createrepo-c", "/usr/bin/createrepo_c"),
    ("bind9", "/usr/sbin/named"),
    ("bind9-dnsutils", "/usr/bin/dig"),
    ("cloud-init", "/usr/bin/cloud-init"),
    ("curl", "/usr/bin/curl"),
    ("openssh-client", "/usr/bin/ssh"),
    ("openssh-server", "/usr/sbin/sshd"),
    ("sudo", "/usr/bin/sudo"),
    ("systemd", "/lib/systemd/systemd"),
];

/// Runs the suites that are named, or all of them; of `conformance`, the languages that are named.
pub fn run(named: &[Suite], languages: &[String]) -> Result<()> {
    if named == [Suite::Conformance] {
        // It needs nothing of the rest.
        return conformance::run(languages);
    }
    if named == [Suite::Aws] {
        return aws::test();
    }
    if named == [Suite::Fuzz] {
        return fuzz::all(Luck::Fresh);
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
                simulate::check_mutants()?;
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
                // All that fails is told at once: the next run is far away.
                let test = ["test", "--workspace", "--no-fail-fast"];
                shell::run("cargo", &[&test[..], &others].concat())?
            }
            Suite::Fuzz => fuzz::all(Luck::Same)?,
            Suite::Hostile => {
                let test = ["test", "--workspace", "--test", "hostile"];
                shell::run("cargo", &[&test[..], &["--", "--nocapture"]].concat())?
            }
            // What is planned and taken back, and what kills those who do it.
            Suite::Rollback => {
                let parts =
                    ["rollback::", "killed::", "power::", "plan::", "packages::", "drift::"];
                journal(&parts)?;
            }
            Suite::Replay => journal(&["replay::"])?,
            Suite::Simulation => {
                let seeds =
                    ["--seeds", "200", "--machines", "40", "--faults", "30", "--acts", "20"];
                // As it was built with everything else.
                let program = cerebro_tests::root().join("target/debug/cerebro-simulation");
                shell::run(&program.to_string_lossy(), &seeds)?
            }
            Suite::Guests => run_in("recipes-wasm", "cargo", &["test", "--workspace"])?,
            Suite::Conformance => conformance::run(languages)?,
            Suite::Aws => aws::test()?,
            // One cluster at a time: each is a few machines, and measures nothing but itself.
            Suite::E2e => {
                let test = ["test", "--workspace", "--test", "e2e", "--", "--test-threads=1"];
                shell::run("cargo", &test)?
            }
        }
    }
    Ok(())
}

/// The engine's tests of journals whose names begin so. Always of the whole workspace: by itself, a package
/// has other features of its dependencies, and all of these are built again.
fn journal(names: &[&str]) -> Result<()> {
    let test = ["test", "--workspace", "--test", "journal", "--"];
    shell::run("cargo", &[&test[..], names].concat())
}
