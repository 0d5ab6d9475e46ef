//! Services: systemctl(1), rc-service(8) and rc-update(8) of OpenRC, and System V scripts with
//! update-rc.d(8).

use super::{Argv, argv};
use crate::bindings::interfaces::services::{Spec, Status};
use crate::bindings::interfaces::types::Error;
use std::path::Path;

/// A service manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manager {
    Systemd,
    OpenRc,
    SystemV,
}

/// What is done with a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Start,
    Stop,
    Restart,
    Reload,
    Enable,
    Disable,
}

impl Step {
    /// Its name, as service managers have it.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
            Self::Enable => "enable",
            Self::Disable => "disable",
        }
    }
}

impl Manager {
    /// The one that runs on a machine: not merely one that is installed.
    pub(crate) fn of(root: &Path) -> Option<Self> {
        let has = |path: &str| root.join(path).exists();
        let known = [
            (Self::Systemd, "run/systemd/system"),
            (Self::OpenRc, "run/openrc/softlevel"),
            (Self::SystemV, "etc/init.d"),
        ];
        known.into_iter().find(|(_, path)| has(path)).map(|(manager, _)| manager)
    }

    /// Asks how a service is.
    pub(crate) fn look(self, name: &str) -> Argv {
        match self {
            Self::Systemd => argv(
                &[
                    "/usr/bin/systemctl",
                    "show",
                    "-p",
                    "LoadState,ActiveState,UnitFileState,MainPID",
                    "--",
                ],
                [name],
            ),
            Self::OpenRc => argv(&["/sbin/rc-service"], [name, "status"]),
            Self::SystemV => vec![format!("/etc/init.d/{name}"), "status".to_owned()],
        }
    }

    /// What it answered, beside what the files of the machine say.
    pub(crate) fn status(self, root: &Path, name: &str, code: i32, answer: &str) -> Option<Status> {
        match self {
            Self::Systemd => systemd(answer),
            Self::OpenRc => {
                let enabled = root.join("etc/runlevels/default").join(name).exists();
                let script = root.join("etc/init.d").join(name);
                script.exists().then(|| by_code(code, enabled, answer))
            }
            Self::SystemV => {
                let enabled =
                    (2..=5).any(|level| starts(&root.join(format!("etc/rc{level}.d")), name));
                let script = root.join("etc/init.d").join(name);
                script.exists().then(|| by_code(code, enabled, answer))
            }
        }
    }

    pub(crate) fn act(self, step: Step, name: &str) -> Argv {
        let verb = step.verb();
        match (self, step) {
            (Self::Systemd, _) => argv(&["/usr/bin/systemctl", verb, "--"], [name]),
            (Self::OpenRc, Step::Enable) => argv(&["/sbin/rc-update", "add"], [name, "default"]),
            (Self::OpenRc, Step::Disable) => argv(&["/sbin/rc-update", "del"], [name, "default"]),
            (Self::OpenRc, _) => argv(&["/sbin/rc-service"], [name, verb]),
            (Self::SystemV, Step::Enable | Step::Disable) => {
                argv(&["/usr/sbin/update-rc.d"], [name, verb])
            }
            (Self::SystemV, _) => vec![format!("/etc/init.d/{name}"), verb.to_owned()],
        }
    }

    /// Reads the definitions of services anew, where that is something to be told.
    pub(crate) fn reload_definitions(self) -> Option<Argv> {
        match self {
            Self::Systemd => Some(argv(&["/usr/bin/systemctl", "daemon-reload"], [])),
            Self::OpenRc | Self::SystemV => None,
        }
    }
}

/// The steps from how a service is to how it should be: enabled before it is started.
pub(crate) fn steps(spec: &Spec, is: &Status) -> Vec<Step> {
    let enable = match spec.enabled {
        Some(true) if !is.enabled => Some(Step::Enable),
        Some(false) if is.enabled => Some(Step::Disable),
        _ => None,
    };
    let run = match spec.running {
        Some(true) if !is.running => Some(Step::Start),
        Some(false) if is.running => Some(Step::Stop),
        _ => None,
    };
    enable.into_iter().chain(run).collect()
}

/// Refuses what is no name, or what a tool may take for an option or a path.
pub(crate) fn check(name: &str) -> Result<(), Error> {
    let is_name = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= 128
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-._@:".contains(c));
    match is_name {
        true => Ok(()),
        false => Err(Error::Invalid(format!(
            "`{name}` is not a service: expected letters, digits, `-`, `.`, `_`, `@` and `:`"
        ))),
    }
}

fn systemd(answer: &str) -> Option<Status> {
    let field = |name: &str| {
        answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or("")
    };
    if matches!(field("LoadState"), "not-found" | "") {
        return None;
    }
    let state = field("ActiveState");
    Some(Status {
        running: matches!(state, "active" | "reloading" | "activating"),
        enabled: field("UnitFileState").starts_with("enabled"),
        pid: field("MainPID").parse().ok().filter(|pid| *pid != 0),
        state: state.to_owned(),
    })
}

/// The exit code of `status` is 0 for what runs, as LSB says.
fn by_code(code: i32, enabled: bool, answer: &str) -> Status {
    let state = answer.lines().next().unwrap_or_default().trim();
    let state = if state.is_empty() { format!("status {code}") } else { state.to_owned() };
    Status { running: code == 0, enabled, pid: None, state }
}

/// Whether a run level has a link that starts a service: `S`, two digits and its name.
fn starts(level: &Path, name: &str) -> bool {
    let entries = std::fs::read_dir(level).into_iter().flatten().flatten();
    let mut names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.any(|link| link.strip_prefix('S').and_then(|rest| rest.get(2..)) == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemd_says_is_read() {
        let answer =
            "MainPID=812\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled-runtime\n";
        let status = systemd(answer).unwrap();
        assert!(status.running && status.enabled);
        assert_eq!((status.pid, status.state.as_str()), (Some(812), "active"));
        let dead = "MainPID=0\nLoadState=loaded\nActiveState=failed\nUnitFileState=static\n";
        let status = systemd(dead).unwrap();
        assert!(!status.running && !status.enabled && status.pid.is_none());
        assert!(systemd("LoadState=not-found\nActiveState=inactive\n").is_none());
    }

    #[test]
    fn only_what_differs_is_done() {
        let is = |running, enabled| Status { running, enabled, pid: None, state: String::new() };
        let spec = |running, enabled| Spec { name: "a".to_owned(), running, enabled };
        assert_eq!(steps(&spec(Some(true), Some(true)), &is(true, true)), []);
        assert_eq!(steps(&spec(None, None), &is(false, true)), []);
        let both = steps(&spec(Some(true), Some(true)), &is(false, false));
        assert_eq!(both, [Step::Enable, Step::Start]);
        let gone = steps(&spec(Some(false), Some(false)), &is(true, true));
        assert_eq!(gone, [Step::Disable, Step::Stop]);
    }

    #[test]
    fn run_levels_tell_what_starts() {
        let root = tempfile::tempdir().unwrap();
        let level = root.path().join("etc/rc3.d");
        std::fs::create_dir_all(&level).unwrap();
        std::fs::create_dir_all(root.path().join("etc/init.d")).unwrap();
        for link in ["rc3.d/S01cron", "rc3.d/K01ssh", "init.d/cron", "init.d/ssh"] {
            std::fs::write(root.path().join("etc").join(link), "").unwrap();
        }
        let status = |name: &str| Manager::SystemV.status(root.path(), name, 3, "");
        assert!(status("cron").unwrap().enabled);
        assert!(!status("ssh").unwrap().enabled);
        assert!(status("nginx").is_none());
        assert_eq!(Manager::of(root.path()), Some(Manager::SystemV));
    }

    #[test]
    fn each_manager_is_told_in_its_words() {
        let words = |manager: Manager, step| manager.act(step, "nginx").join(" ");
        assert_eq!(words(Manager::Systemd, Step::Start), "/usr/bin/systemctl start -- nginx");
        assert_eq!(words(Manager::OpenRc, Step::Enable), "/sbin/rc-update add nginx default");
        assert_eq!(words(Manager::OpenRc, Step::Reload), "/sbin/rc-service nginx reload");
        assert_eq!(words(Manager::SystemV, Step::Stop), "/etc/init.d/nginx stop");
        assert_eq!(words(Manager::SystemV, Step::Disable), "/usr/sbin/update-rc.d nginx disable");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in ["", "-a", "../a", "a/b", "a b", ".a", "a\0"] {
            assert!(check(name).is_err(), "{name}");
        }
        assert!(check("postgresql@15-main.service").is_ok());
    }
}
