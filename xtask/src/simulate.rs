//! The simulation, and whether it would notice if what holds the cluster back were not there.

use crate::aws;
use crate::shell::{output, run};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;

/// What is simulated.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Optimised: for thousands of seeds.
    #[arg(long)]
    release: bool,
    /// Break what holds the cluster back, one thing after the other, and see that seeds fail; only those in whose
    /// names this is, if something is given.
    #[arg(long, value_name = "WORDS", num_args = 0..=1, default_missing_value = "")]
    mutants: Option<String>,
    /// Handed on: `--seeds N`, `--from N`, `--seed N`, `--hours N`, `--machines N`, `--amazon`, ...
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Something that must hold, taken away.
struct Mutant {
    name: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
}

/// Each is one edit of the sources, of a text that is there once.
const MUTANTS: [Mutant; 7] = [
    Mutant {
        name: "no fence: whoever led before can still commit",
        file: "host/store/src/sqlite.rs",
        from: "if current != fence.0 {",
        to: "if current < fence.0 {",
    },
    Mutant {
        name: "no breaker: a zone that is silent as a whole is given up",
        file: "host/planner/src/cluster/repair.rs",
        from: "let breaker = self.breakers.contains_key(zone);",
        to: "let breaker = self.breakers.contains_key(zone) && false;",
    },
    Mutant {
        name: "no second witness: a provider that cannot say is taken for one that says no",
        file: "host/planner/src/cluster/repair.rs",
        from: "if let Presence::Running | Presence::Unknown = word.presence {",
        to: "if let Presence::Running = word.presence {",
    },
    Mutant {
        name: "no word of peers: whatever another machine says passes for silence",
        file: "host/clustersitter/src/cluster/kept.rs",
        from: "            observed.peers.insert(word.peer.clone(), word);",
        to: "            let sight = cerebro_model::Sight::Silent;\n            observed.peers.insert(word.peer.clone(), PeerWord { sight, ..word });",
    },
    Mutant {
        name: "no fencing: what must be alone starts while the machine that hangs may run it",
        file: "host/planner/src/cluster/fill.rs",
        from: "let is_left = instance.machine != *to && may_run(self.fleet, &instance.machine);",
        to: "let is_left = instance.machine != *to && counts(self.fleet, &instance.machine);",
    },
    Mutant {
        name: "no ownership: what a listing shows and no record names is destroyed",
        file: "host/clustersitter/src/executor/machines.rs",
        from: "    pub(super) fn create_what_is_missing(&self, standstill: &Standstill) {\n",
        to: "    pub(super) fn create_what_is_missing(&self, standstill: &Standstill) {\n        let cluster = self.cluster.clone();\n        self.spawn(async move {\n            for id in cluster.provider.list().await.unwrap_or_default() {\n                if !cluster.state().records.machines.contains_key(&id) {\n                    let _ = cluster.provider.destroy(&id, None).await;\n                }\n            }\n        });\n",
    },
    Mutant {
        name: "no intent first: a machine is asked for before that is committed",
        file: "host/clustersitter/src/executor/machines.rs",
        from: "        self.change(|state| Ok((intended(state, made_in, capacity, token, reason), ())))\n",
        to: "        let id = MachineId::nth(self.cluster.state().records.counters.machine);\n        let Some(begun) = self.begin(Effect::Create, &id) else { return Ok(()) };\n        let early = CreateMachine {\n            id,\n            zone: made_in.0.clone(),\n            capacity,\n            controller: self.controller.clone(),\n            join_token: token.clone(),\n            term: made_in.1,\n            environment: BTreeMap::new(),\n        };\n        let (cluster, reason) = (self.cluster.clone(), reason.to_owned());\n        self.spawn(async move {\n            drop(cluster.provider.create(&early).await);\n            drop(begun);\n            let late: Result<(), ChangeError> = cluster.change(|state| Ok((intended(state, made_in, capacity, token, &reason), ())));\n            drop(late);\n        });\n        Ok(())\n",
    },
];

/// Seeds within which each must be caught.
const CAUGHT_WITHIN: &str = "1000";

pub fn simulate(options: &Options) -> Result<()> {
    if let Some(words) = &options.mutants {
        return mutants(options, words);
    }
    let handed_on: Vec<&str> = options.rest.iter().map(String::as_str).collect();
    if handed_on.contains(&"--amazon") {
        let (release, built) =
            if options.release { (&["--release"][..], "release") } else { (&[][..], "debug") };
        aws::cargo("build", &[&["--bin", "cerebro-simulation"], release].concat())?;
        let program = cerebro_tests::root().join("target").join(built).join("cerebro-simulation");
        return run(&program.to_string_lossy(), &handed_on);
    }
    let mut arguments = vec!["run", "--package", "cerebro-simulation"];
    arguments.extend(options.release.then_some("--release"));
    arguments.push("--");
    arguments.extend(handed_on);
    run("cargo", &arguments)
}

/// Each in a copy of the sources, built by itself: what is built of a mutant must be taken for nothing else.
fn mutants(options: &Options, words: &str) -> Result<()> {
    let root = cerebro_tests::root();
    let tree = root.join("target/mutants");
    let files = output("git", &["ls-files", "--cached", "--others", "--exclude-standard"])?;
    for file in files.lines() {
        copy(&root.join(file), &tree.join(file))?;
    }
    for mutant in MUTANTS.iter().filter(|it| it.name.contains(words)) {
        let text = text_of(&tree, mutant)?;
        let Mutant { name, file, from, to } = mutant;
        let mutated = tree.join(file);
        fs::write(&mutated, text.replace(from, to))?;
        eprintln!("\x1b[2m{name}\x1b[0m");
        let mut command = Command::new("cargo");
        command.current_dir(&tree).env("CARGO_TARGET_DIR", tree.join("target"));
        command.args(["run", "--quiet", "--package", "cerebro-simulation"]);
        command.args(options.release.then_some("--release"));
        command.args(["--", "--seeds", CAUGHT_WITHIN, "--until-caught"]).args(&options.rest);
        let run = command.output().context("cannot run cargo")?;
        let words = String::from_utf8_lossy(&run.stdout);
        let caught = words.lines().find(|line| line.starts_with("seed "));
        let caught = caught.with_context(|| {
            let errors = String::from_utf8_lossy(&run.stderr);
            format!("no seed of {CAUGHT_WITHIN} noticed: {name}\n{words}{errors}")
        })?;
        println!("{name}\n  caught: {caught}\n  {}", words.lines().last().unwrap_or_default());
        fs::write(&mutated, text)?;
    }
    Ok(())
}

/// Whether each mutant still has something to take away: whoever changes that learns of it at once.
pub fn check_mutants() -> Result<()> {
    MUTANTS.iter().try_for_each(|mutant| text_of(&cerebro_tests::root(), mutant).map(drop))
}

/// The file that a mutant changes, as it is below `root`.
fn text_of(root: &Path, Mutant { name, file, from, .. }: &Mutant) -> Result<String> {
    let text =
        fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {file}"))?;
    ensure!(
        text.matches(from).count() == 1,
        "{file} does not hold once what `{name}` takes away: write that mutant anew, in xtask/src/simulate.rs"
    );
    Ok(text)
}

/// Only what differs, so that what is built stays fresh.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let Ok(new) = fs::read(from) else { return Ok(()) };
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    if let Some(directory) = to.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(to, new).with_context(|| format!("cannot write {}", to.display()))
}
