//! Control groups: one of the bench's own for each contender, by which it is accounted and cleared
//! away; and those that contenders make for their tasks, which are found by the tasks in them.

use crate::clock;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What every group begins with that is the bench's or ours.
const PREFIX: &str = "cerebro-";

/// Where control groups are mounted.
#[derive(Debug)]
pub struct Hierarchies {
    /// (controllers as in /proc/PID/cgroup, mount point); the empty name is version 2.
    mounts: Vec<(String, PathBuf)>,
    /// Our own group in version 2: the bench's groups are made in it.
    base: PathBuf,
}

impl Hierarchies {
    /// Those of this process. An error where there is no version 2 tree: the accounting needs it.
    pub fn detect() -> Result<Self> {
        let mountinfo = fs::read_to_string("/proc/self/mountinfo")?;
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let mut mounts = Vec::new();
        for (controllers, _) in memberships(&own) {
            if let Some(mount) = mount_of(&mountinfo, controllers) {
                mounts.push((controllers.to_owned(), mount));
            }
        }
        let hierarchies = Self { mounts, base: PathBuf::new() };
        let base = memberships(&own)
            .find(|(controllers, _)| controllers.is_empty())
            .and_then(|(controllers, path)| hierarchies.directory(controllers, path))
            .context("no control groups of version 2 are mounted; the bench accounts by them")?;
        Ok(Self { base, ..hierarchies })
    }

    fn directory(&self, controllers: &str, path: &str) -> Option<PathBuf> {
        let (_, mount) = self.mounts.iter().find(|(known, _)| known == controllers)?;
        Some(mount.join(path.trim_start_matches('/')))
    }

    /// Makes a group for a contender.
    pub fn create(&self, name: &str) -> Result<Group> {
        let path = self.base.join(format!("{PREFIX}bench-{}-{name}", std::process::id()));
        fs::create_dir(&path)
            .with_context(|| format!("cannot make the control group {}", path.display()))?;
        Ok(Group { path })
    }

    /// The groups, outermost first, that were made for a process: from the first whose name tells
    /// that it is ours down to its own, in each hierarchy.
    pub fn made_for(&self, pid: i32) -> BTreeSet<PathBuf> {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let mut made = BTreeSet::new();
        for (controllers, path) in memberships(&text) {
            let Some(directory) = self.directory(controllers, path) else { continue };
            for ancestor in directory.ancestors() {
                let is_below = ancestor.ancestors().any(|part| {
                    let name = part.file_name().unwrap_or_default();
                    name.to_string_lossy().starts_with(PREFIX)
                });
                if is_below {
                    made.insert(ancestor.to_owned());
                }
            }
        }
        made
    }

    /// The groups with our prefix that there are already: they are others'.
    pub fn present(&self) -> BTreeSet<PathBuf> {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut roots: BTreeSet<PathBuf> =
            self.mounts.iter().map(|(_, mount)| mount.clone()).collect();
        roots.extend(memberships(&own).filter_map(|(known, path)| self.directory(known, path)));
        let entries = roots.iter().filter_map(|root| fs::read_dir(root).ok()).flatten().flatten();
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
            .map(|entry| entry.path())
            .collect()
    }
}

/// (controllers, path) of each line of /proc/PID/cgroup; proc(5), cgroups(7).
fn memberships(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        rest.split_once(':')
    })
}

/// Where a hierarchy is mounted: version 2 has a type of its own, a version 1 hierarchy names its
/// controllers among its options.
fn mount_of(mountinfo: &str, controllers: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (place, what) = line.split_once(" - ")?;
        let mount = place.split(' ').nth(4)?;
        let mut what = what.split(' ');
        let (kind, options) = (what.next()?, what.nth(1)?);
        let is_it = match controllers {
            "" => kind == "cgroup2",
            _ => {
                let has = |one: &str| options.split(',').any(|option| option == one);
                kind == "cgroup" && controllers.split(',').all(has)
            }
        };
        is_it.then(|| PathBuf::from(mount))
    })
}

/// A group of the bench.
#[derive(Debug)]
pub struct Group {
    path: PathBuf,
}

impl Group {
    /// The file that a process enters by.
    pub fn door(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    /// Whether a directory is this group or in it.
    pub fn holds(&self, directory: &Path) -> bool {
        directory.starts_with(&self.path)
    }

    /// The processes in it and below it.
    pub fn processes(&self) -> Vec<i32> {
        let mut pids = Vec::new();
        for group in below(&self.path) {
            let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
        }
        pids
    }

    /// The CPU time that was used in it, in seconds, by processes that have ended too.
    pub fn cpu_seconds(&self) -> f64 {
        let text = fs::read_to_string(self.path.join("cpu.stat")).unwrap_or_default();
        let field = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
        field.and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0) / 1e6
    }

    /// Kills what is in it, and removes it; whether it is gone within the bound.
    pub fn destroy(&self, within: Duration) -> bool {
        clock::until_regardless(within, || {
            let _ = fs::write(self.path.join("cgroup.kill"), "1");
            // The innermost first.
            for group in below(&self.path).iter().rev() {
                let _ = fs::remove_dir(group);
            }
            !self.path.exists()
        })
    }
}

/// A group and all below it, each after what it is in.
fn below(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        found.extend(below(&entry.path()));
    }
    found
}

/// Removes groups that were made for tasks, once nothing is in them; what is left then.
pub fn remove(groups: &BTreeSet<PathBuf>, within: Duration) -> Vec<PathBuf> {
    let left = || groups.iter().filter(|group| group.exists()).cloned().collect::<Vec<_>>();
    clock::until_regardless(within, || {
        for group in groups.iter().rev() {
            let _ = fs::remove_dir(group);
        }
        left().is_empty()
    });
    left()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
31 24 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
32 24 0:28 / /sys/fs/cgroup/systemd rw,nosuid shared:9 - cgroup cgroup rw,name=systemd
33 24 0:29 / /sys/fs/cgroup/unified rw shared:10 - cgroup2 cgroup2 rw
";

    #[test]
    fn hierarchies_are_found_by_their_controllers() {
        let mount = |controllers| mount_of(MOUNTS, controllers);
        assert_eq!(mount(""), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(mount("cpu,cpuacct"), Some("/sys/fs/cgroup/cpu,cpuacct".into()));
        assert_eq!(mount("name=systemd"), Some("/sys/fs/cgroup/systemd".into()));
        assert_eq!(mount("memory"), None);
    }

    #[test]
    fn memberships_are_read_line_by_line() {
        let read: Vec<_> = memberships("4:memory:/a/b\n0::/\nnonsense\n").collect();
        assert_eq!(read, [("memory", "/a/b"), ("", "/")]);
    }
}
