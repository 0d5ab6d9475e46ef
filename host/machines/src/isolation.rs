//! What this host can keep apart between machines, and what a person should know about it.

use cerebro_linux::cgroup::Cgroups;
use cerebro_linux::net;
use cerebro_model::{Capacity, Cores, Megabytes};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// One thing that can be kept apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Piece {
    /// It can.
    There,
    /// It cannot, for this reason.
    Missing(String),
}

impl Piece {
    /// Whether it can be kept apart.
    pub fn is_there(&self) -> bool {
        *self == Self::There
    }

    fn of(result: Result<(), impl ToString>) -> Self {
        result.map_or_else(|error| Self::Missing(error.to_string()), |()| Self::There)
    }
}

/// What is kept apart between machines of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation {
    /// Processes and the host's name, by namespaces.
    pub processes: Piece,
    /// Files, by an overlay over the host's.
    pub files: Piece,
    /// CPU and memory, by control groups.
    pub limits: Piece,
    /// Networks, on demand.
    pub network: Piece,
}

/// What the init found when it tried.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Probe {
    pub processes: Piece,
    pub files: Piece,
}

impl Isolation {
    /// Nothing is kept apart, for this reason.
    pub fn none(why: &str) -> Self {
        let missing = Piece::Missing(why.to_owned());
        Self {
            processes: missing.clone(),
            files: missing.clone(),
            limits: missing.clone(),
            network: missing,
        }
    }

    /// Finds out by trying, with the init in `bin_dir` and a directory below `data_dir` that is
    /// removed again.
    pub fn detect(bin_dir: &Path, data_dir: &Path) -> io::Result<Self> {
        if !nix::unistd::geteuid().is_root() {
            return Ok(Self::none("Cerebro does not run as root"));
        }
        // One process may ask for several clusters at once.
        static ASKED: AtomicU32 = AtomicU32::new(0);
        let own = format!("{}-{}", std::process::id(), ASKED.fetch_add(1, Ordering::Relaxed));
        let scratch = data_dir.join(format!("probe-{own}"));
        let probe = probe(bin_dir, &scratch);
        let removed = fs::remove_dir_all(&scratch);
        let probe = probe?;
        removed?;
        let network = match (&probe.processes, net::is_available()) {
            (Piece::There, true) => Piece::There,
            (Piece::There, false) => {
                Piece::Missing("`ip` is missing: install the package `iproute2`".to_owned())
            }
            (missing, _) => missing.clone(),
        };
        let limits = limits(&format!("cerebro-probe-{own}"));
        Ok(Self { processes: probe.processes, files: probe.files, limits, network })
    }

    /// What is not kept apart and why, in one sentence; nothing where all is.
    pub fn sentence(&self) -> Option<String> {
        let pieces = [
            ("processes", &self.processes),
            ("files", &self.files),
            ("CPU and memory limits", &self.limits),
            ("networks of their own", &self.network),
        ];
        let missing: Vec<(&str, &str)> = pieces
            .into_iter()
            .filter_map(|(what, piece)| match piece {
                Piece::There => None,
                Piece::Missing(why) => Some((what, why.as_str())),
            })
            .collect();
        let (_, first) = missing.first()?;
        let same = missing.iter().all(|(_, why)| why == first);
        let list = if same {
            let names: Vec<&str> = missing.iter().map(|(what, _)| *what).collect();
            format!("{} ({first})", names.join(", "))
        } else {
            let each: Vec<String> =
                missing.iter().map(|(what, why)| format!("{what} ({why})")).collect();
            each.join(", ")
        };
        Some(format!("Machines on this host are not kept apart in: {list}."))
    }
}

fn probe(bin_dir: &Path, scratch: &Path) -> io::Result<Probe> {
    fs::create_dir_all(scratch)?;
    let program = bin_dir.join("localmachine");
    let output = Command::new(&program).arg("--probe").arg(scratch).output().map_err(|error| {
        io::Error::new(error.kind(), format!("cannot run `{}`: {error}", program.display()))
    })?;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        io::Error::other(format!("`{} --probe` failed: {said}", program.display()))
    })
}

fn limits(name: &str) -> Piece {
    let cgroups = match Cgroups::detect() {
        Ok(cgroups) => cgroups,
        Err(error) => return Piece::of(Err(error)),
    };
    let missing = cgroups.missing();
    if !missing.is_empty() {
        return Piece::Missing(format!("no control group hierarchy for {}", missing.join(", ")));
    }
    // A level below, because that needs the controllers to be handed down too.
    let made = cgroups.create(&format!("{name}/below"));
    let removed = cgroups.group(name).remove(Duration::from_secs(1));
    Piece::of(made.map(drop).and(removed))
}

/// What this host has to give; nothing is taken off for what runs on it.
pub fn host_capacity() -> io::Result<Capacity> {
    let cores = u32::try_from(std::thread::available_parallelism()?.get()).unwrap_or(u32::MAX);
    let info = fs::read_to_string("/proc/meminfo")?;
    let kilobytes: u64 = info
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok())
        .ok_or_else(|| io::Error::other("`/proc/meminfo` has no line `MemTotal`"))?;
    Ok(Capacity {
        cpu: Cores::from_millis(cores.saturating_mul(1000)),
        mem: Megabytes::new(kilobytes / 1024),
        // Not looked at: a disk is promised by whoever makes machines.
        disk: Megabytes::ZERO,
    })
}

/// Says in one sentence that machines together promise more than their host has, where they do.
pub fn beyond_host(machines: &[Capacity], host: Capacity) -> Option<String> {
    let cpu = machines.iter().fold(Cores::ZERO, |sum, one| sum.saturating_add(one.cpu));
    let mem = machines.iter().fold(Megabytes::ZERO, |sum, one| sum.saturating_add(one.mem));
    (cpu > host.cpu || mem > host.mem).then(|| {
        format!(
            "The machines together promise {cpu} cores and {mem}, more than this host has \
             ({} cores, {}): what needs it all at once will be slow, or killed.",
            host.cpu, host.mem
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_once_with_its_reason() {
        let none = Isolation::none("Cerebro does not run as root").sentence().unwrap();
        assert_eq!(none.matches("root").count(), 1, "{none}");
        let mut isolation = Isolation::none("no");
        isolation.processes = Piece::There;
        isolation.network = Piece::There;
        isolation.limits = Piece::Missing("the tree is read-only".to_owned());
        assert_eq!(
            isolation.sentence().unwrap(),
            "Machines on this host are not kept apart in: files (no), CPU and memory limits (the \
             tree is read-only)."
        );
        isolation.limits = Piece::There;
        isolation.files = Piece::There;
        assert_eq!(isolation.sentence(), None);
    }

    #[test]
    fn only_more_than_the_host_has_is_worth_a_sentence() {
        let of = |cores: u32, mem| Capacity {
            cpu: Cores::from_millis(cores * 1000),
            mem: Megabytes::new(mem),
            disk: Megabytes::ZERO,
        };
        assert_eq!(beyond_host(&[of(1, 512), of(1, 512)], of(2, 1024)), None);
        let sentence = beyond_host(&[of(4, 512)], of(2, 1024)).unwrap();
        assert!(sentence.contains("4 cores") && sentence.contains("1024 MB"), "{sentence}");
        assert!(host_capacity().unwrap().mem > Megabytes::ZERO);
    }
}
