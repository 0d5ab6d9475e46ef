//! Control groups, version 2 and version 1, by plain files.
//!
//! For each controller the hierarchy is used that has it: version 2 where it can, version 1
//! elsewhere, also mixed. Where there is a version 2 tree at all, a group is made in it too, so that
//! children can be born in it and all of it can be frozen. Interfaces: the kernel's `Documentation/admin-guide/cgroup-v2.rst` and
//! `cgroup-v1/`.

mod door;
mod end;
mod usage;

pub use door::{Door, Entrance};
pub use end::Occupancy;
pub use usage::{CgroupUsage, OomWatch};

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// Why a group could not be made, changed or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {path}")]
pub struct CgroupError {
    doing: &'static str,
    path: String,
    #[source]
    source: io::Error,
}

impl From<io::Error> for CgroupError {
    /// Of what is done before any one group is looked at.
    fn from(source: io::Error) -> Self {
        Self { doing: "use the control groups in", path: "/proc/self/mountinfo".to_owned(), source }
    }
}

fn at<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> CgroupError + 'a {
    move |source| CgroupError { doing, path: path.display().to_string(), source }
}

/// The hierarchies of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroups {
    /// The root of the version 2 tree.
    v2: Option<PathBuf>,
    /// The controllers that the version 2 tree has.
    in_v2: BTreeSet<String>,
    /// The roots of the version 1 trees of the others.
    v1: Vec<(String, PathBuf)>,
}

impl Cgroups {
    /// Finds the hierarchies that are mounted; none of the controllers needs to be there.
    pub fn detect() -> io::Result<Self> {
        Self::of(&fs::read_to_string("/proc/self/mountinfo")?, |root| {
            fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default()
        })
    }

    fn of(mountinfo: &str, controllers: impl Fn(&Path) -> String) -> io::Result<Self> {
        let mut found = Self { v2: None, in_v2: BTreeSet::new(), v1: Vec::new() };
        for line in mountinfo.lines() {
            let Some((mount, filesystem)) = line.split_once(" - ") else { continue };
            let (Some(point), Some(kind)) = (mount.split(' ').nth(4), filesystem.split(' ').next())
            else {
                continue;
            };
            let options = filesystem.rsplit(' ').next().unwrap_or_default();
            match kind {
                "cgroup2" if found.v2.is_none() => {
                    let root = PathBuf::from(point);
                    found.in_v2 =
                        controllers(&root).split_whitespace().map(str::to_owned).collect();
                    found.v2 = Some(root);
                }
                "cgroup" => {
                    let own = options.split(',').filter(|option| CONTROLLERS.contains(option));
                    found.v1.extend(own.map(|option| (option.to_owned(), PathBuf::from(point))));
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// The same without the version 1 hierarchies of other controllers than these: what is not
    /// limited need not be counted.
    pub fn only(mut self, controllers: &[&str]) -> Self {
        self.v1.retain(|(controller, _)| controllers.contains(&controller.as_str()));
        self
    }

    /// The controllers that are missing, of CPU, memory and pids.
    pub fn missing(&self) -> Vec<&'static str> {
        let has = |c: &str| self.in_v2.contains(c) || self.v1.iter().any(|(own, _)| own == c);
        CONTROLLERS.into_iter().filter(|c| !has(c)).collect()
    }

    /// The group at `path` below the roots, such as `cerebro/m-1`, whether it is there or not.
    pub fn group(&self, path: &str) -> Cgroup {
        Cgroup { cgroups: self.clone(), path: path.to_owned() }
    }

    /// Makes the group at `path` and those above it.
    pub fn create(&self, path: &str) -> Result<Cgroup, CgroupError> {
        let group = self.group(path);
        if let Some(root) = &self.v2 {
            let wanted: Vec<_> =
                CONTROLLERS.into_iter().filter(|c| self.in_v2.contains(*c)).collect();
            let enable = wanted.iter().map(|c| format!("+{c}")).collect::<Vec<_>>().join(" ");
            let mut directory = root.clone();
            for part in path.split('/') {
                if !wanted.is_empty() {
                    let file = directory.join("cgroup.subtree_control");
                    fs::write(&file, &enable).map_err(at("enable controllers in", &file))?;
                }
                directory.push(part);
                fs::create_dir_all(&directory).map_err(at("make", &directory))?;
            }
        }
        for (_, root) in &self.v1 {
            let directory = root.join(path);
            fs::create_dir_all(&directory).map_err(at("make", &directory))?;
        }
        Ok(group)
    }
}

/// One group, in every hierarchy that matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    cgroups: Cgroups,
    path: String,
}

/// The hierarchy that has a controller, and a group's directory in it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum At {
    V1(PathBuf),
    V2(PathBuf),
}

impl Cgroup {
    /// Its path below the roots.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Limits CPU, in thousandths of a core; none for no limit.
    pub fn set_cpu(&self, millicores: Option<u32>) -> Result<(), CgroupError> {
        const PERIOD: u64 = 100_000;
        // The kernel takes no quota below a millisecond.
        let quota = millicores.map(|millis| (u64::from(millis) * PERIOD / 1000).max(1000));
        match self.controller("cpu") {
            Some(At::V2(dir)) => {
                let quota = quota.map_or("max".to_owned(), |quota| quota.to_string());
                write(&dir.join("cpu.max"), format!("{quota} {PERIOD}"))
            }
            Some(At::V1(dir)) => {
                write(&dir.join("cpu.cfs_period_us"), PERIOD)?;
                let quota = quota.map_or("-1".to_owned(), |quota| quota.to_string());
                write(&dir.join("cpu.cfs_quota_us"), quota)
            }
            None => Ok(()),
        }
    }

    /// Limits memory, and `swap` besides it, in bytes; none for no limit. Swap is limited only
    /// where the kernel counts it.
    pub fn set_memory(&self, bytes: Option<u64>, swap: u64) -> Result<(), CgroupError> {
        match self.controller("memory") {
            Some(At::V2(dir)) => {
                let max = |bytes: Option<u64>| bytes.map_or("max".to_owned(), |b| b.to_string());
                write(&dir.join("memory.max"), max(bytes))?;
                let file = dir.join("memory.swap.max");
                if file.exists() { write(&file, max(bytes.map(|_| swap))) } else { Ok(()) }
            }
            Some(At::V1(dir)) => {
                let own = dir.join("memory.limit_in_bytes");
                let both = dir.join("memory.memsw.limit_in_bytes");
                let max = |bytes: Option<u64>| bytes.map_or("-1".to_owned(), |b| b.to_string());
                if !both.exists() {
                    return write(&own, max(bytes));
                }
                // Memory may never be above both, so whichever way it goes, one comes first.
                let with_swap = max(bytes.map(|bytes| bytes.saturating_add(swap)));
                if write(&own, max(bytes)).is_err() {
                    write(&both, &with_swap)?;
                    write(&own, max(bytes))?;
                }
                write(&both, with_swap)
            }
            None => Ok(()),
        }
    }

    /// Limits the number of processes and threads; none for no limit.
    pub fn set_pids(&self, number: Option<u32>) -> Result<(), CgroupError> {
        let max = number.map_or("max".to_owned(), |number| number.to_string());
        match self.controller("pids") {
            Some(At::V1(dir) | At::V2(dir)) => write(&dir.join("pids.max"), max),
            None => Ok(()),
        }
    }

    /// Has the kernel kill all of the group rather than one process of it, where it can (version 2);
    /// answers whether it can.
    pub fn set_oom_group(&self, all: bool) -> Result<bool, CgroupError> {
        match self.controller("memory") {
            Some(At::V2(dir)) => write(&dir.join("memory.oom.group"), u8::from(all)).map(|()| true),
            _ => Ok(false),
        }
    }

    /// Every process in it and in the groups below.
    pub fn processes(&self) -> BTreeSet<i32> {
        let mut found = BTreeSet::new();
        for directory in self.directories() {
            collect(&directory, &mut found);
        }
        found
    }

    /// Whether it is there.
    pub fn exists(&self) -> bool {
        self.directories().iter().any(|directory| directory.exists())
    }

    fn controller(&self, name: &str) -> Option<At> {
        if self.cgroups.in_v2.contains(name) {
            return Some(At::V2(self.cgroups.v2.as_ref()?.join(&self.path)));
        }
        let (_, root) = self.cgroups.v1.iter().find(|(own, _)| own == name)?;
        Some(At::V1(root.join(&self.path)))
    }

    fn directories(&self) -> BTreeSet<PathBuf> {
        let roots = self.cgroups.v2.iter().chain(self.cgroups.v1.iter().map(|(_, root)| root));
        roots.map(|root| root.join(&self.path)).collect()
    }
}

fn write(file: &Path, value: impl std::fmt::Display) -> Result<(), CgroupError> {
    fs::write(file, value.to_string()).map_err(at("write", file))
}

fn below(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
}

fn collect(directory: &Path, found: &mut BTreeSet<i32>) {
    let procs = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    // Processes of other pid namespaces show as 0. A process that only has a thread there, to start
    // others in the group, is no member; and it is the only one to have such threads.
    let own = std::process::id().cast_signed();
    let pids = procs.lines().filter_map(|line| line.parse::<i32>().ok());
    found.extend(pids.filter(|pid| *pid > 0 && *pid != own));
    below(directory).for_each(|child| collect(&child, found));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::Command;
    use std::time::{Duration, Instant};

    #[test]
    fn hybrid_and_unified_machines_are_told_apart() {
        let hybrid = "\
            30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
            31 25 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
            32 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let found = Cgroups::of(hybrid, |_| String::new()).unwrap();
        assert_eq!(found.missing(), ["pids"]);
        let group = found.group("c/m");
        assert_eq!(
            group.controller("cpu").unwrap(),
            At::V1("/sys/fs/cgroup/cpu,cpuacct/c/m".into())
        );
        assert_eq!(group.directories().len(), 3);

        let unified = "30 25 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = Cgroups::of(unified, |_| "cpuset cpu io memory pids".to_owned()).unwrap();
        assert_eq!(found.missing(), [""; 0]);
        assert_eq!(
            found.group("c").controller("memory").unwrap(),
            At::V2("/sys/fs/cgroup/c".into())
        );
    }

    struct Guard(Cgroup);

    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.kill(Duration::from_secs(5));
            let _ = self.0.remove(Duration::from_secs(5));
        }
    }

    #[test]
    fn a_group_holds_its_processes_and_kills_them_all() {
        let name = format!("cerebro-test-{}", std::process::id());
        // Only root can make groups; elsewhere there is nothing to test.
        let Ok(group) = Cgroups::detect().unwrap().create(&format!("{name}/a")) else { return };
        let parent = Guard(Cgroups::detect().unwrap().group(&name));
        group.set_cpu(Some(500)).unwrap();
        group.set_memory(Some(64 << 20), 0).unwrap();
        group.set_pids(Some(50)).unwrap();
        let door = group.door();
        let mut command = Command::new("sh");
        command.args(["-c", "setsid sleep 60 & sleep 60"]);
        // SAFETY: entering is async-signal-safe.
        unsafe { command.pre_exec(move || door.enter()) };
        let mut child = command.spawn().unwrap();
        let end = Instant::now() + Duration::from_secs(10);
        while parent.0.processes().len() < 3 && Instant::now() < end {
            std::thread::yield_now();
        }
        assert_eq!(parent.0.processes().len(), 3);
        std::thread::spawn(move || child.wait());
        assert!(parent.0.kill(Duration::from_secs(10)));
        assert!(parent.0.processes().is_empty());
        // What was killed can be used again, also by who is born in it.
        let program = crate::spawn::Program::new([std::ffi::OsStr::new("/bin/true")], []).unwrap();
        let entrance = group.entrance().unwrap();
        // SAFETY: nothing is done before exec.
        let born = unsafe { crate::spawn::spawn(&program, entrance.v2(), || Ok(())) }.unwrap();
        let status = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(born.pid), None).unwrap();
        assert!(matches!(status, nix::sys::wait::WaitStatus::Exited(_, 0)), "{status:?}");
        parent.0.remove(Duration::from_secs(5)).unwrap();
        assert!(group.directories().iter().all(|dir| !dir.exists()));
    }
}
