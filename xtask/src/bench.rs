//! Measurements: builds and installs what they need, and runs them.

use crate::shell::{output, run, run_in};
use crate::{bench_checks, bench_heal, build, packages};
use anyhow::{Context, Result};
use cerebro_bench::{Defaults, Scenario};
use clap::builder::PossibleValuesParser;
use std::fs;
use std::path::{Path, PathBuf};

/// What is measured.
#[derive(Debug, clap::Subcommand)]
pub enum Bench {
    /// Supervisors of processes side by side: ours, those that people use, and a floor in C.
    Supervision(Supervision),
    /// What a health check costs as a component, beside the programs that do the same.
    Recipes(Recipes),
    /// What a release costs as a component, beside the tools that people deploy with.
    Release(Release),
    /// What it costs to place 100,000 instances on 10,000 machines.
    Place,
    /// A controller under thousands of agents: what it takes, and how soon a death is found.
    Agents(Agents),
    /// How soon the death of a machine is found, and all serves again.
    Heal(bench_heal::Heal),
}

/// How a controller is measured under its agents.
#[derive(Debug, clap::Args)]
pub struct Agents {
    /// How many agents; may be given more than once.
    #[arg(long = "agents", value_name = "N", default_values_t = [10, 5000])]
    counts: Vec<u32>,
    /// Agents that die.
    #[arg(long, value_name = "N", default_value_t = 30)]
    deaths: u32,
    /// Replace the table of this file, between `<!-- agents -->` and `<!-- /agents -->`.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// How releases are measured.
#[derive(Debug, clap::Args)]
pub struct Release {
    /// Rounds; tools that are slow take part in fewer.
    #[arg(long, value_name = "N", default_value_t = 9)]
    rounds: usize,
    /// Measure this contender only, and bash and the floor; may be given more than once.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Replace the table of this file, between `<!-- release -->` and `<!-- /release -->`.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// How health checks are measured.
#[derive(Debug, clap::Args)]
pub struct Recipes {
    /// Calls of each component.
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    calls: usize,
    /// Leave out the checks in other languages, which take minutes to build.
    #[arg(long)]
    only_rust: bool,
    /// A further check that always passes.
    #[arg(long, value_name = "NAME=FILE")]
    check: Vec<String>,
    /// Replace the tables of this file, between `<!-- recipes -->` and `<!-- /recipes -->`.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// How supervisors are measured.
#[derive(Debug, clap::Args)]
pub struct Supervision {
    /// Run this scenario only; may be given more than once.
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Scenario::ALL.map(Scenario::name)))]
    scenario: Vec<String>,
    /// Measure this contender only, and the floors; may be given more than once.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Kills of each contender in `restart`.
    #[arg(long, value_name = "N", default_value_t = Defaults::SAMPLES)]
    samples: usize,
    /// Rounds of `log`.
    #[arg(long, value_name = "N", default_value_t = Defaults::ROUNDS)]
    rounds: usize,
    /// How long `rest` and `memory` look.
    #[arg(long, value_name = "N", default_value_t = Defaults::SECONDS)]
    seconds: u64,
    /// What the task of `log` writes, in units of 10^6 bytes.
    #[arg(long, value_name = "N", default_value_t = Defaults::LOG_MEGABYTES)]
    log_megabytes: u64,
    /// Replace the tables of this file, between `<!-- supervision -->` and `<!-- /supervision -->`.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Build the machine sitter as for a release: takes minutes, and is less to rest with.
    #[arg(long)]
    release: bool,
}

/// Debian's packages whose programs are compared with ours: (package, a file that it brings).
const PEERS: [(&str, &str); 6] = [
    ("runit", "/usr/bin/runsvdir"),
    ("s6", "/usr/bin/s6-svscan"),
    ("supervisor", "/usr/bin/supervisord"),
    ("daemontools", "/usr/bin/svscan"),
    ("monit", "/usr/bin/monit"),
    ("musl-tools", "/usr/bin/musl-gcc"),
];

/// Where what is run lies together: below `target`.
const BIN: &str = "target/bench/bin";
const SOURCES: &str = "tests/bench/supervision";

/// Runs a measurement.
pub fn run_bench(bench: Bench) -> Result<()> {
    match bench {
        Bench::Supervision(options) => supervision(&options),
        Bench::Recipes(options) => recipes(&options),
        Bench::Release(options) => release(&options),
        Bench::Place => {
            run("cargo", &["bench", "--package", "cerebro-planner", "--bench", "place"])
        }
        Bench::Agents(options) => agents(&options),
        Bench::Heal(options) => bench_heal::run(&options),
    }
}

fn agents(options: &Agents) -> Result<()> {
    let packages = ["-p", "cerebro-bench-agents", "-p", "cerebro-clustersitter"];
    run("cargo", &[&["build", "--release"][..], &packages].concat())?;
    let mut arguments =
        vec!["--clustersitter".to_owned(), "target/release/clustersitter".to_owned()];
    let mut give = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    options.counts.iter().for_each(|count| give("--agents", count.to_string()));
    give("--deaths", options.deaths.to_string());
    if let Some(file) = &options.markdown {
        give("--markdown", file.display().to_string());
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    run("target/release/cerebro-bench-agents", &arguments)
}

/// Debian's packages of deployment tools: (package, a file that it brings).
const DEPLOYERS: [(&str, &str); 4] = [
    ("puppet-agent", "/usr/bin/puppet"),
    ("openssh-server", "/usr/sbin/sshd"),
    ("openssh-client", "/usr/bin/ssh-keygen"),
    ("curl", "/usr/bin/curl"),
];
/// Those that Python's index has: (name, packages).
const PYTHON_DEPLOYERS: [(&str, &[&str]); 3] =
    [("ansible", &["ansible-core"]), ("fabric", &["fabric"]), ("pyinfra", &["pyinfra"])];

fn release(options: &Release) -> Result<()> {
    if let Err(error) = packages::install(&DEPLOYERS, "the comparison") {
        eprintln!("going on without what could not be installed: {error:#}");
    }
    let tools = cerebro_tests::root().join("target/bench/tools");
    for (name, needed) in PYTHON_DEPLOYERS {
        if let Err(error) = python(&tools.join(name), needed) {
            eprintln!("going on without {name}: {error:#}");
        }
    }
    build_recipes()?;
    let (rounds, tools) = (options.rounds.to_string(), tools.display().to_string());
    let mut arguments = vec![
        "release",
        "--components",
        COMPONENTS,
        "--sources",
        "tests/bench-recipes/release",
        "--tools",
        &tools,
        "--floor",
        "target/release/release-floor",
        "--rounds",
        &rounds,
    ];
    options.only.iter().for_each(|name| arguments.extend(["--only", name]));
    let markdown = options.markdown.as_ref().map(|file| file.display().to_string());
    if let Some(file) = &markdown {
        arguments.extend(["--markdown", file]);
    }
    run("target/release/cerebro-bench-recipes", &arguments)
}

/// A Python environment with some packages.
fn python(dir: &Path, needed: &[&str]) -> Result<()> {
    let done = dir.join("complete");
    if done.exists() {
        return Ok(());
    }
    let at = dir.display().to_string();
    run("python3", &["-m", "venv", "--clear", &at])?;
    let pip = format!("{at}/bin/pip");
    run(&pip, &[&["install", "--quiet"], needed].concat())?;
    Ok(fs::write(done, "")?)
}

/// The components, and what measures them.
fn build_recipes() -> Result<()> {
    build::install_targets(&["wasm32-wasip2"])?;
    run_in("recipes-wasm", "cargo", &["build", "--release", "--target", "wasm32-wasip2"])?;
    run("cargo", &["build", "--release", "-p", "cerebro-bench-recipes"])
}

/// Where the components are.
const COMPONENTS: &str = "recipes-wasm/target/wasm32-wasip2/release";

fn recipes(options: &Recipes) -> Result<()> {
    let plugins = [("monitoring-plugins-basic", "/usr/lib/nagios/plugins/check_tcp")];
    if let Err(error) = packages::install(&plugins, "the comparison") {
        eprintln!("going on without what could not be installed: {error:#}");
    }
    build_recipes()?;
    let languages = if options.only_rust { Vec::new() } else { bench_checks::build()? };
    let calls = options.calls.to_string();
    let mut arguments = vec!["checks", "--components", COMPONENTS, "--calls", &calls];
    for check in languages.iter().chain(&options.check) {
        arguments.extend(["--check", check]);
    }
    let markdown = options.markdown.as_ref().map(|file| file.display().to_string());
    if let Some(file) = &markdown {
        arguments.extend(["--markdown", file]);
    }
    run("target/release/cerebro-bench-recipes", &arguments)
}

fn supervision(options: &Supervision) -> Result<()> {
    if let Err(error) = packages::install(&PEERS, "the comparison") {
        eprintln!("going on without what could not be installed: {error:#}");
    }
    build_all(options.release)?;
    let profile = if options.release { "release" } else { "dev" };
    let note = format!("machinesitter: profile {profile}");
    let contenders = format!("{SOURCES}/contenders");
    let (samples, rounds) = (options.samples.to_string(), options.rounds.to_string());
    let (seconds, megabytes) = (options.seconds.to_string(), options.log_megabytes.to_string());
    // The bench runs in the root of the repository; the file is as seen from here.
    let markdown = options.markdown.as_ref().map(std::path::absolute).transpose()?;
    let mut arguments = vec![
        "--bin",
        BIN,
        "--contenders",
        &contenders,
        "--note",
        &note,
        "--samples",
        &samples,
        "--rounds",
        &rounds,
        "--seconds",
        &seconds,
        "--log-megabytes",
        &megabytes,
    ];
    options.scenario.iter().for_each(|name| arguments.extend(["--scenario", name]));
    options.only.iter().for_each(|name| arguments.extend(["--only", name]));
    if let Some(file) = &markdown {
        let file = file.to_str().context("the Markdown file's name is not UTF-8")?;
        arguments.extend(["--markdown", file]);
    }
    let harness = cerebro_tests::root().join("target/release/supervision");
    run(&harness.to_string_lossy(), &arguments)
}

/// What is measured, and what measures; the task sitter as it ships.
fn build_all(release: bool) -> Result<()> {
    let root = cerebro_tests::root();
    let musl = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    build::install_targets(&[&musl])?;
    run("cargo", &["build", "--profile", "sitter", "--target", &musl, "-p", "cerebro-tasksitter"])?;
    if release {
        run("cargo", &["build", "--release", "-p", "cerebro-machinesitter"])?;
    } else {
        // The same set of packages as everything else builds, so that no dependency is built twice.
        run("cargo", &["build", "--workspace", "--bins"])?;
    }
    run("cargo", &["build", "--release", "-p", "cerebro-bench"])?;

    let bin = root.join(BIN);
    fs::create_dir_all(&bin)?;
    let target = root.join("target");
    build::place(&target.join(&musl).join("sitter/tasksitter"), &bin.join("tasksitter"))?;
    let agent = target.join(if release { "release" } else { "debug" }).join("machinesitter");
    build::place(&agent, &bin.join("machinesitter"))?;
    for program in ["floor", "kid"] {
        compile(program)?;
    }
    Ok(())
}

/// Static, so that a figure is the program's and not the dynamic linker's.
fn compile(program: &str) -> Result<()> {
    let has_musl = Path::new("/usr/bin/musl-gcc").exists();
    let compiler = if has_musl { "musl-gcc" } else { "cc" };
    let (source, binary) = (format!("{SOURCES}/{program}.c"), format!("{BIN}/{program}"));
    if !has_musl {
        output("cc", &["--version"]).context("a C compiler is needed: musl-gcc, or cc")?;
    }
    run(compiler, &["-O2", "-Wall", "-static", "-o", &binary, &source])
}
