//! One release, made by a component and by the tools that people deploy with: from nothing, and again
//! with nothing to do. The tools' own words for it are in `release/` beside this crate's sources.

mod contender;
mod journal;
pub mod resident;
mod setting;
mod web;

use anyhow::{Context, Result};
use cerebro_bench::cgroup::{Group, Hierarchies};
use cerebro_bench::statistics::{median, ratio};
use cerebro_bench::table::{Table, figure};
use clap::Args;
use contender::{Contender, Ssh};
use setting::Setting;
use std::path::{Path, PathBuf};
use std::time::Duration;
use web::Web;

/// What makes the release, and how often.
#[derive(Debug, Args)]
pub struct Options {
    /// The directory with `ship.wasm`.
    #[arg(long)]
    components: PathBuf,
    /// The directory with each tool's words for the release.
    #[arg(long)]
    sources: PathBuf,
    /// The directory with `ansible`, `fabric` and `pyinfra`, each a Python environment.
    #[arg(long)]
    tools: PathBuf,
    /// The floor: a program that makes the release by system calls and nothing else.
    #[arg(long)]
    floor: PathBuf,
    /// Rounds; tools that are slow take part in fewer.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Measure only this contender; may be given more than once.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
}

impl Options {
    fn is_asked(&self, name: &str) -> bool {
        self.only.is_empty()
            || ["floor", "bash"].contains(&name)
            || self.only.iter().any(|only| only == name)
    }
}

/// The component that makes the release.
const COMPONENT: &str = "ship.wasm";

/// What one contender took, in ms.
#[derive(Default)]
struct Figures {
    cold: Vec<(f64, f64)>,
    again: Vec<(f64, f64)>,
}

/// Measures all that is asked for.
pub fn measure(options: &Options) -> Result<Vec<Table>> {
    let mut tables = vec![contest(options)?];
    if options.is_asked("Cerebro") {
        tables.push(journal::measure(&options.components.join(COMPONENT), options.rounds)?);
    }
    Ok(tables)
}

/// Measures all of them in turn, round after round.
fn contest(options: &Options) -> Result<Table> {
    let setting = Setting::new()?;
    let web = Web::start(setting.archive().to_vec())?;
    let group = Accounted(Hierarchies::detect()?.create("release")?);
    let environment = setting.environment(web.port());
    let ssh = Path::new("/usr/sbin/sshd").exists().then(|| Ssh::start(&setting, &group.0));
    let ssh = ssh.transpose()?;
    let (mut contenders, missing) = contenders(options, &environment, ssh.as_ref(), &group.0)?;
    let mut figures: Vec<Figures> = contenders.iter().map(|_| Figures::default()).collect();
    // The first round warms up, and does not count.
    for round in 0..=options.rounds {
        for (contender, figures) in contenders.iter_mut().zip(&mut figures) {
            if round % contender.slowness != 0 {
                continue;
            }
            eprintln!("  round {round} of {}: {}", options.rounds, contender.name);
            let log = setting.state().join(format!("{}.log", contender.name.replace(' ', "-")));
            setting.clear()?;
            for kept in [&mut figures.cold, &mut figures.again] {
                let took = contender.make(&group.0, &log).and_then(|took| {
                    setting.verify()?;
                    Ok(took)
                });
                let said = || std::fs::read_to_string(&log).unwrap_or_default();
                let took = took.with_context(|| format!("{}:\n{}", contender.name, said()))?;
                if round > 0 || contender.slowness > 1 {
                    kept.push(took);
                }
            }
        }
    }
    Ok(table(&contenders, &figures, missing))
}

/// Those that are here, and what is to be said of the others.
fn contenders(
    options: &Options,
    environment: &[(String, String)],
    ssh: Option<&Ssh>,
    group: &Group,
) -> Result<(Vec<Contender>, Vec<String>)> {
    let source = |name: &str| options.sources.join(name).display().to_string();
    let tools = std::path::absolute(&options.tools)?;
    let tool = |name: &str, program: &str| {
        tools.join(name).join("bin").join(program).display().to_string()
    };
    let with = |more: &[(&str, String)]| {
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        environment.iter().cloned().chain(more).collect::<Vec<_>>()
    };
    let facts: Vec<_> = environment
        .iter()
        .map(|(name, value)| {
            let fact = if name == "NAME" { "service".to_owned() } else { name.to_lowercase() };
            (format!("FACTER_{fact}"), value.clone())
        })
        .collect();
    let state = environment.iter().find(|(name, _)| name == "STATE").map(|(_, v)| v.clone());
    let state = state.unwrap_or_default();
    let floor = options.floor.display().to_string();
    let ansible_home = [
        ("ANSIBLE_HOME", format!("{state}/ansible")),
        ("ANSIBLE_PIPELINING", "True".to_owned()),
        ("ANSIBLE_NOCOWS", "1".to_owned()),
    ];
    let (ansible, pyinfra, fabric) =
        (tool("ansible", "ansible-playbook"), tool("pyinfra", "pyinfra"), tool("fabric", "python"));
    let inventory = format!("{state}/inventory");
    let here = "target ansible_connection=local ansible_python_interpreter=";
    std::fs::write(&inventory, format!("{here}{}\n", tool("ansible", "python")))?;
    let (puppet, vardir) = (format!("{state}/puppet"), format!("{state}/puppet/var"));
    let (shell, manifest) = (source("release.sh"), source("release.pp"));
    let (playbook, deploy, fabfile) =
        (source("release-ansible.yml"), source("release_pyinfra.py"), source("release_fabric.py"));
    let config = ssh.map(Ssh::config).unwrap_or_default();

    let mut found = Vec::new();
    let mut missing = Vec::new();
    let is_asked = |name: &str| options.is_asked(name);
    let options_of_puppet =
        ["--confdir", &puppet, "--vardir", &vardir, "--detailed-exitcodes", &manifest];
    let puppet = [&["/usr/bin/puppet", "apply"][..], &options_of_puppet].concat();
    let programs = [
        Contender::program("floor", 1, &[&floor, "full"], &with(&[])),
        Contender::program("floor, trusting stat", 1, &[&floor, "stat"], &with(&[])),
        Contender::program("bash", 1, &["/bin/bash", &shell], &with(&[])),
        Contender::program("Puppet", 2, &puppet, &[with(&[]), facts].concat()),
        Contender::program(
            "Fabric, SSH",
            2,
            &[&fabric, &fabfile],
            &with(&[("SSH_CONFIG", config)]),
        ),
        Contender::program("pyinfra", 2, &[&pyinfra, "-y", "@local", &deploy], &with(&[])),
        Contender::program(
            "Ansible, pipelining, no facts",
            4,
            &[&ansible, "-i", &inventory, &playbook],
            &with(&ansible_home),
        ),
    ];
    for contender in programs.into_iter().filter(|contender| is_asked(contender.name)) {
        match contender.is_there() && (ssh.is_some() || !contender.name.ends_with("SSH")) {
            true => found.push(contender),
            false => missing.push(format!("{} is not installed", contender.name)),
        }
    }
    if is_asked("Cerebro") {
        let component = options.components.join(COMPONENT);
        let log = Path::new(&state).join("Cerebro.log");
        let environment = with(&[(resident::JOURNAL, "on".to_owned())]);
        let mut cerebro = Contender::resident("Cerebro", &component, &environment, &log, group)?;
        cerebro.slowness = 1;
        found.insert(found.len().min(2), cerebro);
    }
    Ok((found, missing))
}

fn table(contenders: &[Contender], figures: &[Figures], missing: Vec<String>) -> Table {
    let mut table = Table::new(
        "A release",
        "Directories, 20 small files with owners and modes, an archive of 20 MB fetched over HTTP, \
         checked and unpacked to 300 files, a file from a template, a command, a marker and the flip \
         of a link: from nothing, and again with nothing to do. Medians in ms, with the ratio to bash; \
         CPU time of all processes that took part. Cerebro's agent and sshd are there already, the \
         others are started for each release. The floor does the system calls and nothing else."
            .to_owned(),
        &[
            "contender", "runs", "cold", "× bash", "CPU", "× bash", "nothing to do", "× bash",
            "CPU", "× bash",
        ],
    );
    let at = |figures: &Figures| {
        let wall = |runs: &[(f64, f64)]| median(&runs.iter().map(|run| run.0).collect::<Vec<_>>());
        let cpu = |runs: &[(f64, f64)]| median(&runs.iter().map(|run| run.1).collect::<Vec<_>>());
        [wall(&figures.cold), cpu(&figures.cold), wall(&figures.again), cpu(&figures.again)]
    };
    let bash = contenders.iter().position(|contender| contender.name == "bash");
    let bash = bash.and_then(|at_bash| figures.get(at_bash)).map(at).unwrap_or_default();
    for (contender, figures) in contenders.iter().zip(figures) {
        let mut cells = vec![figures.cold.len().to_string()];
        for (value, yardstick) in at(figures).into_iter().zip(bash) {
            cells.push(figure(value, 1));
            cells.push(figure(ratio(value, yardstick), 2));
        }
        table.row(contender.name, cells);
    }
    missing.into_iter().for_each(|note| table.note(note));
    table
}

/// A group that is cleared away at the end, also after a failure.
struct Accounted(Group);

impl Drop for Accounted {
    fn drop(&mut self) {
        if !self.0.destroy(Duration::from_secs(10)) {
            eprintln!("a control group of the bench is left behind");
        }
    }
}
