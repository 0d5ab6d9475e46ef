//! The end of a machine: all its processes at once, then what it has on the host.

use super::record::{MachineDir, MachineSpec, present};
use crate::provider::ProviderError;
use cerebro_linux::cgroup::Cgroups;
use cerebro_linux::pidfd::PidFd;
use cerebro_linux::process::{Identity, descendants, kill_tree};
use cerebro_linux::{mount, net};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the end of a machine may take.
const WITHIN: Duration = Duration::from_secs(10);

/// Ends every process of a machine at once, as a loss of power would.
pub fn end(machine: &MachineDir, spec: &MachineSpec) -> Result<(), ProviderError> {
    let not_ended =
        |left: &str| ProviderError::NotEnded { machine: spec.id.clone(), left: left.to_owned() };
    let file = |source| ProviderError::File { doing: "read", path: machine.init_file(), source };
    let deadline = Instant::now() + WITHIN;
    loop {
        let init = machine.init().map_err(file)?;
        let init = init.map_or(Ok(None), |init| init.alive()).map_err(file)?;
        end_processes(machine, spec, init)
            .map_err(|source| host("end the processes", spec, source))?;
        // Who starts the machine right now holds the lock, and will have recorded an init.
        let lock = machine.lock().map_err(|source| ProviderError::File {
            doing: "lock",
            path: machine.path().to_owned(),
            source,
        })?;
        match lock {
            Some(_) => return Ok(()),
            None if Instant::now() > deadline => {
                return Err(not_ended("its lock is still held by a process"));
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

fn end_processes(
    machine: &MachineDir,
    spec: &MachineSpec,
    init: Option<Identity>,
) -> io::Result<()> {
    match init {
        Some(init) if spec.processes => end_namespace(init)?,
        _ if spec.processes => {}
        init => {
            if let Some(init) = init {
                stop_tree(init);
            }
            let (name, root) = machine.marker();
            let marker = format!("{name}={}", root.display());
            all_gone(kill_tree(init.map(|init| init.pid), &marker, WITHIN))?;
        }
    }
    match &spec.cgroup {
        Some(cgroup) => all_gone(Cgroups::detect()?.group(cgroup).kill(WITHIN)),
        None => Ok(()),
    }
}

fn all_gone(gone: bool) -> io::Result<()> {
    if gone { Ok(()) } else { Err(io::Error::other("some did not end in time")) }
}

/// The kernel ends a pid namespace with its init, and the init's end is seen when all have ended.
fn end_namespace(init: Identity) -> io::Result<()> {
    let Ok(descriptor) = PidFd::open(init.pid) else { return Ok(()) };
    if !init.is_alive() {
        // The pid was reused before the descriptor was ours.
        return Ok(());
    }
    descriptor.signal(Signal::SIGKILL)?;
    let timeout = PollTimeout::try_from(WITHIN).unwrap_or(PollTimeout::MAX);
    let ended = poll(&mut [PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)], timeout)?;
    all_gone(ended > 0)
}

/// Stops a tree, init first, so that nothing starts or runs away while it is killed.
fn stop_tree(init: Identity) {
    let mut stopped = BTreeSet::new();
    let mut found = vec![init.pid];
    while !found.is_empty() {
        for pid in found {
            // Gone meanwhile is as good.
            let _ = kill(Pid::from_raw(pid), Signal::SIGSTOP);
            stopped.insert(pid);
        }
        found = descendants(init.pid).into_iter().filter(|pid| !stopped.contains(pid)).collect();
    }
}

/// Removes what an ended machine has on the host outside its directory.
pub fn release(machine: &MachineDir, spec: &MachineSpec) -> Result<(), ProviderError> {
    if let Some(own) = &spec.network {
        net::remove(&own.interface)
            .map_err(|source| host("remove the network interface", spec, source))?;
    }
    if let Some(cgroup) = &spec.cgroup {
        let cgroups = Cgroups::detect().map_err(|e| host("find the control groups", spec, e))?;
        let removed = cgroups.group(cgroup).remove(WITHIN);
        removed.map_err(|source| host("remove the control group", spec, source))?;
        if let Some((cluster, _)) = cgroup.rsplit_once('/') {
            remove_if_empty(&cgroups, cluster);
        }
    }
    // Our own mounts ended with the machine; one that a recipe made without isolation may be left.
    mount::unmount_below(machine.path())
        .map_err(|source| host("unmount what is left", spec, source))
}

/// The cluster's group goes with its last machine.
fn remove_if_empty(cgroups: &Cgroups, cluster: &str) {
    if let Err(error) = cgroups.group(cluster).remove_empty() {
        tracing::debug!(cluster, error = %error, "the control group has other machines");
    }
}

fn host(
    doing: &'static str,
    spec: &MachineSpec,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> ProviderError {
    ProviderError::Host { doing, machine: spec.id.to_string(), source: source.into() }
}

/// Removes all that was written down of a machine, what says so last: whoever was killed on the way knows by it
/// that there is something left.
pub fn remove_machine(directory: &MachineDir) -> Result<(), ProviderError> {
    let (path, spec) = (directory.path(), directory.spec_file());
    let file = |source| ProviderError::File { doing: "remove", path: path.to_owned(), source };
    for entry in fs::read_dir(path).map_err(file)? {
        let entry = entry.map_err(file)?.path();
        if entry != spec {
            remove_all(&entry)?;
        }
    }
    remove_all(&spec)?;
    remove_empty(directory);
    Ok(())
}

/// Removes a machine's directory if nothing is in it any more.
pub fn remove_empty(directory: &MachineDir) {
    // What is in it is somebody's.
    let _ = fs::remove_dir(directory.path());
}

/// Removes a file or a directory with all that is in it, also where a recipe made directories
/// that may not be written to.
pub fn remove_all(path: &Path) -> Result<(), ProviderError> {
    let removed = present(remove_unlocked(path));
    removed.map(drop).map_err(|source| ProviderError::File {
        doing: "remove",
        path: path.to_owned(),
        source,
    })
}

fn remove_unlocked(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.is_dir() {
        return fs::remove_file(path);
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            unlock(path)?;
            fs::remove_dir_all(path)
        }
        result => result,
    }
}

fn unlock(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            unlock(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_recipe_locked_is_removed_and_what_is_not_there_is_no_error() {
        let own = std::env::temp_dir().join(format!("cerebro-remove-{}", std::process::id()));
        let deep = own.join("a/b");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), "x").unwrap();
        fs::set_permissions(&deep, Permissions::from_mode(0o500)).unwrap();
        unlock(&own).unwrap();
        assert_eq!(fs::metadata(&deep).unwrap().permissions().mode() & 0o777, 0o700);
        remove_all(&own).unwrap();
        assert!(!own.exists());
        remove_all(&own).unwrap();
    }
}
