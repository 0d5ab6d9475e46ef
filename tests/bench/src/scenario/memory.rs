//! How far over its limit of memory a task gets, and how soon it is dead.

use super::Scenario;
use crate::beacon::{Beacon, Beacons, Kind};
use crate::bench::Bench;
use crate::clock::{self, now_ns};
use crate::contender::Contender;
use crate::proc::PidFd;
use crate::run::{Run, Tasks};
use crate::statistics::{maximum, median, ratio};
use crate::table::{Table, figure};
use anyhow::Result;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const LIMIT: u64 = 100 << 20;
/// Twice the limit: who does nothing is seen to do nothing.
const TOTAL: u64 = 200 << 20;
/// A stable life, so that no back-off is measured.
const DELAY_MS: u64 = 1200;

/// One contender, with its samples.
struct Lane<'a> {
    contender: &'a Contender,
    _run: Run<'a>,
    progress: PathBuf,
    /// The task that lives.
    task: Option<(i32, PidFd)>,
    died_ns: Option<u64>,
    over_mb: Vec<f64>,
    to_death_ms: Vec<f64>,
    to_restart_ms: Vec<f64>,
}

/// `struct progress` of kid.c.
struct Progress {
    touched: u64,
    crossed_ns: u64,
    last_ns: u64,
}

impl Progress {
    fn read(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        Some(Self { touched: word(0)?, crossed_ns: word(8)?, last_ns: word(16)? })
    }
}

impl Lane<'_> {
    fn started(&mut self, beacon: Beacon) {
        if let Some(died_ns) = self.died_ns.take() {
            self.to_restart_ms.push(beacon.at_ns.saturating_sub(died_ns) as f64 / 1e6);
        }
        self.task = PidFd::open(beacon.pid).ok().map(|fd| (beacon.pid, fd));
    }

    fn died(&mut self, at_ns: u64) {
        let Some((pid, _)) = self.task.take() else { return };
        let file = format!("{}.{pid}", self.progress.display());
        let progress = fs::read(&file).ok().and_then(|bytes| Progress::read(&bytes));
        let _ = fs::remove_file(file);
        // One that died far from the limit died of something else.
        let Some(progress) = progress.filter(|progress| progress.touched > LIMIT / 10 * 9) else {
            return;
        };
        self.over_mb.push((progress.touched as f64 - LIMIT as f64) / f64::from(1 << 20));
        // The kernel's limit counts more than the pages touched, and may act just before.
        let crossed_ns =
            if progress.crossed_ns > 0 { progress.crossed_ns } else { progress.last_ns };
        self.to_death_ms.push(at_ns.saturating_sub(crossed_ns) as f64 / 1e6);
        self.died_ns = Some(at_ns);
    }
}

pub fn run(bench: &Bench) -> Result<Table> {
    let mut table = Table::new(
        "Memory limit",
        format!(
            "A limit of 100 MB; the task touches 200 MB as fast as it goes. All contenders alive at \
             once for {} s. Over: touched beyond the limit, in MB; less than 0 where the kernel's \
             own part counted first. Dead: from the limit to the end, in ms. Restarted: from the \
             end to the first instruction of the next one, in ms.",
            bench.options.seconds
        ),
        &[
            "contender",
            "kills",
            "over p50",
            "over max",
            "dead p50",
            "× floor",
            "dead max",
            "restarted p50",
        ],
    );
    let mut beacons = Beacons::bind(bench.directory())?;
    let mut lanes = Vec::new();
    for contender in bench.contenders(Scenario::Memory) {
        let progress = bench.directory().join(format!("progress-{}", contender.id));
        let arguments = format!("{TOTAL} {LIMIT} {DELAY_MS} {}", progress.display());
        let tasks = Tasks { arguments, memory: LIMIT, ..Tasks::new(1, "hog") };
        let mut run = Run::start(bench, contender, tasks, &beacons)?;
        if let (_, Some(words)) = run.await_tasks(&mut beacons)? {
            table.note(words);
        }
        lanes.push(Lane {
            contender,
            _run: run,
            progress,
            task: None,
            died_ns: None,
            over_mb: Vec::new(),
            to_death_ms: Vec::new(),
            to_restart_ms: Vec::new(),
        });
    }
    for lane in &mut lanes {
        if let Some(beacon) = beacons.latest(lane.contender.id, 0) {
            lane.started(beacon);
        }
    }
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(bench.options.seconds) {
        clock::check()?;
        watch(&mut beacons, &mut lanes)?;
    }

    let floor = lanes
        .iter()
        .find(|lane| Some(lane.contender.name.as_str()) == Scenario::Memory.floor())
        .and_then(|lane| median(&lane.to_death_ms));
    for lane in &lanes {
        let dead = median(&lane.to_death_ms);
        table.row(
            &lane.contender.name,
            vec![
                lane.over_mb.len().to_string(),
                figure(median(&lane.over_mb), 1),
                figure(maximum(&lane.over_mb), 1),
                figure(dead, 1),
                figure(ratio(dead, floor), 1),
                figure(maximum(&lane.to_death_ms), 1),
                figure(median(&lane.to_restart_ms), 1),
            ],
        );
    }
    Ok(table)
}

/// Waits for what comes next, and takes note of it: ends first, for they came first.
fn watch(beacons: &mut Beacons, lanes: &mut [Lane]) -> Result<()> {
    let ended: Vec<usize> = {
        let mut waited = vec![PollFd::new(beacons.as_fd(), PollFlags::POLLIN)];
        let mut indexes = Vec::new();
        for (index, lane) in lanes.iter().enumerate() {
            if let Some((_, fd)) = &lane.task {
                waited.push(PollFd::new(fd.as_fd(), PollFlags::POLLIN));
                indexes.push(index);
            }
        }
        match poll(&mut waited, PollTimeout::from(200u16)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_ready = |fd: &PollFd| fd.any().unwrap_or(false);
        waited.iter().skip(1).zip(indexes).filter(|(fd, _)| is_ready(fd)).map(|(_, i)| i).collect()
    };
    let at_ns = now_ns();
    for index in ended {
        if let Some(lane) = lanes.get_mut(index) {
            lane.died(at_ns);
        }
    }
    while let Some(beacon) = beacons.next(Duration::ZERO)? {
        let lane = lanes.iter_mut().find(|lane| lane.contender.id == beacon.contender);
        if let Some(lane) = lane.filter(|_| beacon.kind == Kind::Started) {
            lane.started(beacon);
        }
    }
    Ok(())
}
