//! What the tests of the built task sitter share: tasks in directories of their own, that take all
//! of their processes, groups and files with them, also when a test fails.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use cerebro_linux::cgroup::Cgroups;
use cerebro_linux::process::{Identity, kill_tree};
use cerebro_tasksitter::protocol::{
    MARKER, Notice, Phase, Policy, Request, TaskSpec, TaskState, TaskStats, socket_path,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How long anything may take that is not itself measured.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How long what is to be done at once may take where the machine is busy with other things. Below
/// [`PATIENCE`], behind which a wait for it gives up anyway.
pub const SOON: Duration = Duration::from_secs(15);

/// The task sitter under test.
pub const SITTER: &str = env!("CARGO_BIN_EXE_tasksitter");

/// Copies it, by a process of its own: what this one writes, children of other tests hold open until they have
/// started, and nobody can run it so long.
pub fn copy_sitter(to: &Path) {
    assert!(std::process::Command::new("cp").arg(SITTER).arg(to).status().unwrap().success());
}

/// A task in a directory of its own; dropped, it takes everything with it.
pub struct Task {
    pub dir: tempfile::TempDir,
    pub group: Option<String>,
}

impl Drop for Task {
    fn drop(&mut self) {
        for sitter in self.sitters() {
            let _ = kill(Pid::from_raw(sitter), Signal::SIGKILL);
        }
        let group = self.group.as_ref().zip(Cgroups::detect().ok());
        if let Some((path, cgroups)) = &group {
            cgroups.group(path).kill(Duration::from_secs(5));
        }
        kill_tree(None, &self.marker(), Duration::from_secs(5));
        for stray in self.inhabitants() {
            let _ = kill(Pid::from_raw(stray), Signal::SIGKILL);
        }
        if let Some((path, cgroups)) = &group {
            let _ = cgroups.group(path).remove(Duration::from_secs(5));
        }
    }
}

/// Asks until there is an answer.
pub fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Looks again and again for as long as `span`: what must not happen does not.
pub fn throughout(span: Duration, mut look: impl FnMut()) {
    let end = Instant::now() + span;
    while Instant::now() < end {
        look();
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether this is root; says so where it is not, since the test then passes without having tested.
pub fn is_root(test: &str) -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        eprintln!("{test}: not tested, since it needs root");
    }
    is_root
}

/// The path of a control group that no other test has.
pub fn new_group() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("cerebro-test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed))
}

/// Has a task run in a control group of its own.
pub fn in_new_group(spec: &mut TaskSpec) {
    spec.cgroup = Some(new_group());
}

/// Restarts at once, however often.
pub fn eager() -> Policy {
    let mut policy = Policy::default();
    policy.back_off.first = Duration::from_millis(1);
    policy.back_off.longest = Duration::from_millis(1);
    policy
}

impl Task {
    /// Describes a task that runs `script` in its own directory, and starts nothing.
    pub fn prepare(script: &str, change: impl FnOnce(&mut TaskSpec)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let mut spec = TaskSpec::new(argv, dir.path().to_owned());
        spec.policy.stop_grace = Duration::from_secs(2);
        change(&mut spec);
        fs::write(dir.path().join("spec.json"), serde_json::to_vec(&spec).unwrap()).unwrap();
        Self { dir, group: spec.cgroup }
    }

    /// Starts a task that runs `script`.
    pub fn start(script: &str, change: impl FnOnce(&mut TaskSpec)) -> Self {
        let task = Self::prepare(script, change);
        task.launch();
        task
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The text of a file in its directory; none while there is none.
    pub fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.file(name)).ok()
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).unwrap();
    }

    pub fn launch(&self) {
        cerebro_tasksitter::launch(SITTER.as_ref(), self.path()).unwrap();
    }

    pub fn state(&self) -> Option<TaskState> {
        serde_json::from_slice(&fs::read(self.file("state.json")).ok()?).ok()
    }

    pub fn wait(&self, what: &str, condition: impl Fn(&TaskState) -> bool) -> TaskState {
        let mut last = None;
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(state) = self.state() {
                if condition(&state) {
                    return state;
                }
                last = Some(state);
            }
            assert!(
                Instant::now() < end,
                "not within {PATIENCE:?}: {what}: {last:?} {:?}",
                self.read("sitter.log")
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn running(&self) -> (i32, TaskState) {
        let state = self.wait("it runs", |s| s.phase == Phase::Running && s.pid.is_some());
        (state.pid.unwrap(), state)
    }

    pub fn stopped(&self) -> TaskState {
        self.wait("it is stopped", |s| s.phase == Phase::Stopped && s.pid.is_none())
    }

    pub fn connect(&self) -> UnixStream {
        let dir = fs::File::open(self.path()).unwrap();
        let stream = until("the socket", || UnixStream::connect(socket_path(dir.as_fd())).ok());
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub fn ask(&self, request: Request) {
        self.connect().write_all(&line(&request)).unwrap();
    }

    pub fn stats(&self) -> TaskStats {
        // Hung up on by a sitter that is just going on as another program, it asks again.
        until("an answer to what it uses", || {
            let mut stream = self.connect();
            stream.write_all(&line(&Request::Stats { pss: false })).ok()?;
            BufReader::new(stream).lines().map_while(Result::ok).find_map(|notice| {
                match serde_json::from_str(&notice).unwrap() {
                    Notice::Stats(stats) => Some(*stats),
                    Notice::State(_) => None,
                }
            })
        })
    }

    pub fn log(&self, name: &str) -> String {
        let text = fs::read(self.path().join("logs").join(format!("{name}.log")));
        String::from_utf8_lossy(&text.unwrap_or_default()).into_owned()
    }

    /// Bytes of all files of its logs.
    pub fn bytes_of_logs(&self) -> u64 {
        let entries = fs::read_dir(self.file("logs")).into_iter().flatten().flatten();
        entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
    }

    pub fn kill_sitter(&self) -> i32 {
        let sitter = self.state().unwrap().sitter;
        kill(Pid::from_raw(sitter), Signal::SIGKILL).unwrap();
        until("the sitter is dead", || (!is_running(sitter)).then_some(()));
        sitter
    }

    /// Every sitter that was started on its directory.
    pub fn sitters(&self) -> Vec<i32> {
        let path = self.path().as_os_str().as_encoded_bytes();
        let is_sitter = |pid: &i32| {
            let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut arguments = arguments.split(|byte| *byte == 0);
            arguments.any(|argument| argument == b"--dir") && arguments.next() == Some(path)
        };
        pids().filter(is_sitter).collect()
    }

    /// Processes, not their remains, that are in its directory, whatever became of their parents,
    /// environment and session. A sitter is elsewhere.
    pub fn inhabitants(&self) -> Vec<i32> {
        let is_here = |pid: &i32| {
            fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(self.path()))
        };
        pids().filter(is_here).filter(|pid| is_running(*pid)).collect()
    }

    pub fn marker(&self) -> String {
        format!("{MARKER}={}", self.path().display())
    }

    /// Processes of its control group.
    pub fn in_group(&self) -> Vec<i32> {
        let group = Cgroups::detect().unwrap().group(self.group.as_ref().unwrap());
        // The sitter has a thread in it.
        let sitters = self.sitters();
        group.processes().into_iter().filter(|pid| !sitters.contains(pid)).collect()
    }
}

/// A request as it is sent.
pub fn line(request: &Request) -> Vec<u8> {
    let mut line = serde_json::to_vec(request).unwrap();
    line.push(b'\n');
    line
}

/// Whether a process is there, and not only its remains.
pub fn is_running(pid: i32) -> bool {
    Identity::of(pid).is_some()
}

pub fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Processes, not their remains, that carry the marker.
pub fn marked(marker: &str) -> Vec<i32> {
    let is_marked = |pid: &i32| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|entry| entry == marker.as_bytes())
    };
    pids().filter(is_marked).filter(|pid| is_running(*pid)).collect()
}

/// Sends a signal.
pub fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// CPU time that a process has used, in seconds.
pub fn cpu_seconds(pid: i32) -> f64 {
    cerebro_linux::usage::tree(&[pid].into(), false).cpu.as_secs_f64()
}
