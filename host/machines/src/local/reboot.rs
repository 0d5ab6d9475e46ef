//! A machine of this host that is started again: all of it ends, then its init starts anew from its record.
//!
//! In between it has no init that lives. That it is to have one again is written down before the first
//! process ends: whoever asks meanwhile, or after a crash in between, does not take it for dead.

use super::record::{Init, MachineDir, MachineSpec, present, read, write};
use super::{at, end, launch};
use crate::provider::ProviderError;
use cerebro_linux::process::boot_id;
use std::io;
use std::path::Path;

/// Reboots a machine that came to life once.
pub fn reboot(
    bin_dir: &Path,
    machine: &MachineDir,
    spec: &MachineSpec,
) -> Result<(), ProviderError> {
    let init = machine.init().map_err(at("read", &machine.init_file()))?;
    // Without an init, a reboot was cut off in between: it goes on.
    match (init.filter(|init| init.ready), is_under_way(machine)?) {
        (Some(init), _) => {
            let written = machine.write_reboot(&init);
            written.map_err(at("write", &machine.reboot_file()))?;
        }
        (None, true) => {}
        (None, false) => {
            return Err(ProviderError::Unavailable {
                doing: format!("reboot `{}`", spec.id),
                why: "it never came to life: have it made".to_owned(),
            });
        }
    }
    end::end(machine, spec)?;
    // The init's record is of one that has ended: with it, the machine would pass for started.
    end::remove_all(&machine.init_file())?;
    launch::launch(bin_dir, machine, spec)?;
    end::remove_all(&machine.reboot_file())
}

/// Whether a machine without a living init is about to have one again, in this boot of the host.
pub fn is_under_way(machine: &MachineDir) -> Result<bool, ProviderError> {
    let ended = machine.rebooting().map_err(at("read", &machine.reboot_file()))?;
    let Some(ended) = ended else { return Ok(false) };
    if ended.boot != boot_id().map_err(at("read", Path::new("/proc")))? {
        return Ok(false);
    }
    let init = machine.init().map_err(at("read", &machine.init_file()))?;
    // One that came to life since has ended by itself.
    Ok(init.is_none_or(|init| !init.ready || is_same(&init, &ended)))
}

fn is_same(one: &Init, other: &Init) -> bool {
    (one.pid, one.started, &one.boot) == (other.pid, other.started, &other.boot)
}

impl MachineDir {
    /// The init that is being ended for the machine to be started again; none if it is not.
    fn rebooting(&self) -> io::Result<Option<Init>> {
        present(read(&self.reboot_file()))
    }

    fn write_reboot(&self, ended: &Init) -> io::Result<()> {
        write(&self.reboot_file(), ended)
    }
}
