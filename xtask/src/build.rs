//! Builds everything, and puts it where the tests, the demo and users find it: `target/cerebro`,
//! with a good and a bad release of the example as artifacts.

use crate::shell::{output, run, run_in};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// What runs beside every task, and inside of a machine before anything else does: small, and
/// without a libc of the machine's.
const STATIC: [(&str, &str); 3] = [
    ("cerebro-tasksitter", "tasksitter"),
    ("cerebro-machines", "localmachine"),
    ("portal", "portal"),
];
const DYNAMIC: [&str; 3] = ["cerebro", "clustersitter", "machinesitter"];
const GUEST_TARGET: &str = "wasm32-wasip2";

pub fn everything() -> Result<()> {
    let root = cerebro_tests::root();
    let musl = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    install_targets(&[GUEST_TARGET, &musl])?;

    // The same set of packages as the tests build, so that no dependency is built twice.
    run("cargo", &["build", "--workspace", "--bins"])?;
    let mut arguments = vec!["build", "--profile", "sitter", "--target", &musl];
    for (package, binary) in STATIC {
        arguments.extend(["-p", package, "--bin", binary]);
    }
    run("cargo", &arguments)?;
    run_in("recipes-wasm", "cargo", &["build", "--release", "--target", GUEST_TARGET])?;

    let (bin, components) =
        (root.join("target/cerebro/bin"), root.join("target/cerebro/components"));
    fs::create_dir_all(&bin)?;
    fs::create_dir_all(&components)?;
    for name in DYNAMIC {
        place(&root.join("target/debug").join(name), &bin.join(name))?;
    }
    for (_, name) in STATIC {
        place(&root.join("target").join(&musl).join("sitter").join(name), &bin.join(name))?;
    }
    let guests = root.join("recipes-wasm/target").join(GUEST_TARGET).join("release");
    for entry in
        fs::read_dir(&guests).with_context(|| format!("cannot read {}", guests.display()))?
    {
        let path = entry?.path();
        if let (Some(name), true) =
            (path.file_name(), path.extension().is_some_and(|e| e == "wasm"))
        {
            place(&path, &components.join(name))?;
        }
    }
    let artifacts = root.join("target/cerebro/artifacts");
    fs::create_dir_all(&artifacts)?;
    fs::write(artifacts.join("portal.tar.gz"), cerebro_tests::portal::artifact()?)?;
    fs::write(artifacts.join("portal-bad.tar.gz"), cerebro_tests::portal::bad_artifact()?)?;
    Ok(())
}

/// By rename, so that a program which runs from there goes on with what it has.
pub fn place(from: &Path, to: &Path) -> Result<()> {
    let new = to.with_extension("new");
    fs::copy(from, &new).with_context(|| format!("cannot copy {}", from.display()))?;
    fs::rename(&new, to).with_context(|| format!("cannot write {}", to.display()))
}

/// Toolchain targets, where they are missing.
pub fn install_targets(targets: &[&str]) -> Result<()> {
    let installed = output("rustup", &["target", "list", "--installed"])?;
    for target in targets.iter().filter(|target| !installed.lines().any(|line| line == **target)) {
        run("rustup", &["target", "add", target])?;
    }
    Ok(())
}
