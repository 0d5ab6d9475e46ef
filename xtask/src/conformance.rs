//! The examples in each language: built when something about them has changed, and held to one
//! specification.

use crate::toolchains::Tools;
use crate::{build, shell};
use anyhow::{Context, Result, ensure};
use cerebro_model::Digest;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// The languages, in the order of the table.
const LANGUAGES: [&str; 5] = ["rust", "js", "python", "c", "go"];
const COMPONENTS: [&str; 2] = ["release.wasm", "http-check.wasm"];

/// Builds the examples in the languages that are named, or in all, and runs them.
pub fn run(named: &[String]) -> Result<()> {
    for name in named {
        let known = LANGUAGES.contains(&name.as_str());
        ensure!(known, "there is no language `{name}`: there are {}", LANGUAGES.join(", "));
    }
    let is_meant = |name: &&str| named.is_empty() || named.iter().any(|n| n == name);
    let languages: Vec<&str> = LANGUAGES.into_iter().filter(is_meant).collect();
    let start = Instant::now();
    let tools = Tools::install(&languages)?;
    let installed = start.elapsed();
    build_examples(&tools, &languages)?;
    let built = start.elapsed();

    let selection = format!("CEREBRO_LANGUAGES={}", languages.join(","));
    let test = ["cargo", "test", "-p", "cerebro-conformance", "--", "--nocapture"];
    shell::run("env", &[&[selection.as_str()], &test[..], &["--test-threads=1"]].concat())?;
    eprintln!(
        "{}: tools {:.0} s, building {:.0} s, cases {:.0} s",
        languages.join(", "),
        installed.as_secs_f64(),
        (built - installed).as_secs_f64(),
        (start.elapsed() - built).as_secs_f64()
    );
    Ok(())
}

/// Builds what has changed: Python, which takes longest and one core only, beside the others.
fn build_examples(tools: &Tools, languages: &[&str]) -> Result<()> {
    let (slow, rest): (Vec<&str>, Vec<&str>) =
        languages.iter().partition(|name| **name == "python");
    std::thread::scope(|scope| {
        let lanes = [slow, rest].map(|names| {
            scope.spawn(move || names.iter().try_for_each(|name| build_language(tools, name)))
        });
        lanes.into_iter().try_for_each(|lane| match lane.join() {
            Ok(built) => built,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

fn build_language(tools: &Tools, language: &str) -> Result<()> {
    let root = cerebro_tests::root();
    let from = root.join("examples").join(language);
    let to = root.join("target/cerebro/examples").join(language);
    fs::create_dir_all(&to)?;

    let mut inputs = format!("{}\n", tools.digest());
    for dir in [&from, &root.join("examples/wit"), &root.join("wit")] {
        list(dir, &mut inputs)?;
    }
    let inputs = Digest::of(inputs.as_bytes()).to_string();
    let mark = to.join("inputs");
    let whole = COMPONENTS.iter().all(|name| to.join(name).exists());
    if whole && fs::read_to_string(&mark).is_ok_and(|built| built == inputs) {
        eprintln!("{language}: as it was built before");
        return Ok(());
    }
    let start = Instant::now();
    let mut command = Command::new("sh");
    command.arg(from.join("build.sh")).envs(tools.variables()?);
    let done = command.output().context("cannot run `sh`")?;
    let words =
        [done.stdout, done.stderr].map(|words| String::from_utf8_lossy(&words).into_owned());
    ensure!(
        done.status.success(),
        "`sh examples/{language}/build.sh` failed ({})\n{}",
        done.status,
        words.concat()
    );
    for name in COMPONENTS {
        build::place(&from.join(name), &to.join(name))?;
    }
    fs::write(&mark, inputs)?;
    eprintln!("{language}: built in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Adds each source below `dir`, with its digest.
fn list(dir: &Path, to: &mut String) -> Result<()> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let made = ["node_modules", "build", "target", "__pycache__", "deps", "package-lock.json"];
        if made.contains(&name.as_str()) || name.ends_with(".wasm") {
            continue;
        }
        if path.is_dir() {
            list(&path, to)?;
        } else {
            let bytes =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            writeln!(to, "{} {}", path.display(), Digest::of(&bytes))?;
        }
    }
    Ok(())
}
