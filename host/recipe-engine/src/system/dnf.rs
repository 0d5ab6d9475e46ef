//! dnf and rpm: dnf(8), rpm(8).

use super::package::{Found, Installed, Step};
use super::{Argv, argv};

const FORMAT: &str = "%{NAME}\\t%{EPOCHNUM}\\t%{VERSION}-%{RELEASE}\\n";

pub(super) fn look(names: &[&str]) -> Argv {
    argv(&["/usr/bin/rpm", "-q", "--qf", FORMAT, "--"], names.iter().copied())
}

pub(super) fn ask_newest(names: &[&str]) -> Argv {
    const FORMAT: &str = "%{name}\\t%{epoch}\\t%{version}-%{release}\\n";
    let words = ["/usr/bin/dnf", "-q", "repoquery", "--latest-limit=1", "--qf", FORMAT, "--"];
    argv(&words, names.iter().copied())
}

/// From lines of name, epoch and version; others, such as `package x is not installed`, are none.
/// An epoch of 0 is left out, as people do.
pub(super) fn found(answer: &str) -> Found {
    let one = |line: &str| {
        let mut fields = line.split('\t');
        let (name, epoch, version) = (fields.next()?, fields.next()?, fields.next()?);
        let version = match epoch {
            "0" | "" | "(none)" => version.to_owned(),
            epoch => format!("{epoch}:{version}"),
        };
        Some((name.to_owned(), Installed { version, held: false }))
    };
    answer.lines().filter_map(one).collect()
}

pub(super) fn change(steps: &[Step]) -> Vec<Argv> {
    let of = |word: &str, pick: &dyn Fn(&Step) -> Option<String>| {
        let names: Vec<_> = steps.iter().filter_map(pick).collect();
        let words = ["/usr/bin/dnf", word, "-y", "-q", "--"];
        (!names.is_empty()).then(|| argv(&words, names.iter().map(String::as_str)))
    };
    // A version may be an older one; without one, `install` leaves what is there as it is.
    let install = of("install", &|step| match step {
        Step::Install(name) => Some(name.clone()),
        Step::InstallVersion(name, version) => Some(format!("{name}-{version}")),
        Step::Upgrade(_) | Step::Remove(_) => None,
    });
    let upgrade = of("upgrade", &|step| match step {
        Step::Upgrade(name) => Some(name.clone()),
        _ => None,
    });
    let remove = of("remove", &|step| match step {
        Step::Remove(name) => Some(name.clone()),
        _ => None,
    });
    remove.into_iter().chain(install).chain(upgrade).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rpm_says_is_read() {
        let answer =
            "bash\t0\t5.1.8-9.el9\npackage nano is not installed\nvim-common\t2\t8.2-20.el9\n";
        let found = found(answer);
        assert_eq!(found.len(), 2);
        assert_eq!(found["bash"].version, "5.1.8-9.el9");
        assert_eq!(found["vim-common"].version, "2:8.2-20.el9");
    }

    #[test]
    fn what_goes_goes_first() {
        let steps = [
            Step::Install("nginx".to_owned()),
            Step::Remove("httpd".to_owned()),
            Step::InstallVersion("redis".to_owned(), "6.2.7-1.el9".to_owned()),
            Step::Upgrade("vim-common".to_owned()),
        ];
        let runs = change(&steps);
        assert_eq!(runs[0][1..], ["remove", "-y", "-q", "--", "httpd"]);
        assert_eq!(runs[1][1..], ["install", "-y", "-q", "--", "nginx", "redis-6.2.7-1.el9"]);
        assert_eq!(runs[2][1..], ["upgrade", "-y", "-q", "--", "vim-common"]);
        assert_eq!(runs.len(), 3);
    }
}
