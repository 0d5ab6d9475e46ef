//! From a machine's record to its running agent.

use super::keeper::Keeper;
use super::line::Line;
use super::{HELD, InitError, READY, agent, doing, doing_with, files};
use crate::local::{Init, MachineDir, MachineSpec};
use cerebro_linux::cgroup::Cgroups;
use cerebro_linux::namespace::{Namespace, Side, fork_alone, leave};
use cerebro_linux::{mount, net};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// What one side of the line says when the other may go on.
const GO: &str = "go";

/// What the init says before it names its error.
const FAILED: &str = "failed ";

/// Starts the machine in `directory` as its `machine.json` says. What came of it is answered on
/// standard output. The process that becomes the machine's init does not return from here.
pub fn start(directory: &Path) -> Result<(), InitError> {
    let started = start_locked(directory);
    answer(&started.as_ref().map_or_else(|error| error.chain(), |word| (*word).to_owned()))?;
    started.map(drop)
}

fn start_locked(directory: &Path) -> Result<&'static str, InitError> {
    // What the machine's users are to reach must not depend on who started it.
    umask(Mode::from_bits_truncate(0o022));
    let machine = MachineDir::new(directory);
    let lock = machine.lock().map_err(doing_with("lock", directory))?;
    let Some(_lock) = lock else { return Ok(HELD) };
    // Read only now: under the lock nobody removes it.
    let spec = machine.spec().map_err(doing("read the machine's record"))?;
    if let Some(cgroup) = &spec.cgroup {
        let cgroups = Cgroups::detect().map_err(doing("find the control groups"))?;
        let door = cgroups.group(&MachineSpec::init_cgroup(cgroup)).door();
        door.enter().map_err(doing(format!("enter the control group `{cgroup}`")))?;
    }
    if spec.processes {
        leave(&[Namespace::Processes]).map_err(doing("have a pid namespace"))?;
    }
    let (mut outer, mut inner) = Line::pair().map_err(doing("make a pair of sockets"))?;
    match fork_alone().map_err(doing("fork"))? {
        Side::Child => {
            drop(outer);
            // The lock is held until this process ends.
            std::process::exit(match live(&machine, &spec, &mut inner) {
                Ok(()) => 0,
                Err(error) => {
                    eprintln!("localmachine: {}", error.chain());
                    // The starter passes it on; if it is gone, there is nobody to tell.
                    let _ = inner.say(&format!("{FAILED}{}", error.chain()));
                    1
                }
            });
        }
        Side::Parent { child } => {
            drop(inner);
            let ready = accompany(&machine, &spec, child, &mut outer);
            if ready.is_err() {
                // It never lived: with the init gone, whoever asks again may try again.
                let child = Pid::from_raw(child);
                let _ = kill(child, Signal::SIGKILL);
                let _ = waitpid(child, None);
                let _ = fs::remove_file(machine.init_file());
            }
            ready.map(|()| READY)
        }
    }
}

fn answer(word: &str) -> Result<(), InitError> {
    let mut out = io::stdout();
    match writeln!(out, "{word}").and_then(|()| out.flush()) {
        // Whoever asked is gone; the machine does not care.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(doing("answer")),
    }
}

/// The starter's side: each step of the init is prepared and recorded before it is allowed.
fn accompany(
    machine: &MachineDir,
    spec: &MachineSpec,
    child: i32,
    line: &mut Line,
) -> Result<(), InitError> {
    let mut init = Init::of(child).map_err(doing("see the machine's init"))?;
    machine.write_init(&init).map_err(doing("record the machine's init"))?;
    allow(line)?;
    hear(line)?;
    if let Some(own) = &spec.network {
        net::remove(&own.interface).map_err(doing("remove an old network interface"))?;
        net::make_pair(&own.interface, &own.bridge, child)
            .map_err(doing("connect the machine's network"))?;
    }
    allow(line)?;
    hear(line)?;
    init.ready = true;
    machine.write_init(&init).map_err(doing("record the machine's init"))?;
    allow(line)
}

fn allow(line: &mut Line) -> Result<(), InitError> {
    line.say(GO).map_err(doing("let the machine's init go on"))
}

fn hear(line: &mut Line) -> Result<(), InitError> {
    let said = line.hear().map_err(doing("hear from the machine's init"))?;
    match said.strip_prefix(FAILED) {
        Some(why) => Err(doing("start the machine's init")(why.to_owned())),
        None => Ok(()),
    }
}

/// The init's side.
fn live(machine: &MachineDir, spec: &MachineSpec, line: &mut Line) -> Result<(), InitError> {
    let permitted = |line: &mut Line| line.hear().map(drop).map_err(doing("hear from the starter"));
    let step = |line: &mut Line| line.say(GO).map_err(doing("answer the starter"));

    permitted(line)?;
    // The provider reads from our standard output until it is closed.
    nix::unistd::dup2_stdout(io::stderr()).map_err(doing("leave standard output"))?;
    if !spec.processes {
        nix::unistd::setsid().map_err(doing("have a session"))?;
        nix::sys::prctl::set_child_subreaper(true).map_err(doing("adopt orphans"))?;
    }
    leave(&namespaces(spec)).map_err(doing("have namespaces"))?;
    step(line)?;

    permitted(line)?;
    if let Some(own) = &spec.network {
        net::bring_up(spec.address, own.gateway).map_err(doing("bring up the network"))?;
    }
    arrange(machine, spec)?;
    agent::leave_token(machine, spec).map_err(doing("leave the machine's token for its agent"))?;
    let keeper =
        Keeper::start(agent::command(machine, spec)).map_err(doing("start the machine's agent"))?;
    step(line)?;

    permitted(line)?;
    keeper.run().map_err(doing("keep the machine's agent"))
}

fn namespaces(spec: &MachineSpec) -> Vec<Namespace> {
    let mut namespaces = Vec::new();
    if spec.processes {
        namespaces.extend([Namespace::Mounts, Namespace::HostName]);
    }
    if spec.network.is_some() {
        namespaces.push(Namespace::Network);
    }
    namespaces
}

/// Gives the machine its name and its view of processes and files.
fn arrange(machine: &MachineDir, spec: &MachineSpec) -> Result<(), InitError> {
    if spec.processes {
        nix::unistd::sethostname(spec.id.as_str()).map_err(doing("set the host's name"))?;
        mount::make_private().map_err(doing("keep mounts private"))?;
    }
    if spec.files {
        return files::enter(machine, &spec.bin_dir);
    }
    if spec.processes {
        mount::proc(Path::new("/proc")).map_err(doing("show only own processes"))?;
    }
    for directory in [machine.root(), machine.data()] {
        fs::create_dir_all(&directory).map_err(doing_with("make", &directory))?;
    }
    Ok(())
}
