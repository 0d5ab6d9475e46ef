//! How the machine is doing.

use cerebro_model::MachineStats;
use std::path::Path;
use sysinfo::System;

/// Zero for what it does not tell; otherwise as the kernel has it, which a local machine shares with its host.
pub fn read(system: Option<&mut System>, data: &Path) -> MachineStats {
    let (mem_used, mem_total) = system.map_or((0, 0), |system| {
        system.refresh_memory();
        (system.used_memory(), system.total_memory())
    });
    let load = System::load_average().unwrap_or_default();
    let disk_free = nix::sys::statvfs::statvfs(data)
        .map_or(0, |disk| disk.blocks_available() * disk.fragment_size());
    MachineStats { load: [load.one, load.five, load.fifteen], mem_used, mem_total, disk_free }
}
