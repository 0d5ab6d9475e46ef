//! Starts a machine's init, and waits for its word.

use super::record::{MachineDir, MachineSpec};
use crate::init::{HELD, READY};
use crate::provider::ProviderError;
use cerebro_linux::process::spawn_detached;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a machine may take to start; it takes some ten milliseconds.
const WITHIN: Duration = Duration::from_secs(20);

/// Whether the machine ever came to life; a machine lives once.
pub fn was_born(machine: &MachineDir) -> Result<bool, ProviderError> {
    let init = machine.init().map_err(|source| ProviderError::File {
        doing: "read",
        path: machine.init_file(),
        source,
    })?;
    Ok(init.is_some_and(|init| init.ready))
}

/// Starts the machine, or waits for whoever is starting it.
pub fn launch(
    bin_dir: &Path,
    machine: &MachineDir,
    spec: &MachineSpec,
) -> Result<(), ProviderError> {
    let deadline = Instant::now() + WITHIN;
    let not_started = |why: String| ProviderError::NotStarted {
        machine: spec.id.clone(),
        why,
        log: machine.log(),
    };
    loop {
        let answer = start(bin_dir, machine, deadline).map_err(|e| not_started(e.to_string()))?;
        if answer == READY || was_born(machine)? {
            return Ok(());
        }
        if answer != HELD {
            return Err(not_started(if answer.is_empty() {
                "its init ended without a word".to_owned()
            } else {
                answer
            }));
        }
        if Instant::now() > deadline {
            return Err(not_started(
                "another process has been starting it for too long".to_owned(),
            ));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Starts an init of its own session, which outlives us, and answers what its starter said.
fn start(bin_dir: &Path, machine: &MachineDir, deadline: Instant) -> io::Result<String> {
    let log = OpenOptions::new().append(true).create(true).open(machine.log())?;
    let (mut answer, out) = io::pipe()?;
    let program = bin_dir.join("localmachine");
    let mut command = Command::new(&program);
    command.arg(machine.path()).current_dir("/").stdout(out).stderr(Stdio::from(log));
    spawn_detached(&mut command).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot run `{}`: {error}", program.display()))
    })?;
    // With it goes our own end of the pipe, so that the answer has an end.
    drop(command);
    let mut said = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        if poll(&mut [PollFd::new(answer.as_fd(), PollFlags::POLLIN)], timeout)? == 0 {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer from its init in time"));
        }
        let mut buffer = [0; 4096];
        match answer.read(&mut buffer)? {
            0 => return Ok(String::from_utf8_lossy(&said).trim().to_owned()),
            count => said.extend_from_slice(&buffer[..count]),
        }
    }
}
