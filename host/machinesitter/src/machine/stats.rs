//! How the machine is doing, by sysinfo and /proc. A local machine shares most of it with its host.

use crate::agent::Agent;
use crate::time;
use cerebro_api::machine::{DiskUse, MachineReport, NetworkUse, OpenFiles, Pressure};
use cerebro_model::MachineStats;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::PoisonError;
use sysinfo::{Disks, Networks, System};

/// What a heartbeat carries. Zero for what the machine does not tell.
pub fn brief(system: Option<&mut System>, data: &Path) -> MachineStats {
    let (mem_used, mem_total) = system.map_or((0, 0), |system| {
        system.refresh_memory();
        (system.used_memory(), system.total_memory())
    });
    let load = System::load_average().unwrap_or_default();
    let disk_free = nix::sys::statvfs::statvfs(data)
        .map_or(0, |disk| disk.blocks_available() * disk.fragment_size());
    MachineStats { load: [load.one, load.five, load.fifteen], mem_used, mem_total, disk_free }
}

/// All of it, but for the tasks. Blocks for as long as /proc takes.
pub fn report(agent: &Agent) -> MachineReport {
    let mut system = agent.machine.system.lock().unwrap_or_else(PoisonError::into_inner);
    let stats = brief(system.as_mut(), agent.disk.root());
    let (mut cores, mut cores_used, mut swap) = (0, 0.0, (0, 0));
    if let Some(system) = system.as_mut() {
        system.refresh_cpu_usage();
        cores = u32::try_from(system.cpus().len()).unwrap_or(u32::MAX);
        cores_used = f64::from(system.global_cpu_usage()) / 100.0 * f64::from(cores);
        swap = (system.used_swap(), system.total_swap());
    }
    drop(system);
    MachineReport {
        machine: agent.settings.machine.clone(),
        zone: agent.settings.zone.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        at: time::now(),
        uptime: time::since_boot().as_secs(),
        stats,
        cores,
        cores_used,
        swap_used: swap.0,
        swap_total: swap.1,
        open_files: open_files(),
        disks: disks(),
        networks: networks(),
        pressure: pressures(),
        problems: agent.machine.problems(),
        tasks: Vec::new(),
    }
}

fn disks() -> Vec<DiskUse> {
    let Ok(disks) = Disks::new_with_refreshed_list() else { return Vec::new() };
    let disks = disks.iter().map(|disk| DiskUse {
        mount: disk.mount_point().display().to_string(),
        device: disk.name().to_string_lossy().into_owned(),
        file_system: disk.file_system().to_string_lossy().into_owned(),
        total: disk.total_space(),
        free: disk.available_space(),
        read_only: disk.is_read_only(),
    });
    disks.collect()
}

fn networks() -> Vec<NetworkUse> {
    let Ok(networks) = Networks::new_with_refreshed_list() else { return Vec::new() };
    let networks = networks.iter().map(|(name, network)| NetworkUse {
        interface: name.to_string_lossy().into_owned(),
        received: network.total_received(),
        sent: network.total_transmitted(),
        errors: network.total_errors_on_received() + network.total_errors_on_transmitted(),
    });
    let mut networks: Vec<NetworkUse> = networks.collect();
    networks.sort_by(|a, b| a.interface.cmp(&b.interface));
    networks
}

/// None where /proc does not tell.
pub fn open_files() -> Option<OpenFiles> {
    parse_file_nr(&fs::read_to_string("/proc/sys/fs/file-nr").ok()?)
}

/// Three numbers: used, free among those that were ever made, most.
fn parse_file_nr(text: &str) -> Option<OpenFiles> {
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    let [made, free, most] = numbers[..] else { return None };
    Some(OpenFiles { used: made.saturating_sub(free), most })
}

/// Empty where the kernel was built or booted without.
pub fn pressures() -> BTreeMap<String, Pressure> {
    let read = |what: &&str| {
        let text = fs::read_to_string(format!("/proc/pressure/{what}")).ok()?;
        Some(((*what).to_owned(), parse_pressure(&text)?))
    };
    ["cpu", "memory", "io"].iter().filter_map(read).collect()
}

fn parse_pressure(text: &str) -> Option<Pressure> {
    let of = |kind: &str| -> Option<[f64; 3]> {
        let line = text.lines().find_map(|line| line.strip_prefix(kind))?;
        let value = |key: &str| {
            line.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse().ok())
        };
        Some([value("avg10")?, value("avg60")?, value("avg300")?])
    };
    // Older kernels have no `full` for the CPU.
    Some(Pressure { some: of("some ")?, full: of("full ").unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read() {
        let text = "some avg10=1.50 avg60=0.25 avg300=0.00 total=12\n\
                    full avg10=0.50 avg60=0.00 avg300=0.00 total=3\n";
        let pressure = parse_pressure(text).unwrap();
        assert_eq!((pressure.some, pressure.full), ([1.5, 0.25, 0.0], [0.5, 0.0, 0.0]));
        assert_eq!(parse_pressure("some avg10=x"), None);
        let files = parse_file_nr("2048\t48\t9223372036854775807\n").unwrap();
        assert_eq!((files.used, files.most), (2000, i64::MAX.cast_unsigned()));
        assert_eq!(parse_file_nr("1 2"), None);
    }
}
