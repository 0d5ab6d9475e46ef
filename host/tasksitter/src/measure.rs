//! What a task's tree uses.

use cerebro_linux::cgroup::{Cgroup, CgroupUsage};
use cerebro_linux::usage::{TreeUsage, tree};
use cerebro_tasksitter::protocol::TaskStats;
use std::collections::BTreeSet;
use std::time::Duration;

/// Measures closer to each other than this say little of a share of CPU.
const SHORTEST_SPAN: Duration = Duration::from_millis(500);

/// Remembers the last measure, since a share of CPU lies between two.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    /// CPU that the group had used when the present incarnation began, in microseconds.
    at_start: u64,
    last: Option<Last>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    at: Duration,
    cpu_seconds: f64,
    throttled: u64,
}

impl Meter {
    /// A new incarnation begins, or one was found.
    pub fn begin(&mut self, cgroup: Option<&Cgroup>, is_new: bool) {
        let used = cgroup.and_then(|group| group.usage().cpu_micros).filter(|_| is_new);
        *self = Self { at_start: used.unwrap_or(0), last: None };
    }

    /// Measures the tree now. `pss` asks for what is slow to find out. Answers also whether the
    /// kernel has held it back for its CPU limit since the last time.
    pub fn measure(
        &mut self,
        cgroup: Option<&Cgroup>,
        processes: &BTreeSet<i32>,
        pss: bool,
        now: Duration,
    ) -> (TaskStats, bool) {
        let usage = cgroup.map_or_else(CgroupUsage::default, Cgroup::usage);
        let tree: TreeUsage = tree(processes, pss);
        let cpu_seconds = match usage.cpu_micros {
            Some(micros) => {
                Duration::from_micros(micros.saturating_sub(self.at_start)).as_secs_f64()
            }
            None => tree.cpu.as_secs_f64(),
        };
        let throttled = usage.throttled.unwrap_or(0);
        let last = self.last.replace(Last { at: now, cpu_seconds, throttled });
        let passed =
            last.map(|last| now.saturating_sub(last.at)).filter(|passed| !passed.is_zero());
        let cores = |last: Last, passed: Duration| {
            (cpu_seconds - last.cpu_seconds).max(0.0) / passed.as_secs_f64()
        };
        let stats = TaskStats {
            at: crate::clock::wall_micros(),
            cpu_seconds,
            cpu_cores: last.zip(passed).map(|(last, passed)| cores(last, passed)),
            cpu_throttled: usage.throttled,
            rss: tree.rss,
            vmem: tree.vmem,
            pss: tree.pss,
            memory: usage.memory,
            memory_working: usage
                .memory
                .map(|all| all.saturating_sub(usage.memory_inactive.unwrap_or(0))),
            memory_peak: usage.memory_peak,
            read_bytes: tree.read_bytes,
            write_bytes: tree.write_bytes,
            processes: tree.processes,
            threads: tree.threads,
            descriptors: tree.descriptors,
            log_bytes: 0,
        };
        (stats, last.is_some_and(|last| throttled > last.throttled))
    }
}

/// The share of CPU between the last two looks that anyone asked for.
#[derive(Debug, Default)]
pub struct CpuShare {
    last: Option<Measured>,
}

#[derive(Debug, Clone, Copy)]
struct Measured {
    at: Duration,
    incarnation: u64,
    cpu_seconds: f64,
    cores: Option<f64>,
}

impl CpuShare {
    /// Cores used since the last look at the same incarnation.
    pub fn cores(&mut self, now: Duration, incarnation: u64, cpu_seconds: f64) -> Option<f64> {
        let last = self.last.filter(|last| last.incarnation == incarnation);
        let passed = last.map_or(SHORTEST_SPAN, |last| now.saturating_sub(last.at));
        if passed < SHORTEST_SPAN {
            return last.and_then(|last| last.cores);
        }
        let cores =
            last.map(|last| (cpu_seconds - last.cpu_seconds).max(0.0) / passed.as_secs_f64());
        self.last = Some(Measured { at: now, incarnation, cpu_seconds, cores });
        cores
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_cpu_lies_between_two_looks_at_one_incarnation() {
        let mut share = CpuShare::default();
        let second = Duration::from_secs;
        assert_eq!(share.cores(second(1), 1, 10.0), None);
        assert_eq!(share.cores(second(3), 1, 11.0), Some(0.5));
        // Too soon to say anything new.
        assert_eq!(share.cores(second(3) + Duration::from_millis(1), 1, 12.0), Some(0.5));
        assert_eq!(share.cores(second(5), 1, 15.0), Some(2.0));
        assert_eq!(share.cores(second(7), 2, 0.1), None);
    }
}
