//! The fuzz targets of `fuzz/`, each for a while.

use crate::shell::run;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::process::{Command, Stdio};

/// What builds and runs them.
const CARGO_FUZZ: &str = "0.13.2";
/// The targets: what comes from outside.
const TARGETS: [&str; 4] = ["job", "grants", "unpack", "journal"];
/// Seconds for each.
const SECONDS: u32 = 60;
/// Lines of what a target printed that are shown when it failed.
const LAST_LINES: usize = 130;
/// Targets that are run at a time: each takes one processor.
const AT_A_TIME: usize = 2;

/// What the inputs are drawn from.
#[derive(Debug, Clone, Copy)]
pub enum Luck {
    /// Other inputs each time, from what earlier runs have found: who looks for errors.
    Fresh,
    /// The same inputs in the same order each time, as many as there is time for: who asks whether a
    /// change broke something is not told of what was there before.
    Same,
}

/// Runs each target. What breaks one is kept in `fuzz/artifacts`.
pub fn all(luck: Luck) -> Result<()> {
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
                targets.iter().map(|target| scope.spawn(move || one(target, luck))).collect();
            running.into_iter().try_for_each(|it| match it.join() {
                Ok(ended) => ended,
                Err(_) => bail!("a fuzz target's thread panicked: its words are above"),
            })
        })?;
    }
    Ok(())
}

fn one(target: &str, luck: Luck) -> Result<()> {
    let (root, seeds) = (cerebro_tests::root(), format!("fuzz/seeds/{target}"));
    let (corpus, drawn) = match luck {
        Luck::Fresh => (format!("fuzz/corpus/{target}"), vec![]),
        Luck::Same => (format!("target/fuzz/{target}"), vec!["-seed=1"]),
    };
    let found = root.join(&corpus);
    if matches!(luck, Luck::Same) && found.exists() {
        fs::remove_dir_all(&found).with_context(|| format!("cannot empty {corpus}"))?;
    }
    fs::create_dir_all(&found).with_context(|| format!("cannot make {corpus}"))?;

    let time = format!("-max_total_time={SECONDS}");
    let limits = [time.as_str(), "-timeout=10", "-rss_limit_mb=2048", "-max_len=16384"];
    let mut words = vec!["fuzz", "run", target, &corpus, &seeds, "--"];
    words.extend(limits);
    words.extend(drawn);
    eprintln!("\x1b[2m$ cargo {}\x1b[0m", words.join(" "));
    let output = Command::new("cargo")
        .current_dir(root)
        .env("RUSTC_BOOTSTRAP", "1")
        .args(&words)
        .stdin(Stdio::null())
        .output()
        .context("cannot run `cargo`")?;
    let printed = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = printed.lines().filter(|line| !is_chatter(line)).collect();
    let shown = if output.status.success() { 1 } else { LAST_LINES };
    eprintln!("{}", lines[lines.len().saturating_sub(shown)..].join("\n"));
    ensure!(output.status.success(), "the fuzz target `{target}` failed ({})", output.status);
    Ok(())
}

/// Whether a line is one of the thousands by which the fuzzer tells how it gets on, or one of the
/// hundreds that it ends with: words that it would try again.
fn is_chatter(line: &str) -> bool {
    line.starts_with('#') || line.contains("NEW_FUNC[") || line.contains("# Uses: ")
}
