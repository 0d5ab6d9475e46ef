//! apk: apk(8).

use super::package::{Found, Installed, Step};
use super::{Argv, argv};
use std::collections::BTreeMap;

pub(super) fn look(names: &[&str]) -> Argv {
    argv(&["/sbin/apk", "list", "--installed", "--"], names.iter().copied())
}

pub(super) fn ask_newest(names: &[&str]) -> Argv {
    argv(&["/sbin/apk", "list", "--available", "--"], names.iter().copied())
}

pub(super) fn found(answer: &str, names: &[&str]) -> Found {
    let installed = |version| Installed { version, held: false };
    newest(answer, names).into_iter().map(|(name, version)| (name, installed(version))).collect()
}

/// From lines such as `nginx-1.24.0-r7 x86_64 {nginx} (BSD-2-Clause) [installed]`: where the name
/// ends is known from those that were asked for. The last line of a name is its newest.
pub(super) fn newest(answer: &str, names: &[&str]) -> BTreeMap<String, String> {
    let one = |line: &str| {
        let full = line.split(' ').next()?;
        let of = |name: &str| {
            let version = full.strip_prefix(name)?.strip_prefix('-')?;
            let is_version = version.starts_with(|c: char| c.is_ascii_digit());
            is_version.then(|| (name.to_owned(), version.to_owned()))
        };
        names.iter().find_map(|name| of(name))
    };
    answer.lines().filter_map(one).collect()
}

pub(super) fn change(steps: &[Step]) -> Vec<Argv> {
    runs(steps, "-q")
}

pub(super) fn simulate(steps: &[Step]) -> Vec<Argv> {
    runs(steps, "--simulate")
}

fn runs(steps: &[Step], how: &str) -> Vec<Argv> {
    let (mut add, mut remove) = (Vec::new(), Vec::new());
    for step in steps {
        match step {
            Step::Install(name) | Step::Upgrade(name) => add.push(name.clone()),
            Step::InstallVersion(name, version) => add.push(format!("{name}={version}")),
            Step::Remove(name) => remove.push(name.clone()),
        }
    }
    let runs = [
        (vec!["/sbin/apk", how, "del", "--"], remove),
        (vec!["/sbin/apk", how, "add", "--upgrade", "--"], add),
    ];
    runs.iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(words, names)| argv(words, names.iter().map(String::as_str)))
        .collect()
}

/// From lines such as `(1/2) Upgrading NAME (OLD -> NEW)`.
pub(super) fn simulated(answer: &str) -> Vec<String> {
    let one = |line: &str| {
        let (_, words) = line.strip_prefix('(')?.split_once(") ")?;
        let (what, words) = words.split_once(' ')?;
        let (name, versions) = words.split_once(" (")?;
        let versions = versions.strip_suffix(')')?;
        match what {
            "Installing" => Some(format!("install {name} {versions}")),
            "Purging" => Some(format!("remove {name} {versions}")),
            _ => Some(format!("upgrade {name} {}", versions.replace(" -> ", " to "))),
        }
    };
    answer.lines().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_change_is_read() {
        let answer = "(1/3) Purging nano (7.2-r1)\n(2/3) Upgrading musl (1.2.4-r1 -> 1.2.4-r2)\n(3/3) \
                      Installing nginx (1.24.0-r7)\nOK: 8 MiB in 16 packages\n";
        let expected =
            ["remove nano 7.2-r1", "upgrade musl 1.2.4-r1 to 1.2.4-r2", "install nginx 1.24.0-r7"];
        assert_eq!(simulated(answer), expected);
    }

    #[test]
    fn name_and_version_are_told_apart() {
        let answer = "WARNING: opening cache\nnginx-1.24.0-r7 x86_64 {nginx} (BSD-2-Clause) [installed]\n\
                      nginx-mod-http-js-1.24.0-r7 x86_64 {nginx} (BSD-2-Clause) [installed]\n";
        let found = found(answer, &["nginx", "nginx-mod-http-js", "redis"]);
        assert_eq!(found["nginx"].version, "1.24.0-r7");
        assert_eq!(found["nginx-mod-http-js"].version, "1.24.0-r7");
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn steps_become_two_runs() {
        let steps = [
            Step::InstallVersion("redis".to_owned(), "7.0.15-r0".to_owned()),
            Step::Remove("nginx".to_owned()),
        ];
        let runs = change(&steps);
        assert_eq!(runs[0], ["/sbin/apk", "-q", "del", "--", "nginx"]);
        assert_eq!(runs[1][5..], ["redis=7.0.15-r0"]);
    }
}
