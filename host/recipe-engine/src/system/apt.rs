//! apt and dpkg: apt-get(8), apt-cache(8), apt-mark(8), dpkg-query(1).

use super::package::{Found, Installed, Step};
use super::{Argv, argv};
use std::collections::BTreeMap;

const FORMAT: &str = "-f=${Package}\\t${db:Status-Want}\\t${db:Status-Status}\\t${Version}\\n";

pub(super) fn look(names: &[&str]) -> Argv {
    argv(&["/usr/bin/dpkg-query", "-W", FORMAT, "--"], names.iter().copied())
}

pub(super) fn found(answer: &str) -> Found {
    let one = |line: &str| {
        let mut fields = line.split('\t');
        let (name, want, status) = (fields.next()?, fields.next()?, fields.next()?);
        let version = fields.next()?.to_owned();
        let installed = Installed { version, held: want == "hold" };
        (status == "installed").then(|| (name.to_owned(), installed))
    };
    answer.lines().filter_map(one).collect()
}

pub(super) fn ask_newest(names: &[&str]) -> Argv {
    argv(&["/usr/bin/apt-cache", "policy", "--"], names.iter().copied())
}

/// From stanzas of `NAME:` and lines below it, one of them `Candidate: VERSION`.
pub(super) fn newest(answer: &str) -> BTreeMap<String, String> {
    let (mut newest, mut name) = (BTreeMap::new(), None);
    for line in answer.lines() {
        if let Some(head) = line.strip_suffix(':').filter(|head| !head.starts_with(' ')) {
            name = Some(head.to_owned());
        }
        let candidate = line.trim().strip_prefix("Candidate: ").filter(|text| *text != "(none)");
        if let (Some(name), Some(candidate)) = (&name, candidate) {
            newest.insert(name.clone(), candidate.to_owned());
        }
    }
    newest
}

pub(super) fn change(steps: &[Step]) -> Argv {
    let words = [
        "/usr/bin/apt-get",
        "install",
        "-y",
        "-q",
        "--no-install-recommends",
        "--allow-downgrades",
        "--allow-change-held-packages",
        // A configuration that somebody changed stays as it is.
        "-o",
        "Dpkg::Options::=--force-confdef",
        "-o",
        "Dpkg::Options::=--force-confold",
        // Somebody else may be installing just now.
        "-o",
        "DPkg::Lock::Timeout=120",
        "--",
    ];
    let word = |step: &Step| match step {
        Step::Install(name) | Step::Upgrade(name) => name.clone(),
        Step::InstallVersion(name, version) => format!("{name}={version}"),
        Step::Remove(name) => format!("{name}-"),
    };
    let steps: Vec<_> = steps.iter().map(word).collect();
    argv(&words, steps.iter().map(String::as_str))
}

pub(super) fn simulate(steps: &[Step]) -> Argv {
    let mut argv = change(steps);
    argv.insert(1, "--simulate".to_owned());
    argv
}

/// From lines such as `Inst NAME [OLD] (NEW SOURCE [ARCHITECTURE])` and `Remv NAME [OLD]`.
pub(super) fn simulated(answer: &str) -> Vec<String> {
    let one = |line: &str| {
        let mut words = line.split_whitespace();
        let (what, name) = (words.next()?, words.next()?);
        let rest: Vec<&str> = words.collect();
        let old = rest.first().and_then(|word| word.strip_prefix('[')?.strip_suffix(']'));
        let new = rest.iter().find_map(|word| word.strip_prefix('('));
        match (what, old, new) {
            ("Inst", Some(old), Some(new)) => Some(format!("upgrade {name} {old} to {new}")),
            ("Inst", None, Some(new)) => Some(format!("install {name} {new}")),
            ("Remv" | "Purg", ..) => Some(format!("remove {name} {}", old.unwrap_or_default())),
            _ => None,
        }
    };
    answer.lines().filter_map(one).collect()
}

pub(super) fn hold(hold: bool, names: &[&str]) -> Argv {
    argv(&["/usr/bin/apt-mark", if hold { "hold" } else { "unhold" }], names.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_is_read() {
        let answer = "bash\tinstall\tinstalled\t5.2.15-2+b7\nnano\tdeinstall\tconfig-files\t7.2-1\n\
                      vim\thold\tinstalled\t2:9.0\nsl\tunknown\tnot-installed\t\n";
        let found = found(answer);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["bash", "vim"]);
        assert_eq!(found["bash"].version, "5.2.15-2+b7");
        assert!(found["vim"].held && !found["bash"].held);
    }

    #[test]
    fn the_newest_version_is_read() {
        let answer = "bash:\n  Installed: 5.2.15-2+b7\n  Candidate: 5.2.15-2+b8\n  Version table:\n \
                      *** 5.2.15-2+b7 100\n        100 /var/lib/dpkg/status\nvirtual:\n  Installed: \
                      (none)\n  Candidate: (none)\n";
        let newest = newest(answer);
        assert_eq!(newest.len(), 1);
        assert_eq!(newest["bash"], "5.2.15-2+b8");
    }

    #[test]
    fn what_would_change_is_read() {
        let answer = "Reading package lists...\nThe following NEW packages will be installed:\n  \
                      nginx-common\nRemv nano [7.2-1]\nInst libc6 [2.36-9] (2.36-10 Debian:12.1/stable \
                      [amd64]) []\nInst nginx (1.22.1-9 Debian:12/stable [amd64])\nConf nginx (1.22.1-9 \
                      Debian:12/stable [amd64])\n";
        let expected =
            ["remove nano 7.2-1", "upgrade libc6 2.36-9 to 2.36-10", "install nginx 1.22.1-9"];
        assert_eq!(simulated(answer), expected);
        let argv = simulate(&[Step::Install("nginx".to_owned())]);
        assert_eq!(argv[..3], ["/usr/bin/apt-get", "--simulate", "install"]);
    }

    #[test]
    fn all_is_done_in_one_run() {
        let steps = [
            Step::Install("g++".to_owned()),
            Step::InstallVersion("nginx".to_owned(), "1.2-3".to_owned()),
            Step::Remove("nano".to_owned()),
        ];
        let argv = change(&steps);
        let end = argv.iter().position(|word| word == "--").unwrap();
        assert_eq!(argv[end + 1..], ["g++", "nginx=1.2-3", "nano-"]);
        assert_eq!(hold(true, &["a"]), ["/usr/bin/apt-mark", "hold", "a"]);
    }
}
