//! Control groups, version 2 and version 1, by plain files.
//!
//! For each controller the hierarchy is used that has it: version 2 where it can, version 1
//! elsewhere, also mixed. Where there is a version 2 tree at all, a group is made in it too, for
//! `cgroup.kill`. Interfaces: the kernel's `Documentation/admin-guide/cgroup-v2.rst` and
//! `cgroup-v1/`.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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

impl Cgroup {
    /// Its path below the roots.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Limits CPU, in thousandths of a core.
    pub fn set_cpu(&self, millicores: u32) -> Result<(), CgroupError> {
        const PERIOD: u64 = 100_000;
        // The kernel takes no quota below a millisecond.
        let quota = (u64::from(millicores) * PERIOD / 1000).max(1000);
        match self.controller("cpu") {
            Some((true, dir)) => write(&dir.join("cpu.max"), format!("{quota} {PERIOD}")),
            Some((false, dir)) => {
                write(&dir.join("cpu.cfs_period_us"), PERIOD)?;
                write(&dir.join("cpu.cfs_quota_us"), quota)
            }
            None => Ok(()),
        }
    }

    /// Limits memory, in bytes; swap does not come on top, where the kernel counts it.
    pub fn set_memory(&self, bytes: u64) -> Result<(), CgroupError> {
        let (own, with_swap, swap) = match self.controller("memory") {
            Some((true, dir)) => (dir.join("memory.max"), dir.join("memory.swap.max"), 0),
            Some((false, dir)) => {
                (dir.join("memory.limit_in_bytes"), dir.join("memory.memsw.limit_in_bytes"), bytes)
            }
            None => return Ok(()),
        };
        write(&own, bytes)?;
        if with_swap.exists() { write(&with_swap, swap) } else { Ok(()) }
    }

    /// Limits the number of processes and threads.
    pub fn set_pids(&self, number: u32) -> Result<(), CgroupError> {
        match self.controller("pids") {
            Some((_, dir)) => write(&dir.join("pids.max"), number),
            None => Ok(()),
        }
    }

    /// The way into it, for a process between fork and exec.
    pub fn door(&self) -> Door {
        let files = self
            .directories()
            .into_iter()
            .map(|dir| dir.join("cgroup.procs").into_os_string().into_vec());
        // A path of ours holds no NUL.
        Door(files.filter_map(|file| CString::new(file).ok()).collect())
    }

    /// Every process in it and in the groups below.
    pub fn processes(&self) -> BTreeSet<i32> {
        let mut found = BTreeSet::new();
        for directory in self.directories() {
            collect(&directory, &mut found);
        }
        found
    }

    /// How often the kernel killed in it for want of memory.
    pub fn oom_kills(&self) -> u64 {
        let file = match self.controller("memory") {
            Some((true, dir)) => dir.join("memory.events"),
            Some((false, dir)) => dir.join("memory.oom_control"),
            None => return 0,
        };
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok()).unwrap_or(0)
    }

    /// Kills every process in it and below; answers whether all were gone in time.
    pub fn kill(&self, within: Duration) -> bool {
        let end = Instant::now() + within;
        if let Some(root) = &self.cgroups.v2 {
            // Missing before Linux 5.14; then the loop does it alone.
            let _ = fs::write(root.join(&self.path).join("cgroup.kill"), "1");
        }
        loop {
            let left = self.processes();
            if left.is_empty() {
                return true;
            }
            for pid in left {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            if Instant::now() > end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Removes it with the groups below, once they are empty; that it is gone already is no error.
    pub fn remove(&self, within: Duration) -> Result<(), CgroupError> {
        let end = Instant::now() + within;
        for directory in self.directories() {
            // A group stays busy for a moment after its last process has died.
            while let Err(source) = remove_tree(&directory) {
                if Instant::now() > end {
                    return Err(at("remove", &directory)(source));
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        Ok(())
    }

    /// Removes it if nothing is in it, not even an empty group below; an error otherwise.
    pub fn remove_empty(&self) -> Result<(), CgroupError> {
        for directory in self.directories() {
            match fs::remove_dir(&directory) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(at("remove", &directory)(source));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn controller(&self, name: &str) -> Option<(bool, PathBuf)> {
        if self.cgroups.in_v2.contains(name) {
            return Some((true, self.cgroups.v2.as_ref()?.join(&self.path)));
        }
        let (_, root) = self.cgroups.v1.iter().find(|(own, _)| own == name)?;
        Some((false, root.join(&self.path)))
    }

    fn directories(&self) -> BTreeSet<PathBuf> {
        let roots = self.cgroups.v2.iter().chain(self.cgroups.v1.iter().map(|(_, root)| root));
        roots.map(|root| root.join(&self.path)).collect()
    }
}

/// The files by which a process joins a group.
#[derive(Debug)]
pub struct Door(Vec<CString>);

impl Door {
    /// Moves the calling process into the group. Async-signal-safe: it may be called between fork
    /// and exec.
    pub fn enter(&self) -> io::Result<()> {
        for file in &self.0 {
            // SAFETY: the path is a C string, the buffer is valid for one byte, and the descriptor
            // is ours.
            let written = unsafe {
                let fd = libc::open(file.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
                if fd < 0 {
                    return Err(io::Error::last_os_error());
                }
                let written = libc::write(fd, c"0".as_ptr().cast(), 1);
                libc::close(fd);
                written
            };
            if written < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
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
    // Processes of other pid namespaces show as 0.
    found.extend(procs.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
    below(directory).for_each(|child| collect(&child, found));
}

fn remove_tree(directory: &Path) -> io::Result<()> {
    for child in below(directory) {
        remove_tree(&child)?;
    }
    match fs::remove_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

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
            (false, "/sys/fs/cgroup/cpu,cpuacct/c/m".into())
        );
        assert_eq!(group.directories().len(), 3);

        let unified = "30 25 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = Cgroups::of(unified, |_| "cpuset cpu io memory pids".to_owned()).unwrap();
        assert_eq!(found.missing(), [""; 0]);
        assert_eq!(
            found.group("c").controller("memory").unwrap(),
            (true, "/sys/fs/cgroup/c".into())
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
        group.set_cpu(500).unwrap();
        group.set_memory(64 << 20).unwrap();
        group.set_pids(50).unwrap();
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
        parent.0.remove(Duration::from_secs(5)).unwrap();
        assert!(group.directories().iter().all(|dir| !dir.exists()));
    }
}
