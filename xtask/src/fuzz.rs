//! The fuzz targets of `fuzz/`, each for a while.

use crate::shell::run;
use anyhow::{Context, Result, bail};
use std::fs;
use std::process::{Command, Stdio};

/// What builds and runs them.
const CARGO_FUZZ: &str = "0.13.2";
/// The targets: what comes from outside.
const TARGETS: [&str; 4] = ["job", "grants", "unpack", "journal"];
/// Seconds for each.
const SECONDS: u32 = 60;
/// Targets that are run at a time: each takes one processor.
const AT_A_TIME: usize = 2;

/// Runs each target, from what earlier runs have found and the seeds. What breaks one is kept in
/// `fuzz/artifacts`.
pub fn all() -> Result<()> {
    let asked = Command::new("cargo")
        .args(["fuzz", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("cannot run `cargo`")?;
    if !asked.success() {
        run("cargo", &["install", "cargo-fuzz", "--locked", "--version", CARGO_FUZZ])?;
    }
    // Sanitizers are not stable, and this is the compiler that all else is built with.
    run("env", &["RUSTC_BOOTSTRAP=1", "cargo", "fuzz", "build"])?;
    for targets in TARGETS.chunks(AT_A_TIME) {
        std::thread::scope(|scope| {
            let running: Vec<_> =
                targets.iter().map(|target| scope.spawn(|| one(target))).collect();
            running.into_iter().try_for_each(|it| match it.join() {
                Ok(ended) => ended,
                Err(_) => bail!("a fuzz target's thread panicked: its words are above"),
            })
        })?;
    }
    Ok(())
}

fn one(target: &str) -> Result<()> {
    let (corpus, seeds) = (format!("fuzz/corpus/{target}"), format!("fuzz/seeds/{target}"));
    let directory = cerebro_tests::root().join(&corpus);
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let time = format!("-max_total_time={SECONDS}");
    let fuzz = ["RUSTC_BOOTSTRAP=1", "cargo", "fuzz", "run", target, &corpus, &seeds, "--"];
    let limits = [time.as_str(), "-timeout=10", "-rss_limit_mb=2048", "-max_len=16384"];
    run("env", &[&fuzz[..], &limits].concat())
}
