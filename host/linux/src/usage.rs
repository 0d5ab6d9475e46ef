//! What processes use, as /proc shows it.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

/// What some processes use together. None where the kernel does not tell us.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeUsage {
    /// CPU of those that live, and of those they have waited for.
    pub cpu: Duration,
    /// Resident memory in bytes; pages that are shared count in each process.
    pub rss: u64,
    /// Address space, in bytes.
    pub vmem: u64,
    /// Proportional set size, in bytes, if it was asked for.
    pub pss: Option<u64>,
    /// Bytes read from storage.
    pub read_bytes: Option<u64>,
    /// Bytes written to storage.
    pub write_bytes: Option<u64>,
    /// Processes that were there.
    pub processes: u32,
    /// Threads of all of them.
    pub threads: u32,
    /// Open descriptors of all of them.
    pub descriptors: Option<u32>,
}

/// Measures `processes`; those that are gone count for nothing. `pss` walks their page tables, which
/// takes some 30 µs each.
pub fn tree(processes: &BTreeSet<i32>, pss: bool) -> TreeUsage {
    let mut sum = TreeUsage::default();
    for pid in processes {
        let Some(usage) = one(*pid, pss) else { continue };
        sum.cpu += usage.cpu;
        sum.rss += usage.rss;
        sum.vmem += usage.vmem;
        sum.pss = add(sum.pss, usage.pss);
        sum.read_bytes = add(sum.read_bytes, usage.read_bytes);
        sum.write_bytes = add(sum.write_bytes, usage.write_bytes);
        sum.processes += 1;
        sum.threads += usage.threads;
        sum.descriptors = add(sum.descriptors, usage.descriptors);
    }
    sum
}

fn add<T: std::ops::Add<Output = T>>(sum: Option<T>, more: Option<T>) -> Option<T> {
    match (sum, more) {
        (Some(sum), Some(more)) => Some(sum + more),
        (sum, more) => sum.or(more),
    }
}

fn one(pid: i32, pss: bool) -> Option<TreeUsage> {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).ok();
    let stat = read("stat")?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<u64> =
        fields.split_ascii_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
    // proc_pid_stat(5) counts from 1, and the state, which is 3, is our first.
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0);
    let ticks = field(14) + field(15) + field(16) + field(17);
    let io = read("io");
    let io = |name: &str| {
        io.as_ref()?.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    };
    let rollup = if pss { read("smaps_rollup") } else { None };
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok().map(Iterator::count);
    Some(TreeUsage {
        cpu: Duration::from_secs_f64(ticks as f64 / ticks_per_second()),
        rss: field(24) * page_size(),
        vmem: field(23),
        pss: rollup.as_deref().and_then(pss_of),
        read_bytes: io("read_bytes:"),
        write_bytes: io("write_bytes:"),
        processes: 1,
        threads: u32::try_from(field(20)).unwrap_or(0),
        descriptors: descriptors.and_then(|number| u32::try_from(number).ok()),
    })
}

fn pss_of(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// Clock ticks in a second, as /proc counts them.
pub fn ticks_per_second() -> f64 {
    let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK);
    ticks.ok().flatten().map_or(100.0, |ticks| ticks as f64)
}

fn page_size() -> u64 {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE);
    size.ok().flatten().and_then(|size| u64::try_from(size).ok()).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_use_something_and_the_dead_nothing() {
        let own = std::process::id().cast_signed();
        let usage = tree(&BTreeSet::from([own, i32::MAX]), true);
        assert_eq!(usage.processes, 1);
        assert!(usage.rss > 100_000 && usage.vmem >= usage.rss && usage.threads >= 1, "{usage:?}");
        assert!(usage.pss.is_some_and(|pss| pss > 0 && pss <= usage.rss), "{usage:?}");
        assert!(usage.descriptors.is_some_and(|number| number >= 3), "{usage:?}");
    }
}
