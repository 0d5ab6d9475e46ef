//! How fast a task that was killed is there again: after a stable life, and in a crash loop.

use super::Scenario;
use crate::beacon::{Beacons, Kind};
use crate::bench::Bench;
use crate::clock::{self, now_ns};
use crate::contender::Contender;
use crate::host;
use crate::proc::PidFd;
use crate::run::{Run, Tasks};
use crate::statistics::{maximum, median, minimum, percentile, ratio};
use crate::table::{Table, figure};
use anyhow::Result;
use nix::sys::signal::Signal;
use std::path::Path;
use std::time::{Duration, Instant};

const TASKS: u32 = 10;
/// A round kills one task in turn, so that each lives ten times as long: over a second, which is
/// what counts as a stable life.
const ROUND: Duration = Duration::from_millis(160);
/// How long we wait for a task that does not come back.
const LOST_AFTER: Duration = Duration::from_secs(12);
/// Who is slower than this in the median takes part in one round of four.
const SLOW_MS: f64 = 300.0;
/// A contender's crash loops take no longer than this in all.
const LOOPS_BUDGET: Duration = Duration::from_secs(40);
/// Kills in a crash loop after the first.
const LATER_KILLS: usize = 3;

/// One contender, with its samples in milliseconds.
struct Lane<'a> {
    contender: &'a Contender,
    /// Dropped, and so ended, after all was measured.
    _run: Run<'a>,
    stable: Vec<f64>,
    first: Vec<f64>,
    later: Vec<f64>,
    lost: usize,
}

impl Lane<'_> {
    fn is_slow(&self) -> bool {
        median(&self.stable).is_some_and(|median| median > SLOW_MS)
    }

    fn is_given_up(&self) -> bool {
        self.lost > 3
    }
}

pub fn run(bench: &Bench) -> Result<Table> {
    let priority = match host::run_first() {
        Ok(()) => "The bench itself, and nothing that it starts, has SCHED_RR.".to_owned(),
        Err(error) => format!("The bench has no SCHED_RR ({error})."),
    };
    let table = measure(bench, &priority);
    host::run_as_usual();
    table
}

fn measure(bench: &Bench, priority: &str) -> Result<Table> {
    let mut table = Table::new(
        "Restart",
        format!(
            "From SIGKILL to the first instruction of the next one, in ms; {TASKS} tasks each, all \
             contenders alive at once and struck in turn. Stable: the task had lived over a second. \
             Loop: it is killed again as soon as it is there; first and later ones. {priority}"
        ),
        &[
            "contender",
            "kills",
            "stable p50",
            "× floor",
            "p99",
            "min",
            "loop first p50",
            "× floor",
            "max",
            "loop later p50",
            "max",
            "lost",
        ],
    );
    let mut beacons = Beacons::bind(bench.directory())?;
    let mut lanes = Vec::new();
    for contender in bench.contenders(Scenario::Restart) {
        let mut run = Run::start(bench, contender, Tasks::new(TASKS, "beacon"), &beacons)?;
        match run.await_tasks(&mut beacons)? {
            (_, Some(words)) => table.note(words),
            _ => lanes.push(Lane {
                contender,
                _run: run,
                stable: Vec::new(),
                first: Vec::new(),
                later: Vec::new(),
                lost: 0,
            }),
        }
    }
    stable_lives(bench, &mut beacons, &mut lanes)?;
    crash_loops(bench, &mut beacons, &mut lanes)?;

    let floor =
        lanes.iter().find(|lane| Some(lane.contender.name.as_str()) == Scenario::Restart.floor());
    let (stable_floor, first_floor) =
        floor.map_or((None, None), |lane| (median(&lane.stable), median(&lane.first)));
    for lane in &lanes {
        let (stable, first) = (median(&lane.stable), median(&lane.first));
        table.row(
            &lane.contender.name,
            vec![
                lane.stable.len().to_string(),
                figure(stable, 3),
                figure(ratio(stable, stable_floor), 1),
                figure(percentile(&lane.stable, 0.99), 3),
                figure(minimum(&lane.stable), 3),
                figure(first, 3),
                figure(ratio(first, first_floor), 1),
                figure(maximum(&lane.first), 3),
                figure(median(&lane.later), 3),
                figure(maximum(&lane.later), 3),
                lane.lost.to_string(),
            ],
        );
    }
    Ok(table)
}

fn stable_lives(bench: &Bench, beacons: &mut Beacons, lanes: &mut [Lane]) -> Result<()> {
    beacons.listen(Duration::from_secs(3))?;
    let kid = bench.kid();
    let mut random = now_ns();
    for round in 0..bench.options.samples {
        let begun = Instant::now();
        let index = round as u32 % TASKS;
        for lane in lanes.iter_mut() {
            if lane.is_given_up() || (lane.is_slow() && !round.is_multiple_of(4)) {
                continue;
            }
            // At no fixed distance, so that no poller is met always at the same phase.
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            beacons.listen(Duration::from_micros(3000 + (random >> 33) % 9000))?;
            match kill(beacons, &kid, lane.contender.id, index)? {
                Some(ms) => lane.stable.push(ms),
                None => lane.lost += 1,
            }
        }
        beacons.listen(ROUND.saturating_sub(begun.elapsed()))?;
    }
    Ok(())
}

fn crash_loops(bench: &Bench, beacons: &mut Beacons, lanes: &mut [Lane]) -> Result<()> {
    // Every task has a stable life behind it then, at anybody's.
    clock::pause(Duration::from_millis(2500))?;
    let kid = bench.kid();
    for lane in lanes.iter_mut() {
        let begun = Instant::now();
        for index in 0..TASKS {
            if lane.is_given_up() || begun.elapsed() > LOOPS_BUDGET {
                break;
            }
            // The end of the stable life was sampled above.
            if kill(beacons, &kid, lane.contender.id, index)?.is_none() {
                lane.lost += 1;
                continue;
            }
            for number in 0..=LATER_KILLS {
                let samples = if number == 0 { &mut lane.first } else { &mut lane.later };
                match kill(beacons, &kid, lane.contender.id, index)? {
                    Some(ms) => samples.push(ms),
                    None => {
                        lane.lost += 1;
                        break;
                    }
                }
            }
        }
    }
    Ok(())
}

/// Kills a task, and answers after how many milliseconds the next one was there; none if it was not
/// in the end.
fn kill(beacons: &mut Beacons, kid: &Path, contender: u32, index: u32) -> Result<Option<f64>> {
    let Some(old) = beacons.latest(contender, index) else { return Ok(None) };
    let Some(process) = PidFd::open_if(old.pid, kid) else { return Ok(None) };
    let killed_ns = now_ns();
    process.signal(Signal::SIGKILL)?;
    let begun = Instant::now();
    while begun.elapsed() < LOST_AFTER {
        if let Some(beacon) = beacons.next(Duration::from_millis(500))?
            && (beacon.kind, beacon.contender, beacon.index) == (Kind::Started, contender, index)
            && beacon.pid != old.pid
        {
            return Ok(Some(beacon.at_ns.saturating_sub(killed_ns) as f64 / 1e6));
        }
    }
    Ok(None)
}
