//! Who is measured: the descriptions in `supervision/contenders`.
//!
//! `NAME.cmd` is one command line, run once for each task, with the placeholders `{bin}`,
//! `{child}`, `{i}`, `{dir}`, `{logs}`, `{rot}` (bytes), `{mem}` (bytes, 0 for none) and `{mem_mb}`.
//! `NAME.sh` is a supervisor of many; `lib.sh` says what it is called with. Comments of the form
//! `# scenarios: …`, `# needs: PROGRAM…` and `# logs: DIRECTORY` (where the first task's log is, if
//! not in `log`) say the rest.

use crate::scenario::Scenario;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};

/// A supervisor, or a floor.
#[derive(Debug, Clone)]
pub struct Contender {
    /// The description's file name without its ending.
    pub name: String,
    /// What its tasks tell whose they are by.
    pub id: u32,
    /// How it is started.
    pub way: Way,
    /// Where the first task's log is, below the contender's directory.
    pub logs: String,
    scenarios: Vec<Scenario>,
    needs: Vec<String>,
}

/// How a contender is started.
#[derive(Debug, Clone)]
pub enum Way {
    /// One process for each task: its command line, with placeholders.
    PerTask(String),
    /// One for all: a script.
    OfMany(PathBuf),
}

impl Contender {
    fn read(file: &Path, id: u32) -> Result<Self> {
        let text = fs::read_to_string(file)?;
        let header = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix("# ")?.strip_prefix(name)?.strip_prefix(':'))
        };
        let words = |name| header(name).into_iter().flat_map(str::split_whitespace);
        let scenarios: Vec<Scenario> =
            words("scenarios").map(Scenario::named).collect::<Result<_, _>>()?;
        ensure!(!scenarios.is_empty(), "it takes part in nothing: `# scenarios:` is missing");
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let way = match file.extension().and_then(|ending| ending.to_str()) {
            Some("sh") => Way::OfMany(file.to_owned()),
            _ => {
                let line = text.lines().find(|line| !line.starts_with('#') && !line.is_empty());
                Way::PerTask(line.context("it has no command line")?.to_owned())
            }
        };
        let logs = header("logs").map_or("log", str::trim).to_owned();
        let needs = words("needs").map(str::to_owned).collect();
        Ok(Self { name, id, way, logs, scenarios, needs })
    }

    /// Whether it is one of those that the others are compared with.
    pub fn is_floor(&self) -> bool {
        self.name.starts_with("floor-")
    }

    /// Whether it takes part in a scenario.
    pub fn takes_part_in(&self, scenario: Scenario) -> bool {
        self.scenarios.contains(&scenario)
    }

    /// The first program that it needs and that is not here.
    fn missing(&self, bin: &Path) -> Option<&str> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let is_there = |program: &str| match program.strip_prefix("{bin}/") {
            Some(ours) => bin.join(ours).is_file(),
            None => std::env::split_paths(&path).any(|place| place.join(program).is_file()),
        };
        self.needs.iter().map(String::as_str).find(|program| !is_there(program))
    }
}

/// Reads all descriptions of a directory, and leaves out whose programs are not here, with a word,
/// and who is not asked for. The floors come first.
pub fn load(directory: &Path, bin: &Path, only: &[String]) -> Result<Vec<Contender>> {
    let problem = || format!("cannot read {}", directory.display());
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(directory).with_context(problem)? {
        let path = entry.with_context(problem)?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if matches!(ending, Some("cmd" | "sh")) && !path.ends_with("lib.sh") {
            files.push(path);
        }
    }
    files.sort();
    let mut contenders = Vec::new();
    for (file, id) in files.iter().zip(1..) {
        contenders.push(Contender::read(file, id).with_context(|| file.display().to_string())?);
    }
    for name in only {
        let is_known = contenders.iter().any(|contender| contender.name == *name);
        ensure!(is_known, "there is no contender `{name}` in {}", directory.display());
    }
    contenders.retain(|contender| {
        contender.is_floor() || only.is_empty() || only.contains(&contender.name)
    });
    contenders.retain(|contender| match contender.missing(bin) {
        None => true,
        Some(program) => {
            println!("skipped: {} ({program} is not installed)", contender.name);
            false
        }
    });
    contenders.sort_by_key(|contender| !contender.is_floor());
    Ok(contenders)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("supervision/contenders")
    }

    #[test]
    fn every_scenario_that_compares_has_its_floor() {
        let contenders = load(&directory(), Path::new("/"), &[]).unwrap();
        for scenario in Scenario::ALL {
            let Some(floor) = scenario.floor() else { continue };
            let named = contenders.iter().find(|contender| contender.name == floor).unwrap();
            assert!(named.takes_part_in(scenario), "{floor} in {}", scenario.name());
            assert!(named.is_floor());
        }
    }

    #[test]
    fn who_is_not_asked_for_is_left_out_and_who_is_unknown_is_refused() {
        let contenders = load(&directory(), Path::new("/"), &["tasksitter".to_owned()]).unwrap();
        // Ours is not in `/`, and is skipped.
        assert!(contenders.iter().all(Contender::is_floor) && !contenders.is_empty());
        let error = load(&directory(), Path::new("/"), &["nobody".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("no contender `nobody`"));
    }

    #[test]
    fn a_description_says_where_its_logs_are() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("x.cmd");
        fs::write(&file, "# scenarios: log\n# logs: a/b\n# needs: no-such-program\nx {child}\n")
            .unwrap();
        let contender = Contender::read(&file, 1).unwrap();
        assert_eq!(contender.logs, "a/b");
        assert_eq!(contender.missing(Path::new("/")), Some("no-such-program"));
        assert!(matches!(&contender.way, Way::PerTask(line) if line == "x {child}"));
        fs::write(&file, "x\n").unwrap();
        assert!(Contender::read(&file, 1).is_err());
    }
}
