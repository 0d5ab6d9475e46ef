//! How the agent is started, and when again.

use super::files::{BIN, DATA};
use crate::local::{AGENT_PORT, MachineDir, MachineSpec, make_directory};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// After so long a life, an agent's death counts as the first again.
pub const SETTLED: Duration = Duration::from_secs(10);

/// The file with the machine's token, in the agent's data directory.
const TOKEN: &str = "token";

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long to wait before the agent is started again, after so many deaths in short order.
pub fn pause(deaths: u32) -> Duration {
    match deaths {
        0 | 1 => Duration::ZERO,
        more => Duration::from_millis(100 << (more - 2).min(4)).min(Duration::from_secs(1)),
    }
}

/// The agent's data directory, as the init sees the files.
fn data(machine: &MachineDir, spec: &MachineSpec) -> PathBuf {
    if spec.files { PathBuf::from(DATA) } else { machine.data() }
}

/// Leaves the machine's token where its agent finds it and no other user can read it: what a
/// command says, everyone can see.
pub fn leave_token(machine: &MachineDir, spec: &MachineSpec) -> io::Result<()> {
    let data = data(machine, spec);
    make_directory(&data)?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(data.join(TOKEN))?.write_all(spec.join_token.as_bytes())
}

/// The command that starts the agent of a machine, as the init sees the files.
pub fn command(machine: &MachineDir, spec: &MachineSpec) -> Command {
    let data = data(machine, spec);
    let (bin, root) = if spec.files {
        (PathBuf::from(BIN), PathBuf::from("/"))
    } else {
        (spec.bin_dir.clone(), machine.root())
    };
    let token = data.join(TOKEN);
    let mut command = Command::new(bin.join("machinesitter"));
    let mut flag = |name: &str, value: OsString| {
        command.arg(name).arg(value);
    };
    flag("--machine", spec.id.as_str().into());
    flag("--zone", spec.zone.as_str().into());
    flag("--controller", spec.controller.clone().into());
    flag("--address", spec.address.to_string().into());
    flag("--port", AGENT_PORT.to_string().into());
    flag("--data", data.into());
    flag("--root", root.into());
    flag("--bin", bin.into());
    flag("--cpu", spec.capacity.cpu.to_string().into());
    flag("--mem", spec.capacity.mem.get().to_string().into());
    flag("--token-file", token.into());
    if let Some(cgroup) = &spec.cgroup {
        flag("--cgroup", cgroup.clone().into());
    }
    if spec.files {
        command.arg("--isolated");
    }
    environment(&mut command, machine, spec);
    command.current_dir(Path::new("/")).stdin(Stdio::null());
    // SAFETY: both calls are async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()?;
            Ok(sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?)
        });
    }
    command
}

fn environment(command: &mut Command, machine: &MachineDir, spec: &MachineSpec) {
    let home = std::env::var_os("HOME").unwrap_or_else(|| "/".into());
    command.env_clear().env("PATH", PATH).env("HOME", home).envs(&spec.environment);
    if !spec.processes {
        // By this the machine's processes are found where they ran away from its init.
        let (name, value) = machine.marker();
        command.env(name, value);
    }
}

/// Starts it; answers its pid.
pub fn spawn(command: &mut Command) -> io::Result<i32> {
    let child = command.spawn().map_err(|error| {
        let program = command.get_program().to_string_lossy();
        io::Error::new(error.kind(), format!("cannot run `{program}`: {error}"))
    })?;
    i32::try_from(child.id()).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_death_costs_nothing_and_none_more_than_a_second() {
        let pauses: Vec<u128> = (1..9).map(|deaths| pause(deaths).as_millis()).collect();
        assert_eq!(pauses, [0, 100, 200, 400, 800, 1000, 1000, 1000]);
    }
}
