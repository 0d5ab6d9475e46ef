//! What is wrong with a machine, judged from what was measured. Pure.

use cerebro_api::machine::{OpenFiles, Pressure};
use std::fmt;
use std::time::Duration;

/// Free space below which a disk counts as full: this share of it, or so many bytes.
const FULL_SHARE: f64 = 0.05;
const FULL_BYTES: u64 = 500 << 20;
/// How far the clock may be off: more than any network delays an answer.
const CLOCK_OFF: Duration = Duration::from_secs(30);
/// The share of the machine's descriptors above which there are too few left.
const DESCRIPTORS: f64 = 0.9;
/// Percent of the last minute in which all work waited for memory.
const MEMORY_PRESSURE: f64 = 10.0;

/// What sort of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    DiskFull,
    ReadOnly,
    Clock,
    Descriptors,
    Memory,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DiskFull => "disk-full",
            Self::ReadOnly => "read-only",
            Self::Clock => "clock",
            Self::Descriptors => "descriptors",
            Self::Memory => "memory",
        })
    }
}

/// What was measured; none for what the machine does not tell.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// Of the file system that has the agent's data, and with it the logs.
    pub disk: Option<Disk>,
    /// How far the machine's clock is ahead of the controller's, in seconds.
    pub clock_ahead: Option<f64>,
    pub open_files: Option<OpenFiles>,
    pub memory: Option<Pressure>,
}

/// A file system.
#[derive(Debug, Clone)]
pub struct Disk {
    /// A directory on it.
    pub path: String,
    pub total: u64,
    pub free: u64,
    pub read_only: bool,
}

/// All that is wrong, each in a sentence, in the order of kinds.
pub fn judge(measured: &Measured) -> Vec<(Kind, String)> {
    let mut found = Vec::new();
    if let Some(disk) = &measured.disk {
        let least = ((disk.total as f64 * FULL_SHARE) as u64).max(FULL_BYTES);
        // Of a small disk, a share is all that can be asked.
        let least = least.min(disk.total / 4);
        if disk.free < least {
            let message = format!(
                "the disk with `{}` is full: {} of {} MB are free, and {} should be",
                disk.path,
                disk.free >> 20,
                disk.total >> 20,
                least >> 20
            );
            found.push((Kind::DiskFull, message));
        }
        if disk.read_only {
            let message = format!(
                "the file system with `{}` is read-only: nothing can be kept or logged there",
                disk.path
            );
            found.push((Kind::ReadOnly, message));
        }
    }
    if let Some(ahead) = measured.clock_ahead.filter(|a| a.abs() > CLOCK_OFF.as_secs_f64()) {
        let side = if ahead > 0.0 { "ahead of" } else { "behind" };
        let message =
            format!("the machine's clock is {:.0} s {side} the controller's", ahead.abs());
        found.push((Kind::Clock, message));
    }
    if let Some(files) = measured.open_files.filter(|f| f.used as f64 > f.most as f64 * DESCRIPTORS)
    {
        let message = format!(
            "the machine runs out of descriptors: {} of {} are open",
            files.used, files.most
        );
        found.push((Kind::Descriptors, message));
    }
    if let Some(pressure) = measured.memory.filter(|p| p.full[1] > MEMORY_PRESSURE) {
        let message = format!(
            "the machine is short of memory: for {:.0} % of the last minute all work waited for it",
            pressure.full[1]
        );
        found.push((Kind::Memory, message));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(measured: &Measured) -> Vec<Kind> {
        judge(measured).into_iter().map(|(kind, _)| kind).collect()
    }

    fn disk(total: u64, free: u64) -> Measured {
        let disk = Disk { path: "/data".to_owned(), total, free, read_only: false };
        Measured { disk: Some(disk), ..Measured::default() }
    }

    #[test]
    fn a_machine_that_tells_nothing_has_no_problem() {
        assert_eq!(kinds(&Measured::default()), []);
    }

    #[test]
    fn a_disk_is_full_below_a_share_or_a_size() {
        let gib = 1 << 30;
        assert_eq!(kinds(&disk(100 * gib, 4 * gib)), [Kind::DiskFull]);
        assert_eq!(kinds(&disk(100 * gib, 6 * gib)), []);
        assert_eq!(kinds(&disk(8 * gib, 450 << 20)), [Kind::DiskFull]);
        assert_eq!(kinds(&disk(gib, 300 << 20)), [], "a quarter of a small disk is enough");
    }

    #[test]
    fn each_kind_is_found_on_its_own() {
        let mut read_only = disk(100 << 30, 50 << 30);
        read_only.disk.as_mut().unwrap().read_only = true;
        assert_eq!(kinds(&read_only), [Kind::ReadOnly]);
        for (ahead, wrong) in [(29.0, false), (-31.0, true), (31.0, true)] {
            let measured = Measured { clock_ahead: Some(ahead), ..Measured::default() };
            assert_eq!(!kinds(&measured).is_empty(), wrong, "{ahead}");
        }
        let files = Some(OpenFiles { used: 91, most: 100 });
        let measured = Measured { open_files: files, ..Measured::default() };
        assert_eq!(kinds(&measured), [Kind::Descriptors]);
        let memory = Some(Pressure { full: [0.0, 10.5, 0.0], ..Pressure::default() });
        assert_eq!(kinds(&Measured { memory, ..Measured::default() }), [Kind::Memory]);
    }
}
