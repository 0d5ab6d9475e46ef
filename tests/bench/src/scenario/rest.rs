//! What supervision costs while nothing happens, and how long it takes to come up.

use super::Scenario;
use crate::beacon::Beacons;
use crate::bench::Bench;
use crate::clock::now_ns;
use crate::contender::Contender;
use crate::proc;
use crate::run::{Run, Tasks};
use crate::statistics::ratio;
use crate::table::{Table, figure};
use anyhow::Result;
use std::time::{Duration, Instant};

/// After the last start, before anything is looked at.
const SETTLE: Duration = Duration::from_secs(3);

struct Figures {
    alive: usize,
    processes: usize,
    /// KB for each task.
    pss: f64,
    anonymous: f64,
    file: f64,
    kernel: f64,
    cpu_ms_per_minute: f64,
    switches_per_minute: f64,
    start_ms: Option<f64>,
    words: Option<String>,
}

pub fn run(bench: &Bench, scenario: Scenario, tasks: u32) -> Result<Table> {
    let logs = scenario == Scenario::RestLogs;
    let mut table = Table::new(
        &format!("At rest, {tasks} tasks{}", if logs { ", logs captured" } else { "" }),
        format!(
            "Sleeping tasks, and only the supervisor's side of them. PSS, anonymous, file and \
             kernel in KB for each task; CPU and context switches of all together over {} s. The \
             kernel's part is the whole machine's growth, the task's own with it, and as noisy as \
             the machine. Ours have control groups and capture logs in every scenario.",
            bench.options.seconds
        ),
        &[
            "contender",
            "tasks",
            "processes",
            "PSS",
            "× floor",
            "anonymous",
            "file",
            "kernel",
            "CPU ms/min",
            "switches/min",
            "all up, ms",
        ],
    );
    let mut floor = None;
    for contender in bench.contenders(scenario) {
        eprintln!("  {}", contender.name);
        let figures = measure(bench, contender, Tasks { logs, ..Tasks::new(tasks, "beacon") })?;
        if let Some(words) = figures.words {
            table.note(words);
        }
        if figures.alive == 0 {
            continue;
        }
        if Some(contender.name.as_str()) == scenario.floor() {
            floor = Some(figures.pss);
        }
        table.row(
            &contender.name,
            vec![
                figures.alive.to_string(),
                figures.processes.to_string(),
                figure(Some(figures.pss), 1),
                figure(ratio(Some(figures.pss), floor), 1),
                figure(Some(figures.anonymous), 1),
                figure(Some(figures.file), 1),
                figure(Some(figures.kernel), 0),
                figure(Some(figures.cpu_ms_per_minute), 1),
                figure(Some(figures.switches_per_minute), 0),
                figure(figures.start_ms, 0),
            ],
        );
    }
    Ok(table)
}

fn measure(bench: &Bench, contender: &Contender, tasks: Tasks) -> Result<Figures> {
    let per_task = f64::from(tasks.count);
    let mut beacons = Beacons::bind(bench.directory())?;
    let kernel_before = proc::kernel_memory();
    let started_ns = now_ns();
    let mut run = Run::start(bench, contender, tasks, &beacons)?;
    let (starts, words) = run.await_tasks(&mut beacons)?;
    if starts.tasks > 0 {
        beacons.listen(SETTLE)?;
    }
    let supervisors = run.supervisors();
    let memory = proc::memory(&supervisors);
    let kernel = proc::kernel_memory() - kernel_before;

    let switches = proc::context_switches(&supervisors);
    let (cpu, begun) = (run.group_cpu_seconds(), Instant::now());
    if starts.tasks > 0 {
        beacons.listen(Duration::from_secs(bench.options.seconds))?;
    }
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    let cpu = run.group_cpu_seconds() - cpu;
    let switches = proc::context_switches(&supervisors).saturating_sub(switches);
    Ok(Figures {
        alive: starts.tasks,
        processes: supervisors.len(),
        pss: memory.pss as f64 / per_task,
        anonymous: memory.anonymous as f64 / per_task,
        file: memory.file as f64 / per_task,
        kernel: kernel as f64 / per_task,
        cpu_ms_per_minute: cpu * 1000.0 / minutes,
        switches_per_minute: switches as f64 / minutes,
        start_ms: starts.last_ns.map(|last| last.saturating_sub(started_ns) as f64 / 1e6),
        words,
    })
}
