//! The examples in each language: built when something about them has changed, and held to one
//! specification.

use crate::toolchains::Tools;
use crate::{build, shell};
use anyhow::{Context, Result, ensure};
use cerebro_model::Digest;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// The languages, in the order of the table.
const LANGUAGES: [&str; 5] = ["rust", "js", "python", "c", "go"];
const COMPONENTS: [&str; 2] = ["release.wasm", "http-check.wasm"];
/// What `cerebro recipe new` is asked for: name and kind.
const NEW: [(&str, &str); 2] = [("my-recipe", "recipe"), ("my-check", "health-check")];

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
    test_edits(&tools, &languages)?;
    write_new(&languages)?;
    build_all(&tools, &languages)?;
    if languages.contains(&"c") {
        // The script that tests is the same for all; C is built in a moment.
        test_new(&tools, "c")?;
    }
    let built = start.elapsed();

    let selection = format!("CEREBRO_LANGUAGES={}", languages.join(","));
    let test = ["cargo", "test", "--workspace", "--test", "languages", "--", "--nocapture"];
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

/// Holds the edits of each language to the cases of `tests/edits.json`; those of Rust are held to
/// them by the tests of its SDK.
fn test_edits(tools: &Tools, languages: &[&str]) -> Result<()> {
    for language in languages.iter().filter(|language| **language != "rust") {
        run_script(tools, &cerebro_tests::root().join("guests").join(language).join("test.sh"))?;
        eprintln!("{language}: its edits are as the cases say");
    }
    Ok(())
}

/// Has `cerebro` write new components.
fn write_new(languages: &[&str]) -> Result<()> {
    // The agent does the work of `cerebro recipe run`.
    shell::run("cargo", &["build", "--workspace", "--bins"])?;
    let cerebro = binaries()?.join("cerebro");
    for language in languages {
        let dir = new_dir(language);
        fs::create_dir_all(&dir)?;
        for (name, kind) in NEW {
            let into = dir.join("new");
            let _ = fs::remove_dir_all(&into);
            fs::create_dir(&into)?;
            let arguments = ["recipe", "new", name, "--lang", language, "--kind", kind];
            let done = Command::new(&cerebro).current_dir(&into).args(arguments).output()?;
            let words = String::from_utf8_lossy(&done.stderr);
            ensure!(done.status.success(), "`cerebro {}` failed: {words}", arguments.join(" "));
            // Beside what was built before, which goes only if something has changed.
            let place = dir.join(format!("{name}.source"));
            let _ = fs::remove_dir_all(&place);
            fs::rename(into.join(name), &place)?;
            fs::remove_dir(&into)?;
        }
    }
    Ok(())
}

fn new_dir(language: &str) -> PathBuf {
    cerebro_tests::root().join("target/cerebro/new").join(language)
}

/// Where cargo puts what it builds, this program among it.
pub fn binaries() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.parent().context("this program is nowhere")?.to_owned())
}

/// Builds new components in a language, unless the same were built before.
fn build_new(tools: &Tools, language: &str) -> Result<()> {
    for (name, _) in NEW {
        let (source, to) =
            (new_dir(language).join(format!("{name}.source")), new_dir(language).join(name));
        let mut inputs = format!("{}\n", tools.digest());
        list(&source, &mut inputs)?;
        let inputs = Digest::of(inputs.as_bytes()).to_string();
        let (mark, built) = (to.join("inputs"), to.join(format!("{name}.wasm")));
        if built.exists() && fs::read_to_string(&mark).is_ok_and(|built| built == inputs) {
            continue;
        }
        let start = Instant::now();
        let _ = fs::remove_dir_all(&to);
        copy(&source, &to)?;
        run_script(tools, &to.join("build.sh"))?;
        fs::write(&mark, inputs)?;
        eprintln!("{language}, {name}: built in {:.1} s", start.elapsed().as_secs_f64());
    }
    Ok(())
}

/// Runs the tests that come with new components.
fn test_new(tools: &Tools, language: &str) -> Result<()> {
    for (name, _) in NEW {
        run_script(tools, &new_dir(language).join(name).join("test.sh"))?;
        eprintln!("{language}, {name}: its test.sh passed");
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let place = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &place)?,
            false => fs::copy(entry.path(), &place).map(drop)?,
        }
    }
    Ok(())
}

/// Runs a script of an example; its words are only of interest if it fails.
pub fn run_script(tools: &Tools, script: &Path) -> Result<()> {
    let mut variables = tools.variables()?;
    for (name, value) in &mut variables {
        if *name == "PATH" {
            let own = std::iter::once(binaries()?);
            *value = std::env::join_paths(own.chain(std::env::split_paths(value)))?;
        }
    }
    let done = Command::new("sh").arg(script).envs(variables).output();
    let done = done.context("cannot run `sh`")?;
    let words =
        [done.stdout, done.stderr].map(|words| String::from_utf8_lossy(&words).into_owned());
    let (script, status) = (script.display(), done.status);
    ensure!(status.success(), "`sh {script}` failed ({status})\n{}", words.concat());
    Ok(())
}

/// Builds what has changed: Python, which takes longest and one core only, beside the others.
fn build_all(tools: &Tools, languages: &[&str]) -> Result<()> {
    let (slow, rest): (Vec<&str>, Vec<&str>) =
        languages.iter().partition(|name| **name == "python");
    std::thread::scope(|scope| {
        let lanes = [slow, rest].map(|names| {
            scope.spawn(move || {
                names.iter().try_for_each(|name| {
                    build_examples(tools, name)?;
                    build_new(tools, name)
                })
            })
        });
        lanes.into_iter().try_for_each(|lane| match lane.join() {
            Ok(built) => built,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

fn build_examples(tools: &Tools, language: &str) -> Result<()> {
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
    run_script(tools, &from.join("build.sh"))?;
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
        let made = ["node_modules", "build", "target", "__pycache__", "bindings.rs"];
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
