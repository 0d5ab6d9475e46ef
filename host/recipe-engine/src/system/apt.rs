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
        Step::Install(name) => name.clone(),
        Step::InstallVersion(name, version) => format!("{name}={version}"),
        Step::Remove(name) => format!("{name}-"),
    };
    let steps: Vec<_> = steps.iter().map(word).collect();
    argv(&words, steps.iter().map(String::as_str))
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
