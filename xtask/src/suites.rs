//! The test suites.

use crate::aws::Beside;
use crate::fuzz::Luck;
use crate::shell::run_in;
use crate::{aws, build, conformance, fuzz, packages, rules, shell, simulate, wit};
use anyhow::Result;
use clap::ValueEnum;
use std::time::Instant;

/// A suite of tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
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
    /// Machines and names at Amazon, by its SDK: minutes and gigabytes to build, so only when it is named, or with
    /// CEREBRO_AWS=1.
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
    let start = Instant::now();
    // Tests that need what cannot be installed fail, and say so.
    packages::install(&PACKAGES, "some tests")?;
    build::everything()?;
    let mut beside: Option<Beside> = None;
    let mut took = format!("building {:.0} s", start.elapsed().as_secs_f64());
    let all = [&ALL[..], if aws::is_wanted() { &[Suite::Aws] } else { &[] }].concat();
    let suites = if named.is_empty() { &all } else { named };
    for suite in suites {
        let start = Instant::now();
        // What builds elsewhere, or nothing, leaves a processor for the SDK; what measures itself does not.
        match suite {
            Suite::Simulation if suites.contains(&Suite::Aws) => beside = Some(Beside::begin()?),
            Suite::E2e => beside.take().map_or(Ok(()), Beside::end)?,
            _ => {}
        }
        suite.run(languages)?;
        took += &format!(", {} {:.0} s", suite.name(), start.elapsed().as_secs_f64());
    }
    eprintln!("{took}");
    Ok(())
}

impl Suite {
    /// As it is named on the command line.
    fn name(self) -> String {
        self.to_possible_value().map(|it| it.get_name().to_owned()).unwrap_or_default()
    }

    fn run(self, languages: &[String]) -> Result<()> {
        match self {
            Self::Fmt => {
                shell::run("cargo", &["fmt", "--all", "--check"])?;
                run_in("recipes-wasm", "cargo", &["fmt", "--all", "--check"])?;
                run_in("fuzz", "cargo", &["fmt", "--check"])
            }
            Self::Rules => {
                rules::check()?;
                wit::check()?;
                simulate::check_mutants()
            }
            Self::Clippy => {
                shell::run(
                    "cargo",
                    &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
                )?;
                let guests =
                    ["clippy", "--release", "--target", "wasm32-wasip2", "--", "-D", "warnings"];
                run_in("recipes-wasm", "cargo", &guests)
            }
            Self::Unit => {
                let others = ["--exclude", "cerebro-tests", "--exclude", "cerebro-conformance"];
                // All that fails is told at once: the next run is far away.
                let test = ["test", "--workspace", "--no-fail-fast"];
                shell::run("cargo", &[&test[..], &others].concat())
            }
            Self::Fuzz => fuzz::all(Luck::Same),
            Self::Hostile => {
                let test = ["test", "--workspace", "--test", "hostile"];
                shell::run("cargo", &[&test[..], &["--", "--nocapture"]].concat())
            }
            // What is planned and taken back, and what kills those who do it.
            Self::Rollback => {
                let parts =
                    ["rollback::", "killed::", "power::", "plan::", "packages::", "drift::"];
                journal(&parts)
            }
            Self::Replay => journal(&["replay::"]),
            Self::Simulation => {
                let seeds =
                    ["--seeds", "200", "--machines", "40", "--faults", "30", "--acts", "20"];
                // As it was built with everything else.
                let program = cerebro_tests::root().join("target/debug/cerebro-simulation");
                shell::run(&program.to_string_lossy(), &seeds)
            }
            Self::Guests => run_in("recipes-wasm", "cargo", &["test", "--workspace"]),
            Self::Conformance => conformance::run(languages),
            Self::Aws => aws::test(),
            // One cluster at a time: each is a few machines, and measures nothing but itself.
            Self::E2e => {
                let test = ["test", "--workspace", "--test", "e2e", "--", "--test-threads=1"];
                shell::run("cargo", &test)
            }
        }
    }
}

/// The engine's tests of journals whose names begin so. Always of the whole workspace: by itself, a package
/// has other features of its dependencies, and all of these are built again.
fn journal(names: &[&str]) -> Result<()> {
    let test = ["test", "--workspace", "--test", "journal", "--"];
    shell::run("cargo", &[&test[..], names].concat())
}
