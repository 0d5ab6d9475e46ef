//! Randomised kills of task, sitter and agent: never two of a task, no end untold, no line lost.
//!
//! Several tasks at once, half of them in control groups, each tormented by a thread that also plays
//! its agent: it holds the task's pidfd, starts sitters, and leaves word of an end that no sitter
//! saw. `CEREBRO_STRESS_ROUNDS` (100) is the number of rounds over all tasks; 1000 is the long form.
//! `CEREBRO_STRESS_SEED` repeats the choices of a run, though not the machine's timing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod common;
#[path = "stress/ledger.rs"]
mod ledger;
#[path = "stress/random.rs"]
mod random;

use cerebro_linux::pidfd::PidFd;
use cerebro_linux::process::Identity;
use cerebro_tasksitter::protocol::{Exit, ExitNote, Phase, Request, TaskState};
use common::{PATIENCE, Task, copy_sitter, eager, in_new_group, is_running, line, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use random::Random;
use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

const TASKS: u64 = 4;

/// Counts itself aloud, leaves a runaway behind, and ends as it is told.
const SCRIPT: &str = r#"
    $SIG{USR1} = sub { open my $f, "<", "code" or exit 99; exit int <$f> };
    open my $stat, "<", "/proc/self/stat"; my $life = "$$-" . (split / /, <$stat>)[21];
    unless (fork) { exec "setsid", "sleep", "86399" }
    open my $count, ">", "counts/$life"; $| = 1; my $n = 0;
    while (1) {
        $n++;
        syswrite STDOUT, "$life $n\n";
        sysseek $count, 0, 0; syswrite $count, "$n\n";
        select undef, undef, undef, 0.001;
    }
"#;

/// What was done and found, over all tasks.
#[derive(Debug, Default)]
struct Tally {
    task_kills: u32,
    sitter_kills: u32,
    agent_kills: u32,
    stops: u32,
    restarts: u32,
    upgrades: u32,
    /// Ends of which the test knows how they came, and the sitter told the same.
    told: u32,
    /// Ends that nobody could have known: task, sitter and agent were gone together.
    unknowable: u32,
    lives: u64,
    lines: u64,
    /// Lines that were read by a sitter that was killed before it wrote them.
    lost: u64,
}

/// A task, and the agent's part in it.
struct Agent {
    task: Task,
    random: Random,
    /// The task's process, as long as the agent lives.
    held: Option<(TaskState, PidFd)>,
    tally: Tally,
    last_incarnation: u64,
}

#[test]
fn randomised_kills_make_no_second_copy_and_lose_nothing() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let rounds = number("CEREBRO_STRESS_ROUNDS").unwrap_or(100);
    let seed = number("CEREBRO_STRESS_SEED").unwrap_or_else(random::seed);
    eprintln!("CEREBRO_STRESS_SEED={seed} CEREBRO_STRESS_ROUNDS={rounds}");
    if !ends_are_told_to_strangers() {
        eprintln!("stress: not tested, since this kernel (before 6.15) tells ends to parents only");
        return;
    }
    let begun = Instant::now();
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let torment = |index: u64| {
            move || {
                let mut agent = Agent::new(index, seed);
                let share = rounds / TASKS + u64::from(index < rounds % TASKS);
                for round in 0..share {
                    agent.round(round);
                }
                agent.finish()
            }
        };
        let threads: Vec<_> = (0..TASKS).map(|index| scope.spawn(torment(index))).collect();
        threads.into_iter().map(|thread| thread.join().expect("see above")).collect()
    });
    for tally in &tallies {
        eprintln!("{tally:?}");
    }
    let sum = |of: fn(&Tally) -> u32| tallies.iter().map(of).sum::<u32>();
    let kills = [sum(|t| t.task_kills), sum(|t| t.sitter_kills), sum(|t| t.agent_kills)];
    eprintln!(
        "{rounds} rounds in {:.0?}: kills of task, sitter, agent {kills:?}; {} ends told, {} unknowable",
        begun.elapsed(),
        sum(|t| t.told),
        sum(|t| t.unknowable),
    );
    let [lines, lost] =
        [|t: &Tally| t.lines, |t: &Tally| t.lost].map(|of| tallies.iter().map(of).sum::<u64>());
    eprintln!("{lines} lines written, {lost} lost with sitters that were killed");
    // What a sitter has read and not yet written when it is killed: here lines come one by one.
    assert!(lost <= u64::from(sum(|t| t.sitter_kills)), "more than a line with each sitter");
}

/// Whether the kernel has `PIDFD_INFO_EXIT`.
fn ends_are_told_to_strangers() -> bool {
    let mut child = std::process::Command::new("/bin/cat");
    let mut child = child.stdin(std::process::Stdio::piped()).spawn().unwrap();
    let fd = PidFd::open(child.id().cast_signed()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    fd.wait_status().is_some()
}

impl Agent {
    fn new(index: u64, seed: u64) -> Self {
        let task = Task::prepare("", |spec| {
            spec.argv = ["perl", "-e", SCRIPT].map(str::to_owned).to_vec();
            spec.policy = eager();
            spec.policy.back_off.settle = Duration::ZERO;
            (spec.logs.bytes, spec.logs.files, spec.logs.compress) =
                (16 << 10, 10_000, index % 4 < 2);
            if index.is_multiple_of(2) && nix::unistd::geteuid().is_root() {
                in_new_group(spec);
                spec.limits.pids = Some(100);
            }
        });
        fs::create_dir(task.file("counts")).unwrap();
        for name in ["one", "other"] {
            copy_sitter(&task.file(name));
        }
        task.launch();
        let random = Random::new(seed.wrapping_add(index));
        Self { task, random, held: None, tally: Tally::default(), last_incarnation: 0 }
    }

    /// Waits until the task is well, and looks whether all is as it should be.
    fn settle(&mut self, what: &str) -> TaskState {
        let speaks = |state: &TaskState| {
            let identity = Identity::of(state.pid?)?;
            let life = format!("counts/{}-{}", identity.pid, identity.started);
            // Its handlers are there once it counts.
            self.task.read(&life).filter(|count| !count.is_empty())
        };
        let state = self.task.wait(what, |state| {
            let is_there = is_running(state.sitter) && state.phase == Phase::Running;
            is_there && state.incarnation >= self.last_incarnation && speaks(state).is_some()
        });
        assert_eq!(self.copies(), [state.pid.unwrap()], "{what}: {state:?}");
        if self.task.group.is_some() {
            let count = self.task.in_group().len();
            assert!(count <= 3, "{what}: {count} processes in the group");
        }
        // The task and its runaway, which may not have been started yet.
        let all = self.task.inhabitants().len();
        assert!((1..=2).contains(&all), "{what}: {all} processes, {:?}", self.task.inhabitants());
        self.last_incarnation = state.incarnation;
        let fd = PidFd::open(state.pid.unwrap()).unwrap();
        self.held = Some((state.clone(), fd));
        state
    }

    /// The task's own processes: those that lead their session, as no child of theirs does before it
    /// is another program.
    fn copies(&self) -> Vec<i32> {
        let is_task = |pid: &i32| {
            // In this order: by the time that its child leads a session it is another program.
            Identity::of(*pid).is_some_and(Identity::leads_session)
                && fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|a| a.starts_with(b"perl\0"))
        };
        self.task.inhabitants().into_iter().filter(is_task).collect()
    }

    fn round(&mut self, round: u64) {
        let before = self.settle("before a round");
        let what = self.random.below(8);
        let name = format!("round {round}, kind {what}");
        match what {
            0 => self.end_task(&name, &before, false, false),
            1 | 2 => self.end_task(&name, &before, true, false),
            3 => self.end_task(&name, &before, true, true),
            4 => {
                self.kill_sitter(&before);
                self.relaunch();
                let after = self.settle(&name);
                assert_eq!((after.pid, after.incarnation), (before.pid, before.incarnation));
            }
            5 => self.stop_and_start(&name, &before),
            6 => self.restart(&name, &before),
            _ => self.upgrade(&name, &before),
        }
    }

    /// Ends the task, and the sitter too, in any order, and perhaps the agent before both.
    fn end_task(&mut self, name: &str, before: &TaskState, sitter: bool, agent: bool) {
        if agent {
            self.held = None;
            self.tally.agent_kills += 1;
        }
        let sitter_first = sitter && self.random.below(2) == 0;
        if sitter_first {
            self.kill_sitter(before);
            self.random.pause(2000);
        }
        let expected = self.end(before);
        if sitter && !sitter_first {
            self.random.pause(2000);
            self.kill_sitter(before);
        }
        if sitter {
            self.random.pause(5000);
            self.relaunch();
        }
        let pid = before.pid;
        self.task.wait(name, |s| s.incarnation > before.incarnation && s.pid != pid);
        let after = self.settle(name);
        assert_eq!(after.incarnation, before.incarnation + 1, "{name}: {after:?}");
        self.judge(name, &after, &expected, agent);
    }

    /// The sitter tells what the test knows, unless nobody was there who could have seen it.
    fn judge(&mut self, name: &str, after: &TaskState, expected: &Exit, nobody: bool) {
        let told = after.last_exit.as_ref();
        if nobody && told == Some(&Exit::Unknown) {
            self.tally.unknowable += 1;
            return;
        }
        // Had it been killed before it recorded the end, the end of the life before would show.
        assert_eq!(told, Some(expected), "{name}: {after:?}");
        self.tally.told += 1;
    }

    /// Has the task end in one of several ways.
    fn end(&mut self, before: &TaskState) -> Exit {
        self.tally.task_kills += 1;
        let pid = Pid::from_raw(before.pid.unwrap());
        let (signal, exit) = match self.random.below(3) {
            0 => (Signal::SIGKILL, Exit::Signal(libc::SIGKILL)),
            1 => (Signal::SIGTERM, Exit::Signal(libc::SIGTERM)),
            _ => {
                let code = i32::try_from(self.random.below(255)).unwrap();
                self.task.write("code", &code.to_string());
                (Signal::SIGUSR1, Exit::Code(code))
            }
        };
        kill(pid, signal).unwrap();
        exit
    }

    fn kill_sitter(&mut self, before: &TaskState) {
        self.tally.sitter_kills += 1;
        self.task.write(&format!("killed-{}", before.incarnation), "");
        let _ = kill(Pid::from_raw(before.sitter), Signal::SIGKILL);
    }

    /// What an agent does that finds no sitter: leaves word of what it saw, and starts another.
    fn relaunch(&mut self) {
        until("the sitter is gone", || {
            let mut sitters = self.task.sitters().into_iter();
            sitters.all(|pid| !is_running(pid)).then_some(())
        });
        if let Some((state, fd)) = &self.held
            && let Some(wait_status) = ended(state, fd)
        {
            let note =
                ExitNote { incarnation: state.incarnation, pid: state.pid.unwrap(), wait_status };
            self.task.write("exit.json.new", &serde_json::to_string(&note).unwrap());
            fs::rename(self.task.file("exit.json.new"), self.task.file("exit.json")).unwrap();
        }
        self.task.launch();
    }

    fn stop_and_start(&mut self, name: &str, before: &TaskState) {
        self.tally.stops += 1;
        let interrupted = self.random.below(2) == 0;
        self.say(&Request::Stop);
        if interrupted {
            self.random.pause(3000);
            self.kill_sitter(before);
            self.relaunch();
            // The agent asks again for what should be: it cannot know whether it was heard.
            self.say(&Request::Stop);
        }
        let stopped = self
            .task
            .wait(name, |s| s.phase == Phase::Stopped && s.pid.is_none() && is_running(s.sitter));
        assert_eq!(self.task.inhabitants(), [0; 0], "{name}: something escaped");
        if !interrupted {
            self.judge(name, &stopped, &Exit::Signal(libc::SIGTERM), false);
        }
        self.say(&Request::Start);
        self.settle(name);
    }

    fn restart(&mut self, name: &str, before: &TaskState) {
        self.tally.restarts += 1;
        self.say(&Request::Restart);
        if self.random.below(2) == 0 {
            self.random.pause(3000);
            self.kill_sitter(before);
            self.relaunch();
            self.settle(name);
            return;
        }
        self.task.wait(name, |s| s.incarnation > before.incarnation && s.pid.is_some());
        let after = self.settle(name);
        assert_eq!(after.incarnation, before.incarnation + 1, "{name}");
        self.judge(name, &after, &Exit::Signal(libc::SIGTERM), false);
    }

    /// Goes on as a copy; perhaps the task ends meanwhile, and is told all the same.
    fn upgrade(&mut self, name: &str, before: &TaskState) {
        self.tally.upgrades += 1;
        let program = format!("/proc/{}/exe", before.sitter);
        let is_one = fs::read_link(&program).is_ok_and(|path| path == self.task.file("one"));
        let next = self.task.file(if is_one { "other" } else { "one" });
        let ends = self.random.below(2) == 0;
        self.say(&Request::Upgrade(next.clone()));
        self.random.pause(20_000);
        let expected = ends.then(|| self.end(before));
        until(name, || (fs::read_link(&program).ok()? == next).then_some(()));
        if let Some(expected) = expected {
            self.task.wait(name, |s| s.incarnation > before.incarnation && s.pid.is_some());
            let after = self.settle(name);
            assert_eq!(after.incarnation, before.incarnation + 1, "{name}: {after:?}");
            self.judge(name, &after, &expected, false);
        }
        // Answered by whoever it is now.
        self.task.stats();
        assert_eq!(self.settle(name).sitter, before.sitter, "{name}");
    }

    fn say(&self, request: &Request) {
        self.task.connect().write_all(&line(request)).unwrap();
    }

    /// Stops the task and counts what it has said.
    fn finish(mut self) -> Tally {
        self.settle("the end");
        self.say(&Request::Stop);
        self.task.stopped();
        let end = Instant::now() + PATIENCE;
        loop {
            match ledger::audit(self.task.path()) {
                Ok(found) => {
                    (self.tally.lives, self.tally.lines, self.tally.lost) = found;
                    return self.tally;
                }
                // What was said last may be on its way, and files are being compressed.
                Err(_) if Instant::now() < end => std::thread::sleep(Duration::from_millis(20)),
                Err(wrong) => panic!("{wrong}"),
            }
        }
    }
}

/// How the process ended, once it has and is buried; none while it lives.
fn ended(state: &TaskState, fd: &PidFd) -> Option<i32> {
    let pid = state.pid.unwrap();
    if is_running(pid) {
        return None;
    }
    Some(until("the kernel tells how it ended", || fd.wait_status()))
}
