//! One contender at work: started, asked, ended, and cleared away whatever it did meanwhile.

use crate::beacon::{Beacons, Starts};
use crate::bench::Bench;
use crate::cgroup::{self, Group};
use crate::clock;
use crate::contender::{Contender, Way};
use crate::proc::{self, PidFd};
use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// When a log is to be rotated.
const ROTATE_BYTES: u64 = 50 << 20;

/// What a contender is to supervise.
#[derive(Debug, Clone)]
pub struct Tasks<'a> {
    /// How many.
    pub count: u32,
    /// The kid's mode.
    pub mode: &'a str,
    /// The mode's own arguments.
    pub arguments: String,
    /// Whether their output is to be kept.
    pub logs: bool,
    /// Each one's limit of memory in bytes; 0 for none.
    pub memory: u64,
}

impl<'a> Tasks<'a> {
    /// Tasks that need nothing special.
    pub fn new(count: u32, mode: &'a str) -> Self {
        Self { count, mode, arguments: String::new(), logs: false, memory: 0 }
    }
}

/// A contender that was started. Dropping it ends and removes all that it made.
pub struct Run<'a> {
    bench: &'a Bench,
    contender: &'a Contender,
    tasks: Tasks<'a>,
    socket: PathBuf,
    directory: PathBuf,
    group: Group,
    /// What we started, the supervisors themselves: one, or one for each task.
    children: Vec<Child>,
    /// Groups of others from before.
    present: BTreeSet<PathBuf>,
    /// Groups that were made for our tasks.
    made: BTreeSet<PathBuf>,
}

impl<'a> Run<'a> {
    /// Prepares, and starts.
    pub fn start(
        bench: &'a Bench,
        contender: &'a Contender,
        tasks: Tasks<'a>,
        beacons: &Beacons,
    ) -> Result<Self> {
        let directory = bench.directory().join(&contender.name);
        fs::create_dir(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let mut run = Self {
            bench,
            contender,
            tasks,
            socket: beacons.path().to_owned(),
            directory,
            group: bench.hierarchies.create(&contender.name)?,
            children: Vec::new(),
            present: bench.hierarchies.present(),
            made: BTreeSet::new(),
        };
        match &contender.way {
            Way::OfMany(script) => {
                let status = run.script(script, "generate").status().context("cannot run it")?;
                anyhow::ensure!(status.success(), "{}: cannot prepare it", contender.name);
            }
            Way::PerTask(_) => fs::create_dir(run.directory.join("log"))?,
        }
        run.start_again()?;
        Ok(run)
    }

    /// Starts the supervisors, also a second time on what the first have left.
    pub fn start_again(&mut self) -> Result<()> {
        let commands = match &self.contender.way {
            Way::OfMany(script) => vec![self.script(script, "start")],
            Way::PerTask(line) => (0..self.tasks.count).map(|i| self.command(line, i)).collect(),
        };
        for mut command in commands {
            let child = self.enter(&mut command).and_then(|()| Ok(command.spawn()?));
            self.children.push(child.with_context(|| format!("cannot start {}", self.name()))?);
        }
        Ok(())
    }

    /// Waits for the first start of every task; a word about it where they do not all come.
    pub fn await_tasks(&mut self, beacons: &mut Beacons) -> Result<(Starts, Option<String>)> {
        let patience = Duration::from_secs(if self.tasks.count > 100 { 120 } else { 60 });
        let (begun, count) = (Instant::now(), self.tasks.count as usize);
        loop {
            let step = beacons.next(Duration::from_millis(200))?;
            let starts = beacons.starts(self.contender.id);
            let is_all = starts.tasks >= count;
            // What has ended without a word will not come up later.
            let is_over = step.is_none() && starts.tasks == 0 && self.have_all_ended();
            if !is_all && !is_over && begun.elapsed() < patience {
                continue;
            }
            self.remember_groups();
            let words = (!is_all).then(|| {
                let said = self.last_words().map(|line| format!(": {line}")).unwrap_or_default();
                format!("{}: {} of {count} tasks came up{said}", self.name(), starts.tasks)
            });
            return Ok((starts, words));
        }
    }

    /// The contender's name.
    pub fn name(&self) -> &str {
        &self.contender.name
    }

    /// The supervisor that we started last.
    pub fn top(&self) -> Option<i32> {
        self.children.last().map(|child| child.id() as i32)
    }

    /// Takes note of ends, so that no supervisor is left as a zombie.
    pub fn reap(&mut self) {
        for child in &mut self.children {
            let _ = child.try_wait();
        }
    }

    /// The processes of the supervisor's side: all that it started, without the tasks.
    pub fn supervisors(&self) -> Vec<i32> {
        let kid = self.bench.kid();
        self.group.processes().into_iter().filter(|pid| !proc::runs(*pid, &kid)).collect()
    }

    /// The CPU time in seconds of all that is in its group, with what has ended there.
    pub fn group_cpu_seconds(&self) -> f64 {
        self.group.cpu_seconds()
    }

    /// The same without that of a task which works.
    pub fn cpu_seconds(&self, task: i32) -> f64 {
        // A task in a control group of its own is not counted here in the first place.
        let is_here =
            self.bench.hierarchies.made_for(task).iter().any(|made| self.group.holds(made));
        self.group.cpu_seconds() - if is_here { proc::cpu_seconds(task) } else { 0.0 }
    }

    /// Where the first task's log is.
    pub fn logs(&self) -> PathBuf {
        self.directory.join(&self.contender.logs)
    }

    /// Asks it to end its tasks and itself, in the way that is its own.
    pub fn ask_to_end(&mut self) {
        self.reap();
        let Way::OfMany(script) = &self.contender.way else { return self.terminate_children() };
        // One that has ended was waited for: its pid may be another's by now.
        if let Some(top) = self.top().filter(|_| !self.have_all_ended()) {
            // What it says where there is nothing to stop is of no interest.
            let mut command = self.script(script, "stop");
            let _ = command.env("BENCH_PID", top.to_string()).stderr(Stdio::null()).status();
        }
    }

    /// The kids of this run that live, wherever they are.
    pub fn kids(&self) -> Vec<i32> {
        let (kid, socket) = (self.bench.kid(), self.socket.to_string_lossy().into_owned());
        let id = self.contender.id.to_string();
        let is_ours = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut words = line.split(|byte| *byte == 0).skip(2);
            let is = |word: Option<&[u8]>, wanted: &str| word == Some(wanted.as_bytes());
            proc::runs(*pid, &kid) && is(words.next(), &socket) && is(words.next(), &id)
        };
        proc::all().into_iter().filter(is_ours).collect()
    }

    fn terminate_children(&mut self) {
        for child in &mut self.children {
            if matches!(child.try_wait(), Ok(None)) {
                // Not waited for yet: the pid is nobody else's.
                let pid = nix::unistd::Pid::from_raw(child.id() as i32);
                let _ = nix::sys::signal::kill(pid, Signal::SIGTERM);
            }
        }
    }

    fn have_all_ended(&mut self) -> bool {
        self.children.iter_mut().all(|child| matches!(child.try_wait(), Ok(Some(_))))
    }

    fn last_words(&self) -> Option<String> {
        let text = fs::read_to_string(self.directory.join("stderr")).ok()?;
        text.lines().find(|line| !line.trim().is_empty()).map(str::to_owned)
    }

    fn remember_groups(&mut self) {
        for kid in self.kids() {
            let made = self.bench.hierarchies.made_for(kid);
            self.made.extend(
                made.into_iter()
                    .filter(|group| !self.group.holds(group) && !self.present.contains(group)),
            );
        }
    }

    fn child_words(&self) -> String {
        let (kid, socket) = (self.bench.kid(), self.socket.display());
        let Tasks { mode, arguments, .. } = &self.tasks;
        let words =
            format!("{} {mode} {socket} {} {{i}} {arguments}", kid.display(), self.contender.id);
        words.trim_end().to_owned()
    }

    fn command(&self, line: &str, index: u32) -> Command {
        let (directory, logs) = (&self.directory, self.directory.join("log"));
        // The child first: it has a placeholder of its own.
        let words = line
            .replace("{child}", &self.child_words())
            .replace("{i}", &index.to_string())
            .replace("{bin}", &self.bench.bin.to_string_lossy())
            .replace("{dir}", &directory.to_string_lossy())
            .replace("{logs}", &logs.to_string_lossy())
            .replace("{rot}", &ROTATE_BYTES.to_string())
            .replace("{mem}", &self.tasks.memory.to_string())
            .replace("{mem_mb}", &(self.tasks.memory >> 20).to_string());
        let mut words = words.split_whitespace();
        let mut command = started_as_by_init(words.next().unwrap_or_default());
        command.args(words);
        command
    }

    fn script(&self, script: &Path, word: &str) -> Command {
        let mut command = started_as_by_init(script);
        command
            .arg(word)
            .current_dir(&self.directory)
            .env("BENCH_TASKS", self.tasks.count.to_string())
            .env("BENCH_CHILD", self.child_words())
            .env("BENCH_DIR", &self.directory)
            .env("BENCH_BIN", &self.bench.bin)
            .env("BENCH_LOGS", if self.tasks.logs { "1" } else { "0" })
            .env("BENCH_LOG_BYTES", ROTATE_BYTES.to_string())
            .env("BENCH_MEMORY_MB", (self.tasks.memory >> 20).to_string());
        command
    }

    /// Has a command start in the contender's group, in a session of its own, so that Ctrl-C in the
    /// terminal reaches the bench alone.
    fn enter(&self, command: &mut Command) -> Result<()> {
        let stderr =
            File::options().create(true).append(true).open(self.directory.join("stderr"))?;
        command.current_dir(&self.directory).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(stderr);
        let door = File::options().write(true).open(self.group.door())?;
        let enter = move || {
            (&door).write_all(b"0")?;
            nix::unistd::setsid()?;
            Ok(())
        };
        // SAFETY: between fork and exec it makes two system calls, and allocates nothing.
        unsafe { command.pre_exec(enter) };
        Ok(())
    }

    fn end(&mut self) {
        // Also when we were asked to end: bounded, and by conditions of its own.
        let patience = Duration::from_secs(if self.tasks.count > 100 { 30 } else { 8 });
        self.remember_groups();
        self.ask_to_end();
        self.settle(patience, |run| run.kids().is_empty());
        self.terminate_children();
        // Those of ours that are nobody's children: they end their task before themselves.
        let sitter = self.bench.bin.join("tasksitter");
        for pid in self.group.processes() {
            if let Some(fd) = PidFd::open_if(pid, &sitter) {
                let _ = fd.signal(Signal::SIGTERM);
            }
        }
        self.settle(patience, |run| run.group.processes().is_empty());
        let is_gone = self.group.destroy(patience);
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let kid = self.bench.kid();
        self.settle(patience, |run| {
            let kids = run.kids();
            for fd in kids.iter().filter_map(|pid| PidFd::open_if(*pid, &kid)) {
                let _ = fd.signal(Signal::SIGKILL);
            }
            kids.is_empty()
        });
        let left = cgroup::remove(&self.made, patience);
        let _ = fs::remove_dir_all(&self.directory);
        if !is_gone || !left.is_empty() {
            eprintln!("warning: {} has left control groups behind: {left:?}", self.name());
        }
    }

    fn settle(&mut self, within: Duration, holds: impl Fn(&Self) -> bool) {
        clock::until_regardless(within, || {
            self.reap();
            holds(self)
        });
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// A program with the small environment that an init gives, rather than that of whoever measures: a
/// page of variables would count as the contender's memory.
fn started_as_by_init(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env_clear().env("PATH", path).env("HOME", "/root").env("LANG", "C.UTF-8");
    command
}
