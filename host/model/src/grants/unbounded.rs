//! Grants that have no bound: with them, a component can do whatever it likes.

use super::command::{CommandPattern, may_lie_in};
use super::known::{
    INTERPRETERS, LAUNCHERS, PACKAGE_MANAGERS, PATHS, POWERFUL, POWERFUL_GROUPS, SYSTEM, WRITERS,
};
use super::path::is_at_or_below;
use super::{Grants, PathPattern};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A line of the grants that lets a component do anything, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Unbounded {
    /// The key below `grants`.
    pub key: String,
    /// The value there.
    pub value: String,
    /// Why it has no bound.
    pub why: String,
}

impl fmt::Display for Unbounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UNBOUNDED: grants.{} `{}`: {}", self.key, self.value, self.why)
    }
}

impl Grants {
    /// The lines with which a component can do anything that the agent can, each with the reason.
    /// None is a promise: a program that is not known here may do anything too.
    pub fn unbounded(&self) -> Vec<Unbounded> {
        let mut found = Vec::new();
        let mut add = |key: &str, value: String, why: String| {
            found.push(Unbounded { key: key.to_owned(), value, why });
        };
        for tree in &self.write {
            if let Some(why) = of_tree(tree.as_str()) {
                add("write", tree.as_str().to_owned(), why);
            }
        }
        for command in &self.commands {
            if let Some(why) = of_command(command, &self.write) {
                add("commands", command.to_string(), why);
            }
        }
        for host in self.hosts.iter().filter(|host| host.is_any()) {
            add("hosts", host.to_string(), "every host is meant, those inside as well".to_owned());
        }
        for package in self.packages.iter().filter(|package| is_anything(package.as_str())) {
            let why = "every package is meant, also such as bring a shell or an open door";
            add("packages", package.as_str().to_owned(), why.to_owned());
        }
        for user in &self.users {
            if let Some(group) = POWERFUL_GROUPS.iter().find(|group| user.covers(group)) {
                let why =
                    format!("whoever is made, or is made a member of, `{group}` rules the machine");
                add("users", user.as_str().to_owned(), why);
            }
        }
        found
    }
}

fn is_anything(pattern: &str) -> bool {
    pattern.bytes().all(|b| b == b'*')
}

fn of_tree(tree: &str) -> Option<String> {
    let holds = |known: &&&str| is_at_or_below(known, tree);
    let touches = |known: &&&str| is_at_or_below(known, tree) || is_at_or_below(tree, known);
    if tree.split('/').any(|part| part == ".ssh") {
        return Some("who writes there can log in".to_owned());
    }
    if tree == "/dev/shm" || tree.starts_with("/dev/shm/") {
        return None;
    }
    if SYSTEM.contains(&tree) || POWERFUL.contains(&tree) {
        return Some("the machine itself lies there".to_owned());
    }
    if let Some(dir) = PATHS.iter().find(touches) {
        return Some(format!("programs are looked for in `{dir}`"));
    }
    if let Some(known) = POWERFUL.iter().find(touches) {
        return Some(format!("what is written to `{known}` is done by root or the kernel"));
    }
    SYSTEM.iter().find(holds).map(|known| format!("`{known}` lies there"))
}

fn of_command(command: &CommandPattern, write: &[PathPattern]) -> Option<String> {
    if let Some(bound) = command.bound() {
        let mut trees = bound.writes.iter().flatten();
        if let Some(why) = trees.find_map(|tree| of_tree(tree.as_str())) {
            return Some(format!("it can write there, and {why}"));
        }
        // With the network, or with all files, it could still have others do what it may not.
        if bound.writes.is_some() && !bound.network {
            return None;
        }
    }
    let program = command.program();
    let trees = || write.iter().map(PathPattern::as_str);
    // Below a directory of programs, or at a program: wherever the two meet.
    let meets = |tree: &&str| {
        may_lie_in(program, tree) || (command.means_many() && is_at_or_below(tree, program))
    };
    if let Some(tree) = trees().find(meets) {
        return Some(format!("the component can write the program itself, below `{tree}`"));
    }
    let mut words = command.words().iter();
    if let Some(word) = words.find(|word| trees().any(|tree| names_something_in(word, tree)))
        && let Some(sort) = sort_of(program).or_else(|| many(command))
        && sort.runs_files
    {
        return Some(format!("{}, and the component can write `{word}`", sort.does));
    }
    let sort = sort_of(program).or_else(|| many(command))?;
    (!is_fixed(command, &sort)).then(|| sort.does.to_owned())
}

/// What sort of program without a bound it is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sort {
    does: &'static str,
    /// Whether it runs what a file says that its arguments name.
    runs_files: bool,
    /// Whether it asks for a program if its arguments bring none.
    reads_input: bool,
}

const INTERPRETER: Sort =
    Sort { does: "an interpreter runs whatever it is told", runs_files: true, reads_input: true };
const LAUNCHER: Sort =
    Sort { does: "it starts other programs", runs_files: true, reads_input: false };
const PACKAGE_MANAGER: Sort = Sort {
    does: "a package manager runs the scripts of what it installs",
    runs_files: true,
    reads_input: false,
};
const WRITER: Sort =
    Sort { does: "it writes whatever file it is told", runs_files: false, reads_input: false };
const MANY: Sort = Sort {
    does: "there are shells and interpreters among these programs",
    runs_files: true,
    reads_input: true,
};

fn sort_of(program: &str) -> Option<Sort> {
    let name = program.rsplit('/').next().unwrap_or(program);
    // `python3.12`, `perl5.36-x86_64-linux-gnu`, `ld-linux-x86-64.so.2`.
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-'));
    let known = |list: &[&str]| {
        list.contains(&name)
            || list.contains(&stem)
            || list.iter().any(|known| {
                name.strip_prefix(known).is_some_and(|rest| {
                    rest.starts_with(|c: char| c.is_ascii_digit()) && known.len() > 1
                })
            })
    };
    if known(INTERPRETERS) {
        return Some(INTERPRETER);
    }
    if known(LAUNCHERS) || name.starts_with("ld-linux") || name.starts_with("ld-musl") {
        return Some(LAUNCHER);
    }
    if known(PACKAGE_MANAGERS) {
        return Some(PACKAGE_MANAGER);
    }
    known(WRITERS).then_some(WRITER)
}

/// For a pattern of programs: whether there may be an interpreter among them.
fn many(command: &CommandPattern) -> Option<Sort> {
    let programs = |dir: &'static str| INTERPRETERS.iter().map(move |name| format!("{dir}/{name}"));
    let meant = |program: String| command.means_program(&program);
    let in_its_name = || {
        let name = command.program().rsplit('/').next().unwrap_or_default();
        !name.is_empty() && INTERPRETERS.iter().any(|known| super::glob::matches(name, known))
    };
    let is_meant = command.means_many()
        && (PATHS.iter().copied().flat_map(programs).any(meant) || in_its_name());
    is_meant.then_some(MANY)
}

/// Whether its words leave nothing open, and bring a program to one that asks for one.
fn is_fixed(command: &CommandPattern, sort: &Sort) -> bool {
    let words = command.words();
    let open = |word: &String| word.contains('*');
    if *sort == WRITER {
        // Its patterns are read as trees are.
        return !command.is_open();
    }
    if command.is_open() || words.iter().any(open) {
        return false;
    }
    let name = |word: &str| word.rsplit('/').next().unwrap_or_default().to_owned();
    let brings_another =
        words.iter().any(|word| sort_of(&name(word)).is_some_and(|other| other.reads_input));
    if !sort.reads_input {
        return !brings_another;
    }
    match words {
        [script, ..] if script.starts_with('/') => true,
        [flag, _, ..] => flag == "-c" || flag == "-e",
        _ => false,
    }
}

/// Whether an argument names something in a tree, alone or behind `--option=`.
fn names_something_in(word: &str, tree: &str) -> bool {
    let path = word.find('/').map(|at| word.split_at(at).1);
    path.is_some_and(|path| may_lie_in(path, tree))
}
