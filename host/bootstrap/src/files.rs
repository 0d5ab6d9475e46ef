//! The files that an agent needs, whoever writes them.

use crate::quote::shell;
use crate::setup::{AGENT, Setup, Start};
use cerebro_model::MachineId;

/// The directory of the programs.
pub const BIN: &str = "/opt/cerebro/bin";
/// The script that starts the agent, with whose it is.
pub const START: &str = "/etc/cerebro/agent";
/// What the agent shows when it joins.
pub const JOIN_TOKEN: &str = "/etc/cerebro/join-token";
/// What systemd goes by.
pub const UNIT: &str = "/etc/systemd/system/cerebro-agent.service";
/// The agent as systemd calls it.
pub const SERVICE: &str = "cerebro-agent";
/// What keeps the agent running where there is no systemd.
pub const KEEPER: &str = "/etc/cerebro/keep-agent";
/// What the agent says where there is no systemd.
pub const LOG: &str = "/var/log/cerebro-agent.log";
/// Whose pid the process has that keeps the agent running where there is no systemd.
pub const KEEPER_PID: &str = "/run/cerebro/keeper";
/// How often the agent has ended since that was started.
pub const DEATHS: &str = "/run/cerebro/deaths";

/// The line of [`START`] that says whose the agent is begins so.
const MARK: &str = "# cerebro-agent ";

/// The agent's directory for all that it keeps: one for each machine that a host ever was.
pub fn data(machine: &MachineId) -> String {
    format!("/var/lib/cerebro/{machine}")
}

/// [`START`]. The control group stands beside systemd's own, for tasks outlive the agent's unit.
pub fn start(setup: &Setup) -> String {
    let data = data(&setup.machine);
    // Plain data: it always serializes, and on one line.
    let mark = serde_json::to_string(&setup.start()).unwrap_or_default();
    let mut arguments = vec![
        ("--machine", setup.machine.to_string()),
        ("--zone", setup.zone.to_string()),
        ("--controller", setup.controller().to_owned()),
        ("--join-token-file", JOIN_TOKEN.to_owned()),
        ("--token-file", format!("{data}/token")),
        ("--data", data),
        ("--cgroup", "cerebro".to_owned()),
    ];
    arguments.extend(setup.address.map(|address| ("--address", address.to_string())));
    let words = arguments.iter().map(|(flag, value)| format!(" {flag} {}", shell(value)));
    let words = words.chain(setup.ipv6.then(|| " --ipv6".to_owned()));
    let data = self::data(&setup.machine);
    format!(
        "#!/bin/sh\n{MARK}{mark}\nmkdir -p -m 711 {data}\nexec {BIN}/{AGENT}{}\n",
        words.collect::<String>()
    )
}

/// Whose agent a [`START`] starts, by its line that says so.
pub fn read_mark(line: &str) -> Option<Start> {
    serde_json::from_str(line.strip_prefix(MARK)?).ok()
}

/// The expression by which `sed` finds that line.
pub fn mark_expression() -> String {
    format!("/^{MARK}/p")
}

/// [`UNIT`]. No value is in it, so that none needs its quotes. `KillMode=process`: tasks and their sitters
/// outlive the agent. `Delegate`: the controllers stay enabled, which the tasks' groups use.
pub const UNIT_TEXT: &str = "\
[Unit]
Description=Cerebro's agent
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=/bin/sh /etc/cerebro/agent
Restart=always
RestartSec=1
KillMode=process
Delegate=yes
TasksMax=infinity
LimitNOFILE=65536:524288

[Install]
WantedBy=multi-user.target
";

/// [`KEEPER`]: starts the agent, and again when it has ended, until it is told to end. Nothing starts it after the
/// machine's own start.
pub const KEEPER_TEXT: &str = "\
#!/bin/sh
# Keeps Cerebro's agent running. No init of this machine starts this again.
mkdir -p /run/cerebro
echo $$ >/run/cerebro/keeper
echo 0 >/run/cerebro/deaths
trap 'kill \"$agent\"; wait \"$agent\"; exit 0' TERM
deaths=0
while :; do
  /bin/sh /etc/cerebro/agent &
  agent=$!
  wait \"$agent\"
  code=$?
  deaths=$((deaths + 1))
  echo \"$deaths\" >/run/cerebro/deaths
  echo \"the agent has ended with code $code; it is started again\"
  sleep 1
done
";

/// A function of the shell that makes a file what its digest says: `get NAME URL SHA256 TRIES`, in the directory
/// of the programs. Nothing is put in place that is not what it should be.
pub const GET: &str = r#"is() { [ -f "$1" ] && [ "$(sha256sum <"$1" | cut -c1-64)" = "$2" ]; }
get() {
  is "$1" "$3" && return
  n=0
  until is "$1.new" "$3"; do
    [ $n -lt "$4" ] || { echo "$1: not fetched, or not what it should be: $2" >&2; exit 1; }
    [ $n = 0 ] || sleep 5
    n=$((n + 1))
    if command -v curl >/dev/null; then curl -fsSLo "$1.new" "$2"; else wget -qO "$1.new" "$2"; fi || :
  done
  chmod 755 "$1.new"
  mv "$1.new" "$1"
}
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::tests::setup;

    #[test]
    fn the_start_says_whose_it_is_and_names_no_secret() {
        let setup = setup("hunter2").at("10.0.0.7".parse().ok());
        let text = start(&setup);
        assert!(!text.contains("hunter2"));
        assert!(text.contains(" --address 10.0.0.7"), "{text}");
        let marked = text.lines().find_map(read_mark).unwrap();
        assert_eq!(marked, setup.start());
        assert_eq!(read_mark("# cerebro-agent {"), None);
    }

    #[test]
    fn the_texts_name_the_same_files() {
        assert!(UNIT_TEXT.contains(START) && KEEPER_TEXT.contains(START));
        assert!(UNIT.contains(SERVICE));
        assert!(KEEPER_TEXT.contains(KEEPER_PID) && KEEPER_TEXT.contains(DEATHS));
    }
}
