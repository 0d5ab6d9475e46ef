//! What keeps the agent running: systemd, or where there is none, a process of our own.

use crate::files::{DEATHS, KEEPER, KEEPER_PID, KEEPER_TEXT, LOG, SERVICE, UNIT, UNIT_TEXT};
use crate::ssh::run::UNCHANGED;

/// What keeps the agent running on a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    /// A unit of systemd's, also after the machine was started again.
    Systemd,
    /// A process of ours, until the machine is started again.
    None,
}

/// How the agent is doing, as whoever keeps it running sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Health {
    /// Whether it is kept running.
    pub is_kept: bool,
    /// How often it has ended since it was started by us.
    pub deaths: u32,
}

impl Init {
    /// The file that it goes by.
    pub(super) fn file(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Systemd => (UNIT, "0644", UNIT_TEXT),
            Self::None => (KEEPER, "0700", KEEPER_TEXT),
        }
    }

    /// A script that starts the agent: anew if something it goes by has changed.
    pub(super) fn start(self, has_changed: bool) -> String {
        match self {
            Self::Systemd => {
                let is_so = format!(
                    "systemctl is-enabled -q {SERVICE} && systemctl is-active -q {SERVICE} && echo {UNCHANGED} && exit 0\n"
                );
                let unless = if has_changed { "" } else { &is_so };
                format!(
                    "{unless}set -e\nsystemctl daemon-reload\nsystemctl enable {SERVICE}\nsystemctl restart {SERVICE}\n"
                )
            }
            Self::None => {
                let unless = match has_changed {
                    true => "",
                    false => "if is_kept; then echo unchanged; exit 0; fi\n",
                };
                format!(
                    "{IS_KEPT}{unless}if is_kept; then
  kill \"$keeper\"
  tries=0
  while is_kept; do
    tries=$((tries + 1))
    [ $tries -lt 150 ] || {{ echo 'the agent that runs does not end' >&2; exit 1; }}
    sleep 0.1
  done
fi
mkdir -p /run/cerebro
rm -f {DEATHS} {KEEPER_PID}
setsid /bin/sh {KEEPER} >>{LOG} 2>&1 </dev/null &
tries=0
until is_kept; do
  tries=$((tries + 1))
  [ $tries -lt 150 ] || {{ echo 'what keeps the agent running does not start' >&2; exit 1; }}
  sleep 0.1
done
"
                )
            }
        }
    }

    /// A script that says how the agent is doing.
    pub(super) fn health(self) -> String {
        match self {
            Self::Systemd => format!("systemctl show {SERVICE} -p ActiveState -p NRestarts"),
            Self::None => format!(
                "{IS_KEPT}if is_kept; then echo ActiveState=active; else echo ActiveState=inactive; fi
echo \"NRestarts=$(cat {DEATHS} 2>/dev/null || echo 0)\"\n"
            ),
        }
    }

    /// A script that shows what the agent said last.
    pub(super) fn log(self) -> String {
        match self {
            Self::Systemd => format!("journalctl -u {SERVICE} -n 30 --no-pager -o cat"),
            Self::None => format!("tail -n 30 {LOG}"),
        }
    }
}

/// A function of the shell: whether there is a keeper, by its pid and its name.
const IS_KEPT: &str = "\
is_kept() {
  keeper=$(cat /run/cerebro/keeper 2>/dev/null) && [ -n \"$keeper\" ] &&
    tr '\\0' ' ' 2>/dev/null <\"/proc/$keeper/cmdline\" | grep -q /etc/cerebro/keep-agent
}
";

impl Health {
    /// Reads what the script said.
    pub(super) fn read(text: &str) -> Self {
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
        let state = value("ActiveState=").unwrap_or_default();
        Self {
            is_kept: matches!(state, "active" | "activating" | "reloading" | "deactivating"),
            deaths: value("NRestarts=").and_then(|n| n.trim().parse().ok()).unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemd_says_is_read() {
        let health = Health::read("ActiveState=activating\nNRestarts=3\n");
        assert_eq!(health, Health { is_kept: true, deaths: 3 });
        for text in ["ActiveState=failed\nNRestarts=0\n", "", "ActiveState=inactive"] {
            assert!(!Health::read(text).is_kept, "{text}");
        }
    }

    #[test]
    fn the_scripts_name_the_same_files() {
        assert!(IS_KEPT.contains(KEEPER_PID) && IS_KEPT.contains(KEEPER));
        for (init, has_changed) in [(Init::Systemd, true), (Init::None, true)] {
            assert!(!init.start(has_changed).contains(UNCHANGED));
            assert!(init.start(false).contains(UNCHANGED));
        }
    }
}
