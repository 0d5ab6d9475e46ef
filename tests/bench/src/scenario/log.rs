//! How fast a task's output is kept, at what cost, and whether all of it is there afterwards.

use super::Scenario;
use crate::beacon::{Beacons, Kind};
use crate::bench::Bench;
use crate::contender::Contender;
use crate::run::{Run, Tasks};
use crate::statistics::{median, ratio};
use crate::table::{Table, figure};
use anyhow::Result;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// kid.c writes lines of this length, each with its number in the first 15 bytes.
const LINE: usize = 100;
const PATIENCE: Duration = Duration::from_secs(120);
/// Nothing more will be kept when nothing has come for so long after the last was written.
const QUIET: Duration = Duration::from_millis(2500);
/// Files that supervisors keep beside their logs.
const NOT_LOGS: [&str; 4] = ["lock", "state", "config", "status"];

/// The figures of one contender over all rounds.
#[derive(Default)]
struct Samples {
    kept_mb_s: Vec<f64>,
    written_mb_s: Vec<f64>,
    cpu_s_per_gb: Vec<f64>,
    lost: u64,
    broken: u64,
    files: usize,
    words: Option<String>,
}

pub fn run(bench: &Bench) -> Result<Table> {
    let (bytes, rounds) = (bench.options.log_bytes, bench.options.rounds);
    let mut table = Table::new(
        "Log throughput",
        format!(
            "The task writes {} MB in lines of {LINE} bytes, 6500 bytes at a time; rotated at 50 \
             MB; logs in memory; {rounds} rounds, medians. Kept: from the first byte written to the \
             last one in a file. Written: as the task sees it. CPU: the supervisor's side, for each \
             GB. Lost and broken: lines, over all rounds, checked by number.",
            bytes / 1_000_000
        ),
        &[
            "contender",
            "kept MB/s",
            "floor ×",
            "written MB/s",
            "CPU s/GB",
            "lost",
            "broken",
            "files",
        ],
    );
    let contenders = bench.contenders(Scenario::Log);
    let mut all: Vec<(&Contender, Samples)> =
        contenders.into_iter().map(|contender| (contender, Samples::default())).collect();
    for _ in 0..rounds {
        for (contender, samples) in &mut all {
            eprintln!("  {}", contender.name);
            measure(bench, contender, bytes, samples)?;
        }
    }
    let floor = all
        .iter()
        .find(|(contender, _)| Some(contender.name.as_str()) == Scenario::Log.floor())
        .and_then(|(_, samples)| median(&samples.kept_mb_s));
    for (contender, samples) in all {
        let kept = median(&samples.kept_mb_s);
        if let Some(words) = samples.words {
            table.note(words);
        }
        table.row(
            &contender.name,
            vec![
                figure(kept, 0),
                figure(ratio(floor, kept), 2),
                figure(median(&samples.written_mb_s), 0),
                figure(median(&samples.cpu_s_per_gb), 2),
                samples.lost.to_string(),
                samples.broken.to_string(),
                samples.files.to_string(),
            ],
        );
    }
    Ok(table)
}

fn measure(bench: &Bench, contender: &Contender, bytes: u64, samples: &mut Samples) -> Result<()> {
    let mut beacons = Beacons::bind(bench.directory())?;
    let tasks = Tasks { logs: true, arguments: bytes.to_string(), ..Tasks::new(1, "spew") };
    let mut run = Run::start(bench, contender, tasks, &beacons)?;
    if let (_, Some(words)) = run.await_tasks(&mut beacons)? {
        samples.words = Some(words);
        return Ok(());
    }
    let Some(task) = beacons.latest(contender.id, 0) else { return Ok(()) };

    let (mut kept, mut kept_ns) = (0, task.at_ns);
    let mut written_ns = None;
    let begun = Instant::now();
    let mut changed = begun;
    while begun.elapsed() < PATIENCE && kept < bytes {
        if let Some(beacon) = beacons.next(Duration::from_millis(2))?
            && beacon.kind == Kind::Wrote
        {
            written_ns = Some(beacon.extra);
        }
        let now = files(&run.logs()).iter().map(|file| size(file)).sum();
        if now != kept {
            (kept, kept_ns, changed) = (now, crate::clock::now_ns(), Instant::now());
        } else if written_ns.is_some() && changed.elapsed() > QUIET {
            break;
        }
    }
    // Its last word may come after its last byte was kept.
    while written_ns.is_none() && kept >= bytes {
        match beacons.next(Duration::from_secs(1))? {
            Some(beacon) if beacon.kind == Kind::Wrote => written_ns = Some(beacon.extra),
            Some(_) => {}
            None => break,
        }
    }
    let rate = |end_ns: u64, bytes: u64| bytes as f64 * 1e3 / (end_ns - task.at_ns).max(1) as f64;
    match written_ns {
        Some(end_ns) => samples.written_mb_s.push(rate(end_ns.max(task.at_ns), bytes)),
        None => samples.words = Some(format!("{}: not done after {PATIENCE:?}", contender.name)),
    }
    samples.kept_mb_s.push(rate(kept_ns, kept));
    samples.cpu_s_per_gb.push(run.cpu_seconds(task.pid) * 1e9 / kept.max(1) as f64);
    let logs = files(&run.logs());
    let (lost, broken) = verify(&logs, bytes / LINE as u64)?;
    samples.lost += lost;
    samples.broken += broken;
    samples.files = logs.len();
    Ok(())
}

fn size(file: &Path) -> u64 {
    // A file may be renamed between the listing and the look.
    fs::metadata(file).map_or(0, |metadata| metadata.len())
}

/// Every log file below a directory that has something in it.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !NOT_LOGS.iter().any(|name| path.ends_with(name)) && size(&path) > 0 {
            found.push(path);
        }
    }
    found
}

/// How many of the lines are not there, and how many are there that were never written so.
fn verify(files: &[PathBuf], lines: u64) -> Result<(u64, u64)> {
    let mut is_there = vec![false; usize::try_from(lines)?];
    let (mut broken, mut line) = (0, Vec::with_capacity(LINE));
    for file in files {
        let mut reader = BufReader::with_capacity(1 << 20, fs::File::open(file)?);
        while reader.read_until(b'\n', &mut line)? > 0 {
            match number(&line).and_then(|number| is_there.get_mut(number)) {
                // Twice is as wrong as never.
                Some(seen) if !*seen => *seen = true,
                _ => broken += 1,
            }
            line.clear();
        }
    }
    Ok((is_there.iter().filter(|seen| !**seen).count() as u64, broken))
}

fn number(line: &[u8]) -> Option<usize> {
    let (digits, rest) = line.split_at_checked(15)?;
    let is_whole = line.len() == LINE && rest.first() == Some(&b' ') && line.ends_with(b"\n");
    is_whole.then_some(())?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u64) -> String {
        format!("{number:015} {}\n", "x".repeat(LINE - 17))
    }

    #[test]
    fn lost_broken_and_doubled_lines_are_counted() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("t0");
        fs::create_dir(&below).unwrap();
        let (first, second) = (line(0), line(2));
        fs::write(directory.path().join("0.log"), format!("{first}{second}{second}")).unwrap();
        fs::write(below.join("0.log.1"), &line(3)[..40]).unwrap();
        fs::write(below.join("state"), "not a log").unwrap();
        let logs = files(directory.path());
        assert_eq!(logs.len(), 2);
        // 1 and 3 are not there; one is doubled and one is in pieces.
        assert_eq!(verify(&logs, 4).unwrap(), (2, 2));
    }
}
