//! The providers at Amazon, by the real SDK: the one place that builds it.

use crate::build;
use crate::shell::run;
use anyhow::{Context, Result};
use std::fs;

/// What moto comes as.
const REQUIREMENTS: &str = "tests/fake-aws/requirements.txt";
/// The packages, and the feature of theirs: always all of them with the same, so that what they depend on is built once.
const PACKAGES: [&str; 6] = [
    "cerebro-aws",
    "cerebro-fake-aws",
    "cerebro-machines-ec2",
    "cerebro-dns-route53",
    "cerebro-clustersitter",
    "cerebro-simulation",
];
const FEATURES: &str = "cerebro-aws/aws,cerebro-machines-ec2/aws,cerebro-dns-route53/aws,cerebro-clustersitter/aws,\
                        cerebro-simulation/aws";
/// What is tested of them: the rest of the controller's tests are those of any controller.
const TESTS: [&str; 9] =
    ["--lib", "--test", "fakes", "--test", "ec2", "--test", "route53", "--test", "cloud"];

/// Installs moto, builds what instances run, and runs the tests. The first build takes minutes and gigabytes, and lints would take another of the SDK: they
/// are left to whoever changes what uses it.
pub fn test() -> Result<()> {
    install_moto()?;
    build::everything()?;
    cargo("test", &[&["--no-fail-fast"], &TESTS[..]].concat())
}

/// Runs `cargo` with all that has the SDK.
pub fn cargo(what: &str, arguments: &[&str]) -> Result<()> {
    let packages: Vec<&str> = PACKAGES.iter().flat_map(|package| ["-p", package]).collect();
    run("cargo", &[&[what], &packages[..], &["--features", FEATURES], arguments].concat())
}

/// moto, in an environment of its own.
fn install_moto() -> Result<()> {
    let root = cerebro_tests::root();
    let tools = root.join("target/tools");
    fs::create_dir_all(&tools).with_context(|| format!("cannot make {}", tools.display()))?;
    let read = fs::read_to_string(root.join(REQUIREMENTS));
    let wanted = read.with_context(|| format!("cannot read {REQUIREMENTS}"))?;
    let mark = tools.join("moto.installed");
    if fs::read_to_string(&mark).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    let environment = tools.join("moto");
    run("python3", &["-m", "venv", "--clear", &environment.to_string_lossy()])?;
    let pip = environment.join("bin/pip");
    run(&pip.to_string_lossy(), &["install", "--quiet", "--requirement", REQUIREMENTS])?;
    fs::write(&mark, wanted).with_context(|| format!("cannot write {}", mark.display()))
}
