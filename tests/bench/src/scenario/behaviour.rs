//! What becomes of a task when those above it are killed or asked to stop, and what it inherits.

use super::Scenario;
use crate::beacon::{Beacons, Kind};
use crate::bench::Bench;
use crate::contender::Contender;
use crate::proc::{self, PidFd};
use crate::run::{Run, Tasks};
use crate::table::Table;
use anyhow::Result;
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// A life that is long enough to be stable at every contender.
const STABLE: Duration = Duration::from_millis(2500);
/// A task that goes on so long after a kill above it goes on.
const AFTER_KILL: Duration = Duration::from_secs(2);
/// Within this a supervisor has found, or started anew, what it supervises.
const AFTER_START: Duration = Duration::from_secs(7);
/// Within this what is asked to end has ended.
const AFTER_STOP: Duration = Duration::from_secs(5);
/// Standard input, output and error, and the kid's own socket.
const OWN_DESCRIPTORS: usize = 4;

pub fn run(bench: &Bench) -> Result<Table> {
    let mut table = Table::new(
        "Behaviour",
        "One task, with a grandchild that has left its session and its parent. What becomes of the \
         task when the supervisor is killed, when it is then started again on the same directory, \
         and when only the process beside the task is killed; what is left when the supervisor is \
         asked to stop in its own way; what the task inherits."
            .to_owned(),
        &[
            "contender", "supervisor killed", "started again", "per-task process killed",
            "stop: task", "stop: grandchild", "descriptors", "signals",
        ],
    );
    for contender in bench.contenders(Scenario::Behaviour) {
        eprintln!("  {}", contender.name);
        let cells =
            [killed(bench, contender)?, beside(bench, contender)?, stopped(bench, contender)?];
        let mut row = Vec::new();
        for cells in cells {
            match cells {
                Ok(cells) => row.extend(cells),
                Err(words) => {
                    table.note(words);
                    break;
                }
            }
        }
        table.row(&contender.name, row);
    }
    Ok(table)
}

/// The words of some columns, or why there are none.
type Cells = Result<Vec<String>, String>;

/// A contender with one task that has lived for a while.
struct Scene<'a> {
    bench: &'a Bench,
    run: Run<'a>,
    beacons: Beacons,
    task: i32,
    /// Every task that has started in this scene, alive or not.
    started: BTreeSet<i32>,
}

impl<'a> Scene<'a> {
    fn set(bench: &'a Bench, contender: &'a Contender) -> Result<Result<Self, String>> {
        let mut beacons = Beacons::bind(bench.directory())?;
        let mut run = Run::start(bench, contender, Tasks::new(1, "escape"), &beacons)?;
        if let (_, Some(words)) = run.await_tasks(&mut beacons)? {
            return Ok(Err(words));
        }
        let Some(task) = beacons.latest(contender.id, 0).map(|beacon| beacon.pid) else {
            return Ok(Err(format!("{}: its task was not heard of", contender.name)));
        };
        let mut scene = Self { bench, run, beacons, task, started: BTreeSet::from([task]) };
        scene.watch(STABLE, |_| false)?;
        Ok(Ok(scene))
    }

    /// Hears of tasks that start, for so long or until something holds.
    fn watch(&mut self, length: Duration, ends: impl Fn(&Self) -> bool) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < length && !ends(self) {
            if let Some(beacon) = self.beacons.next(Duration::from_millis(50))?
                && beacon.kind == Kind::Started
            {
                self.started.insert(beacon.pid);
            }
            self.run.reap();
        }
        Ok(())
    }

    fn is_alive(&self) -> bool {
        proc::runs(self.task, &self.bench.kid())
    }

    /// How many tasks live, without their grandchildren.
    fn tasks(&self) -> usize {
        self.started.iter().filter(|pid| proc::runs(**pid, &self.bench.kid())).count()
    }

    /// What has become of the task.
    fn verdict(&self) -> &'static str {
        match (self.is_alive(), self.tasks()) {
            (true, 1) => "same task",
            (true, _) => "DOUBLED",
            (false, 0) => "no task",
            (false, _) => "another task",
        }
    }

    fn kill(&self, pid: i32) -> Result<()> {
        PidFd::open(pid)?.signal(Signal::SIGKILL)?;
        Ok(())
    }
}

/// The supervisor is killed, and started again.
fn killed(bench: &Bench, contender: &Contender) -> Result<Cells> {
    let mut scene = match Scene::set(bench, contender)? {
        Ok(scene) => scene,
        Err(words) => return Ok(Err(words)),
    };
    if let Some(top) = scene.run.top() {
        scene.kill(top)?;
    }
    scene.watch(AFTER_KILL, |scene| !scene.is_alive())?;
    let after_kill = if scene.is_alive() { "goes on" } else { "dies" };
    scene.run.start_again()?;
    scene.watch(AFTER_START, |scene| scene.tasks() > 1)?;
    Ok(Ok(vec![after_kill.to_owned(), scene.verdict().to_owned()]))
}

/// The process beside the task is killed, where that is another than the supervisor.
fn beside(bench: &Bench, contender: &Contender) -> Result<Cells> {
    let mut scene = match Scene::set(bench, contender)? {
        Ok(scene) => scene,
        Err(words) => return Ok(Err(words)),
    };
    let parent = proc::parent(scene.task);
    let is_beside =
        |pid: &i32| Some(*pid) != scene.run.top() && scene.run.supervisors().contains(pid);
    let Some(beside) = parent.filter(is_beside) else { return Ok(Ok(vec!["-".to_owned()])) };
    scene.kill(beside)?;
    scene.watch(AFTER_START, |scene| scene.tasks() > 1)?;
    Ok(Ok(vec![scene.verdict().to_owned()]))
}

/// The supervisor is asked to stop. What the task has inherited is looked at before.
fn stopped(bench: &Bench, contender: &Contender) -> Result<Cells> {
    let mut scene = match Scene::set(bench, contender)? {
        Ok(scene) => scene,
        Err(words) => return Ok(Err(words)),
    };
    let descriptors = proc::open_descriptors(scene.task).saturating_sub(OWN_DESCRIPTORS);
    let (ignored, blocked) = proc::signal_masks(scene.task);
    scene.run.ask_to_end();
    scene.watch(AFTER_STOP, |scene| scene.run.kids().is_empty())?;
    let lives = |is_alive: bool| if is_alive { "LIVES ON" } else { "ends" };
    let grandchildren = scene.run.kids().iter().any(|pid| !scene.started.contains(pid));
    let signals = match (ignored, blocked) {
        (0, 0) => "clean".to_owned(),
        _ => format!("{ignored:x} ignored, {blocked:x} blocked"),
    };
    let descriptors = match descriptors {
        0 => "clean".to_owned(),
        more => format!("{more} more"),
    };
    Ok(Ok(vec![
        lives(scene.tasks() > 0).to_owned(),
        lives(grandchildren).to_owned(),
        descriptors,
        signals,
    ]))
}
