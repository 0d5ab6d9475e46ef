//! A check that always passes in each language but Rust, of which `recipes-wasm/` has one: built as
//! `cerebro recipe new` has it built.

use crate::conformance::{binaries, run_script};
use crate::shell::run;
use crate::toolchains::Tools;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the checks are.
const SOURCES: &str = "tests/bench-recipes/checks";
/// Language as `cerebro recipe new` calls it, its name in the table, the file of its source there and
/// in what `new` has written.
const LANGUAGES: [(&str, &str, &str, &str); 4] = [
    ("c", "C", "check.c", "component.c"),
    ("js", "JavaScript", "check.js", "component.js"),
    ("go", "Go", "check.go", "check.go"),
    ("python", "Python", "check.py", "app.py"),
];

/// Each language's name with its component; what is missing of the languages is said, and no more.
pub fn build() -> Result<Vec<String>> {
    run("cargo", &["build", "--quiet", "-p", "cerebro-cli", "--bins"])?;
    let mut built = Vec::new();
    for (language, name, source, place) in LANGUAGES {
        match build_in(language, source, place) {
            Ok(path) => built.push(format!("{name}={}", path.display())),
            Err(error) => eprintln!("going on without {name}: {error:#}"),
        }
    }
    Ok(built)
}

fn build_in(language: &str, source: &str, place: &str) -> Result<PathBuf> {
    let tools = Tools::install(&[language])?;
    let dir = cerebro_tests::root().join("target/bench/checks").join(language);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir)?;
    let arguments = ["recipe", "new", "pass", "--lang", language, "--kind", "health-check"];
    let new =
        Command::new(binaries()?.join("cerebro")).current_dir(&dir).args(arguments).output()?;
    let words = String::from_utf8_lossy(&new.stderr);
    ensure!(new.status.success(), "`cerebro {}` failed: {words}", arguments.join(" "));
    let dir = dir.join("pass");
    let sources = cerebro_tests::root().join(SOURCES);
    put(&sources.join(source), &dir.join(place))?;
    put(&sources.join("world.wit"), &dir.join("wit/world.wit"))?;
    run_script(&tools, &dir.join("build.sh"))?;
    Ok(dir.join("pass.wasm"))
}

/// Puts a file in the place of one that `new` has written.
fn put(from: &Path, to: &Path) -> Result<()> {
    ensure!(to.exists(), "`cerebro recipe new` writes no {}", to.display());
    fs::copy(from, to).with_context(|| from.display().to_string()).map(drop)
}
