//! Packages, whatever brings them.

use super::{Argv, apk, apt, dnf};
use crate::bindings::interfaces::packages::{Spec, State};
use crate::bindings::interfaces::types::Error;
use std::collections::BTreeMap;
use std::path::Path;

/// A package that is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Installed {
    pub(crate) version: String,
    /// Whether upgrades of the system leave it as it is.
    pub(crate) held: bool,
}

/// The packages that are installed, of those that were asked for.
pub(crate) type Found = BTreeMap<String, Installed>;

/// A package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manager {
    Apt,
    Dnf,
    Apk,
}

/// What is to be done with one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Installed, in the newest version that the sources have.
    Install(String),
    /// It is installed, and the sources have a newer version.
    Upgrade(String),
    /// Installed in this version, also if that is older.
    InstallVersion(String, String),
    Remove(String),
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Install(name) => write!(f, "install {name}"),
            Self::Upgrade(name) => write!(f, "upgrade {name}"),
            Self::InstallVersion(name, version) => write!(f, "install {name} {version}"),
            Self::Remove(name) => write!(f, "remove {name}"),
        }
    }
}

impl Manager {
    /// The one that a machine has.
    pub(crate) fn of(root: &Path) -> Option<Self> {
        let has = |path: &str| root.join(path).exists();
        let known =
            [(Self::Apt, "usr/bin/apt-get"), (Self::Dnf, "usr/bin/dnf"), (Self::Apk, "sbin/apk")];
        known.into_iter().find(|(_, path)| has(path)).map(|(manager, _)| manager)
    }

    /// Asks which of these are installed.
    pub(crate) fn look(self, names: &[&str]) -> Argv {
        match self {
            Self::Apt => apt::look(names),
            Self::Dnf => dnf::look(names),
            Self::Apk => apk::look(names),
        }
    }

    /// What it answered.
    pub(crate) fn found(self, answer: &str, names: &[&str]) -> Found {
        match self {
            Self::Apt => apt::found(answer),
            Self::Dnf => dnf::found(answer),
            Self::Apk => apk::found(answer, names),
        }
    }

    /// Asks for the newest versions that the sources have.
    pub(crate) fn ask_newest(self, names: &[&str]) -> Argv {
        match self {
            Self::Apt => apt::ask_newest(names),
            Self::Dnf => dnf::ask_newest(names),
            Self::Apk => apk::ask_newest(names),
        }
    }

    /// The newest version of each package that the sources know.
    pub(crate) fn newest(self, answer: &str, names: &[&str]) -> BTreeMap<String, String> {
        match self {
            Self::Apt => apt::newest(answer),
            Self::Dnf => {
                dnf::found(answer).into_iter().map(|(n, found)| (n, found.version)).collect()
            }
            Self::Apk => apk::newest(answer, names),
        }
    }

    /// Fetches the lists of what there is anew.
    pub(crate) fn refresh(self) -> Argv {
        super::argv(
            match self {
                Self::Apt => &["/usr/bin/apt-get", "update", "-q"],
                Self::Dnf => &["/usr/bin/dnf", "-q", "makecache"],
                Self::Apk => &["/sbin/apk", "-q", "update"],
            },
            [],
        )
    }

    /// Where those lists are kept.
    pub(crate) fn lists(self) -> &'static str {
        match self {
            Self::Apt => "/var/lib/apt/lists",
            Self::Dnf => "/var/cache/dnf",
            Self::Apk => "/var/cache/apk",
        }
    }

    /// Does all steps: apt in one run, the others in one for each sort.
    pub(crate) fn change(self, steps: &[Step]) -> Vec<Argv> {
        match self {
            Self::Apt => vec![apt::change(steps)],
            Self::Dnf => dnf::change(steps),
            Self::Apk => apk::change(steps),
        }
    }

    /// Asks what steps would come to, and does none of it; nothing if it has no such question.
    pub(crate) fn simulate(self, steps: &[Step]) -> Option<Vec<Argv>> {
        match self {
            Self::Apt => Some(vec![apt::simulate(steps)]),
            Self::Apk => Some(apk::simulate(steps)),
            // `--assumeno` ends as a failure does.
            Self::Dnf => None,
        }
    }

    /// What it answered: a line for each package that would change.
    pub(crate) fn simulated(self, answer: &str) -> Vec<String> {
        match self {
            Self::Apt => apt::simulated(answer),
            Self::Apk => apk::simulated(answer),
            Self::Dnf => Vec::new(),
        }
    }

    /// Has upgrades of the system leave packages alone, or not any more.
    pub(crate) fn hold(self, hold: bool, names: &[&str]) -> Result<Argv, Error> {
        match self {
            Self::Apt => Ok(apt::hold(hold, names)),
            Self::Dnf | Self::Apk => Err(Error::Unsupported(
                "this machine's package manager cannot hold a package as it is: leave out `hold`"
                    .to_owned(),
            )),
        }
    }
}

/// Refuses a name or version that a package manager may take for something else: an option, a
/// pattern, or a name with something appended.
pub(crate) fn check(spec: &Spec) -> Result<(), Error> {
    let name = &spec.name;
    let invalid = |what: &str| Err(Error::Invalid(format!("`{name}` is not a package: {what}")));
    let is_plain = |text: &str, more: &str| {
        text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
    };
    if !is_plain(name, "+-._") || name.len() > 128 {
        return invalid(
            "expected letters, digits, `+`, `-`, `.` and `_`, with one of the first two at its start",
        );
    }
    // apt reads `name-` as: remove `name`.
    if name.ends_with('-') {
        return invalid("it ends with `-`");
    }
    match &spec.state {
        State::Version(version) if !is_plain(version, "+-._:~") => {
            invalid(&format!("`{version}` is not a version"))
        }
        State::Other(other) => Err(Error::Invalid(format!("a package cannot be `{other}`"))),
        _ => Ok(()),
    }
}

/// What is to be done so that a package is as it should be; nothing if it is. `newest` is what the
/// sources have.
pub(crate) fn step(spec: &Spec, found: Option<&Installed>, newest: Option<&str>) -> Option<Step> {
    let name = spec.name.clone();
    let is = found.map(|found| found.version.as_str());
    match (&spec.state, is) {
        (State::Absent, None) | (State::Present, Some(_)) | (State::Other(_), _) => None,
        (State::Absent, Some(_)) => Some(Step::Remove(name)),
        (State::Present, None) => Some(Step::Install(name)),
        (State::Latest, is) if is.is_some() && (newest.is_none() || newest == is) => None,
        (State::Latest, None) => Some(Step::Install(name)),
        (State::Latest, Some(_)) => Some(Step::Upgrade(name)),
        (State::Version(version), Some(is)) if version == is => None,
        (State::Version(version), _) => Some(Step::InstallVersion(name, version.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, state: State) -> Spec {
        Spec { name: name.to_owned(), state, hold: None }
    }

    #[test]
    fn nothing_is_done_where_all_is_as_it_should_be() {
        let is = Installed { version: "1.2-3".to_owned(), held: false };
        let decide = |state, is: Option<&Installed>, newest| step(&spec("a", state), is, newest);
        let version = |text: &str| State::Version(text.to_owned());
        for state in [State::Present, State::Latest, version("1.2-3")] {
            assert_eq!(decide(state, Some(&is), Some("1.2-3")), None);
        }
        assert_eq!(decide(State::Absent, None, None), None);
        // One that no source has any more is as new as can be.
        assert_eq!(decide(State::Latest, Some(&is), None), None);
        let a = || "a".to_owned();
        assert_eq!(decide(State::Latest, Some(&is), Some("2")), Some(Step::Upgrade(a())));
        assert_eq!(decide(State::Latest, None, Some("2")), Some(Step::Install(a())));
        assert_eq!(decide(State::Present, None, None), Some(Step::Install(a())));
        assert_eq!(decide(State::Absent, Some(&is), None), Some(Step::Remove(a())));
        let older = Some(Step::InstallVersion(a(), "1.1".to_owned()));
        assert_eq!(decide(version("1.1"), Some(&is), None), older);
    }

    #[test]
    fn what_a_package_manager_would_misread_is_refused() {
        for name in
            ["", "-y", "a-", "a*", "a b", "../a", "a=1", "a/stable", "a\0", "ä", "+a", "a:b"]
        {
            assert!(check(&spec(name, State::Present)).is_err(), "{name}");
        }
        for name in ["g++", "libstdc++6", "python3.11", "0ad", "ca-certificates"] {
            assert!(check(&spec(name, State::Present)).is_ok(), "{name}");
        }
        for version in ["", "-1", "1 2", "1/2", "*"] {
            assert!(check(&spec("a", State::Version(version.to_owned()))).is_err(), "{version}");
        }
        assert!(check(&spec("a", State::Version("1:2.3~rc1-4+b1".to_owned()))).is_ok());
    }
}
