//! The machine's own view of the files: an overlay over the host's, with what must be fresh in it.

use super::{InitError, doing, doing_with};
use crate::local::MachineDir;
use cerebro_linux::mount::{self, Mount};
use std::fs;
use std::path::Path;

/// Where the agent finds its binaries.
pub const BIN: &str = "/run/cerebro/bin";

/// Where the agent keeps its data.
pub const DATA: &str = "/var/lib/cerebro";

const RESOLVER: &str = "/etc/resolv.conf";

/// Moves the caller into the machine's root. Its mount namespace must be its own and private, so
/// that every mount ends with the machine.
pub fn enter(machine: &MachineDir, bin_dir: &Path) -> Result<(), InitError> {
    let wrapped = |error| doing("set up the machine's files")(error);
    let (upper, work, root) = (machine.upper(), machine.work(), machine.merged());
    for directory in [&upper, &work, &root, &machine.data()] {
        make(directory)?;
    }
    let resolver = fs::read(RESOLVER).ok();
    let mounts = mount::all().map_err(doing("list the host's mounts"))?;

    mount::overlay(Path::new("/"), &upper, &work, &root).map_err(wrapped)?;
    let inside = |path: &str| root.join(path.trim_start_matches('/'));
    for path in ["/proc", "/sys", "/dev", "/run", "/tmp", DATA] {
        make(&inside(path))?;
    }
    // An overlay shows one file system; the host's others are shown as they are.
    for mount in mounts.iter().filter(|mount| is_shown(mount)) {
        let point = mount.point.to_string_lossy();
        mount::bind_read_only(&mount.point, &inside(&point)).map_err(wrapped)?;
    }
    mount::proc(&inside("/proc")).map_err(wrapped)?;
    mount::bind(Path::new("/sys"), &inside("/sys")).map_err(wrapped)?;
    mount::bind(Path::new("/dev"), &inside("/dev")).map_err(wrapped)?;
    if inside("/dev/shm").is_dir() {
        mount::tmpfs(&inside("/dev/shm"), 0o1777).map_err(wrapped)?;
    }
    mount::tmpfs(&inside("/run"), 0o755).map_err(wrapped)?;
    mount::tmpfs(&inside("/tmp"), 0o1777).map_err(wrapped)?;
    make(&inside(BIN))?;
    mount::bind_read_only(bin_dir, &inside(BIN)).map_err(wrapped)?;
    mount::bind(&machine.data(), &inside(DATA)).map_err(wrapped)?;
    mount::pivot(&root).map_err(wrapped)?;
    resolver.map_or(Ok(()), |text| keep_resolver(&text))
}

fn make(directory: &Path) -> Result<(), InitError> {
    fs::create_dir_all(directory).map_err(doing_with("make", directory))
}

/// Whether a mount of the host's holds files that software expects. Where the machine has its own,
/// or a parent of its own, the overlay must show through.
fn is_shown(mount: &Mount) -> bool {
    const KINDS: [&str; 7] = ["ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs"];
    const OWN: [&str; 6] = ["/proc", "/sys", "/dev", "/run", "/tmp", "/boot"];
    let point = &mount.point;
    KINDS.contains(&mount.kind.as_str())
        && point.is_dir()
        && !Path::new(DATA).starts_with(point)
        && !OWN.iter().any(|own| point.starts_with(own))
}

/// Where the resolver's configuration is a link into `/run`, as systemd-resolved makes it, the
/// fresh `/run` gets a copy.
fn keep_resolver(text: &[u8]) -> Result<(), InitError> {
    let Ok(link) = fs::read_link(RESOLVER) else { return Ok(()) };
    let target = Path::new("/etc").join(link);
    if target.exists() {
        return Ok(());
    }
    if let Some(parent) = target.parent() {
        make(parent)?;
    }
    fs::write(&target, text).map_err(doing_with("write", &target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_of_the_host_are_shown_unless_the_machine_has_its_own_there() {
        let shown = |point: &str, kind: &str| {
            is_shown(&Mount { point: point.into(), kind: kind.to_owned() })
        };
        assert!(shown("/usr", "ext4"));
        assert!(!shown("/usr", "tmpfs"));
        for own in ["/", "/var", "/var/lib", "/run", "/tmp"] {
            assert!(!shown(own, "ext4"), "{own}");
        }
    }
}
