//! Finds out what this host lets a machine have, by trying in a directory of its own.

use super::{InitError, chain, doing, files, line::Line};
use crate::isolation::{Piece, Probe};
use crate::local::MachineDir;
use cerebro_linux::mount;
use cerebro_linux::namespace::{Namespace, Side, fork_alone, leave};
use std::io::Write;
use std::path::Path;

/// Tries, and writes what it found to standard output as JSON.
pub fn probe(scratch: &Path) -> Result<(), InitError> {
    let found = look(scratch)?;
    let text = serde_json::to_string(&found).map_err(doing("write the answer"))?;
    writeln!(std::io::stdout(), "{text}").map_err(doing("write the answer"))
}

fn look(scratch: &Path) -> Result<Probe, InitError> {
    if let Err(error) = leave(&[Namespace::Processes]) {
        let missing = Piece::Missing(format!("no new pid namespace: {error}"));
        return Ok(Probe { processes: missing.clone(), files: missing });
    }
    let (mut outer, mut inner) = Line::pair().map_err(doing("make a pair of sockets"))?;
    match fork_alone().map_err(doing("fork"))? {
        Side::Child => {
            drop(outer);
            let found = serde_json::to_string(&inside(scratch)).unwrap_or_default();
            let said = inner.say(&found);
            std::process::exit(i32::from(said.is_err()));
        }
        Side::Parent { .. } => {
            drop(inner);
            let found = outer.hear().map_err(doing("hear from the new pid namespace"))?;
            serde_json::from_str(&found).map_err(doing("read what was found"))
        }
    }
}

fn inside(scratch: &Path) -> Probe {
    let mounts = leave(&[Namespace::Mounts, Namespace::HostName])
        .map_err(doing("have namespaces of mounts and of the host's name"))
        .and_then(|()| mount::make_private().map_err(doing("keep mounts private")))
        .and_then(|()| mount::proc(Path::new("/proc")).map_err(doing("show only own processes")));
    if let Err(error) = mounts {
        let missing = Piece::Missing(chain(&error));
        return Probe { processes: missing.clone(), files: missing };
    }
    let files = match files::enter(&MachineDir::new(scratch), scratch) {
        Ok(()) => Piece::There,
        Err(error) => Piece::Missing(chain(&error)),
    };
    Probe { processes: Piece::There, files }
}
