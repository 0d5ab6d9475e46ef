//! The end of a machine's agent, alone: its init starts another.

use super::record::{MachineDir, MachineSpec};
use crate::provider::ProviderError;
use cerebro_linux::pidfd::PidFd;
use cerebro_linux::process::descendants;
use nix::sys::signal::Signal;
use std::fs;

/// What the kernel calls an agent.
const AGENT: &str = "machinesitter";

/// Ends the agent of a machine whose init runs, also one that is stopped.
pub fn end_agent(machine: &MachineDir, spec: &MachineSpec) -> Result<(), ProviderError> {
    let unavailable = |why: String| ProviderError::Unavailable {
        doing: format!("start the agent of `{}` again", spec.id),
        why,
    };
    let file = |source| ProviderError::File { doing: "read", path: machine.init_file(), source };
    let init = machine.init().map_err(file)?;
    let init = init.map_or(Ok(None), |init| init.alive()).map_err(file)?;
    let Some(init) = init else { return Err(unavailable("its init has ended".to_owned())) };
    for pid in descendants(init.pid) {
        if !is_agent(pid, init.pid) {
            continue;
        }
        let Ok(descriptor) = PidFd::open(pid) else { continue };
        // The pid may have been another's when the descriptor was made.
        if is_agent(pid, init.pid) {
            let sent = descriptor.signal(Signal::SIGKILL);
            sent.map_err(|error| unavailable(format!("its agent cannot be ended: {error}")))?;
        }
    }
    // Where none was found, the init is just starting one.
    Ok(())
}

/// Whether a process is an agent that this init started.
fn is_agent(pid: i32, init: i32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return false };
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim)
    };
    field("Name:") == Some(AGENT) && field("PPid:") == Some(&init.to_string())
}
