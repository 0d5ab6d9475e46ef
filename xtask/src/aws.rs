//! Machines and names at Amazon, by the real SDK: the one place that builds it.

use crate::build;
use crate::shell::{command, run, say};
use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Child;

/// Set to 1, all suites are those that take the SDK as well.
const WANTED: &str = "CEREBRO_AWS";
/// What moto comes as.
const REQUIREMENTS: &str = "tests/fake-aws/requirements.txt";
/// With all of the workspace, so that what it shares with the build without them is not built again.
const FEATURES: [&str; 3] = [
    "--workspace",
    "--features",
    "cerebro-aws/aws,cerebro-machines-ec2/aws,cerebro-dns-route53/aws,cerebro-clustersitter/aws,cerebro-simulation/aws",
];
/// What is tested: the rest are tests of any cluster.
const TESTS: [&str; 10] = [
    "--test", "fakes", "--test", "ec2", "--test", "route53", "--test", "cloud", "--test", "amazon",
];

/// Whether the SDK is wanted among all suites: its build takes minutes and gigabytes.
pub fn is_wanted() -> bool {
    std::env::var(WANTED).is_ok_and(|value| value == "1")
}

/// Installs moto, builds what instances run, and runs the tests. Lints would take another build of the SDK: they are
/// left to whoever changes what uses it.
pub fn test() -> Result<()> {
    install_moto()?;
    build::everything()?;
    cargo("test", &[&["--no-fail-fast"], &TESTS[..]].concat())
}

/// Runs `cargo` with all that has the SDK.
pub fn cargo(what: &str, arguments: &[&str]) -> Result<()> {
    run("cargo", &[&[what], &FEATURES[..], arguments].concat())
}

/// A build of the tests by what the processors have left over: the SDK is one crate, and keeps one of them busy for minutes.
pub struct Beside(Child);

impl Beside {
    /// Begins it. Until it has ended, no other `cargo` of this workspace builds or runs anything.
    pub fn begin() -> Result<Self> {
        let cargo = ["-n", "19", "cargo", "test", "--quiet", "--no-run"];
        let arguments = [&cargo, &FEATURES[..], &TESTS].concat();
        say(&format!("nice {} &", arguments.join(" ")));
        let spawned = command("", "nice").args(arguments).process_group(0).spawn();
        Ok(Self(spawned.context("cannot run `nice`")?))
    }

    /// Waits for it.
    pub fn end(mut self) -> Result<()> {
        let status = self.0.wait().context("cannot wait for `cargo`")?;
        ensure!(
            status.success(),
            "the tests with Amazon's SDK were not built ({status}): why is above"
        );
        Ok(())
    }
}

impl Drop for Beside {
    /// Nobody waits for it any more: all compilers of it end.
    fn drop(&mut self) {
        if let (Ok(None), Ok(group)) = (self.0.try_wait(), i32::try_from(self.0.id())) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGTERM);
            let _ = self.0.wait();
        }
    }
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
