//! `cerebro:recipe/facts`, from what the kernel and the distribution tell.

use super::{Scope, State};
use crate::bindings::interfaces::facts::{
    Host, Load, Memory, Mount, NetworkInterface, OperatingSystem,
};
use nix::fcntl::OFlag;
use nix::ifaddrs::getifaddrs;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::sys::utsname::uname;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Bytes of a custom fact.
const LARGEST_FACT: u64 = 64 << 10;
/// File systems that are on no disk.
const NOT_ON_DISK: [&str; 24] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nsfs",
    "proc",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tmpfs",
    "tracefs",
    "ramfs",
];

/// The fields of an `os-release` file: os-release(5).
fn os_release(text: &str) -> HashMap<String, String> {
    let fields = text.lines().filter_map(|line| line.trim().split_once('='));
    let plain = |value: &str| value.trim_matches(['"', '\'']).to_owned();
    fields.map(|(name, value)| (name.to_owned(), plain(value))).collect()
}

fn system(root: &Path) -> OperatingSystem {
    let read = |path: &str| fs::read_to_string(root.join(path)).ok();
    let text = read("etc/os-release").or_else(|| read("usr/lib/os-release")).unwrap_or_default();
    let release = os_release(&text);
    let field = |name: &str| release.get(name).cloned().unwrap_or_default();
    let name = uname().ok();
    let of = |get: fn(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr| {
        name.as_ref().map(|name| get(name).to_string_lossy().into_owned()).unwrap_or_default()
    };
    let has = |path: &str| root.join(path).exists();
    let manager = [("apt", "usr/bin/apt-get"), ("dnf", "usr/bin/dnf"), ("apk", "sbin/apk")];
    let service = [
        ("systemd", "run/systemd/system"),
        ("openrc", "sbin/openrc"),
        ("sysv", "usr/sbin/service"),
    ];
    let first = |known: &[(&str, &str)]| {
        known.iter().find(|(_, path)| has(path)).map_or("", |(name, _)| name).to_owned()
    };
    OperatingSystem {
        id: field("ID"),
        version: field("VERSION_ID"),
        like: field("ID_LIKE").split_whitespace().map(str::to_owned).collect(),
        kernel: of(|name| name.release()),
        architecture: of(|name| name.machine()),
        hostname: of(|name| name.nodename()),
        package_manager: first(&manager),
        service_manager: first(&service),
    }
}

/// Bytes, from `/proc/meminfo`: proc_meminfo(5).
fn memory(text: &str) -> Memory {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    };
    Memory {
        total: field("MemTotal"),
        available: field("MemAvailable"),
        swap_total: field("SwapTotal"),
        swap_free: field("SwapFree"),
    }
}

fn load(text: &str) -> Load {
    let mut numbers = text.split_whitespace().map(|word| word.parse().unwrap_or(0.0));
    let mut next = || numbers.next().unwrap_or(0.0);
    Load { one: next(), five: next(), fifteen: next() }
}

/// Path, type and source of each mount, from `/proc/self/mountinfo`: proc_pid_mountinfo(5).
fn mounted(text: &str) -> Vec<(String, String, String)> {
    let unescape = |text: &str| {
        ["\\040", "\\011", "\\012", "\\134"]
            .iter()
            .zip([" ", "\t", "\n", "\\"])
            .fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
    };
    let parse = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let path = before.split(' ').nth(4)?;
        let mut after = after.split(' ');
        Some((unescape(path), after.next()?.to_owned(), unescape(after.next()?)))
    };
    text.lines().filter_map(parse).collect()
}

fn mounts() -> Vec<Mount> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut found = BTreeMap::new();
    for (path, file_system, source) in mounted(&text) {
        if NOT_ON_DISK.contains(&file_system.as_str()) {
            continue;
        }
        // One that does not answer is not told of.
        let Ok(about) = statvfs(Path::new(&path)) else { continue };
        let bytes = |blocks: u64| blocks.saturating_mul(about.fragment_size());
        let mount = Mount {
            path: path.clone(),
            source,
            file_system,
            total: bytes(about.blocks()),
            available: bytes(about.blocks_available()),
            read_only: about.flags().contains(FsFlags::ST_RDONLY),
        };
        // What was mounted last over a path is what is seen there.
        found.insert(path, mount);
    }
    found.into_values().collect()
}

fn interfaces() -> Vec<NetworkInterface> {
    let mut found: BTreeMap<String, NetworkInterface> = BTreeMap::new();
    for entry in getifaddrs().into_iter().flatten() {
        let name = entry.interface_name.clone();
        let interface = found.entry(name.clone()).or_insert_with(|| NetworkInterface {
            name,
            mac: String::new(),
            addresses: Vec::new(),
        });
        let Some(address) = entry.address else { continue };
        if let Some(link) = address.as_link_addr().and_then(|link| link.addr()) {
            let parts: Vec<String> = link.iter().map(|byte| format!("{byte:02x}")).collect();
            interface.mac = parts.join(":");
        }
        let mask = entry.netmask;
        let (ip, length): (IpAddr, u32) = if let Some(v4) = address.as_sockaddr_in() {
            let mask = mask.as_ref().and_then(|mask| mask.as_sockaddr_in());
            (v4.ip().into(), mask.map_or(32, |mask| u32::from(mask.ip()).count_ones()))
        } else if let Some(v6) = address.as_sockaddr_in6() {
            let mask = mask.as_ref().and_then(|mask| mask.as_sockaddr_in6());
            (v6.ip().into(), mask.map_or(128, |mask| u128::from(mask.ip()).count_ones()))
        } else {
            continue;
        };
        interface.addresses.push(format!("{ip}/{length}"));
    }
    found.into_values().collect()
}

/// What the operator has written down under `name`.
fn custom(root: &Path, name: &str) -> Option<String> {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_fine) {
        return None;
    }
    let path: PathBuf = root.join("etc/cerebro/facts").join(name);
    // A pipe that someone put there is not waited for.
    let mut options = fs::File::options();
    let file = options.read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    file.take(LARGEST_FACT).read_to_end(&mut text).ok()?;
    String::from_utf8(text).ok()
}

impl Scope {
    async fn look<T: Default + Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> T + Send + 'static,
    ) -> T {
        let root = self.call.root.clone();
        tokio::task::spawn_blocking(move || work(&root)).await.unwrap_or_default()
    }
}

fn file(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

impl Host for State {
    async fn system(&mut self) -> wasmtime::Result<OperatingSystem> {
        let scope = self.scope();
        scope.told("facts.system", "", &(), async { system(&scope.call.root) }).await
    }

    async fn cpus(&mut self) -> wasmtime::Result<u32> {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let cpus = u32::try_from(cpus).unwrap_or(u32::MAX);
        self.scope().told("facts.cpus", "", &(), async { cpus }).await
    }

    async fn memory_now(&mut self) -> wasmtime::Result<Memory> {
        let work = async { memory(&file("/proc/meminfo")) };
        self.scope().told("facts.memory-now", "", &(), work).await
    }

    async fn load_now(&mut self) -> wasmtime::Result<Load> {
        let work = async { load(&file("/proc/loadavg")) };
        self.scope().told("facts.load-now", "", &(), work).await
    }

    async fn uptime(&mut self) -> wasmtime::Result<f64> {
        let text = file("/proc/uptime");
        let seconds = text.split_whitespace().next().and_then(|word| word.parse().ok());
        let seconds = seconds.unwrap_or(0.0);
        self.scope().told("facts.uptime", "", &(), async { seconds }).await
    }

    async fn mounts(&mut self) -> wasmtime::Result<Vec<Mount>> {
        let scope = self.scope();
        scope.told("facts.mounts", "", &(), scope.look(|_| mounts())).await
    }

    async fn interfaces(&mut self) -> wasmtime::Result<Vec<NetworkInterface>> {
        self.scope().told("facts.interfaces", "", &(), async { interfaces() }).await
    }

    async fn custom(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        let (scope, asked) = (self.scope(), name.clone());
        let work = scope.look(move |root| custom(root, &name));
        scope.told("facts.custom", &asked, &asked, work).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_files_say_is_understood() {
        let release = os_release("ID=debian\nVERSION_ID=\"13\"\nID_LIKE='a b'\n");
        assert_eq!((release["ID"].as_str(), release["VERSION_ID"].as_str()), ("debian", "13"));
        let memory = memory("MemTotal:       1024 kB\nMemAvailable:   512 kB\nSwapFree: 1 kB\n");
        assert_eq!((memory.total, memory.available, memory.swap_free), (1 << 20, 512 << 10, 1024));
        let load = load("0.50 1.25 2.00 1/100 42\n");
        assert!(load.one == 0.5 && load.five == 1.25 && load.fifteen == 2.0);
        let line = "36 35 98:0 /mnt1 /a\\040b rw,noatime master:1 - ext4 /dev/sda1 rw\n";
        let expected = ("/a b".to_owned(), "ext4".to_owned(), "/dev/sda1".to_owned());
        assert_eq!(mounted(line), [expected]);
    }

    #[test]
    fn this_machine_is_told_of() {
        assert!(system(Path::new("/")).kernel.contains('.'));
        let lo = interfaces().into_iter().find(|interface| interface.name == "lo");
        assert!(lo.is_none_or(|lo| lo.addresses.contains(&"127.0.0.1/8".to_owned())));
        assert!(mounts().iter().all(|mount| mount.total >= mount.available));
    }

    #[test]
    fn custom_facts_are_files_of_the_operators_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let facts = dir.path().join("etc/cerebro/facts");
        fs::create_dir_all(&facts).unwrap();
        fs::write(facts.join("rack"), "b7").unwrap();
        fs::write(dir.path().join("etc/secret"), "x").unwrap();
        assert_eq!(custom(dir.path(), "rack").as_deref(), Some("b7"));
        for bad in ["none", "", ".", "..", "../../secret", "a/b"] {
            assert_eq!(custom(dir.path(), bad), None, "{bad}");
        }
    }
}
