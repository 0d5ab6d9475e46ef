//! The built task sitter with real processes: what it promises about crashes, stops and logs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use cerebro_linux::process::{Identity, kill_tree};
use cerebro_tasksitter::protocol::{
    Exit, MARKER, Phase, Policy, Request, TaskSpec, TaskState, socket_path,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// A task in a directory of its own; dropped, it takes everything with it.
struct Task {
    dir: tempfile::TempDir,
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(state) = self.state() {
            let _ = kill(Pid::from_raw(state.sitter), Signal::SIGKILL);
        }
        let marker = format!("{MARKER}={}", self.dir.path().display());
        kill_tree(None, &marker, Duration::from_secs(5));
    }
}

fn policy() -> Policy {
    Policy::default()
}

fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

impl Task {
    fn start(script: &str, policy: Policy) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let mut spec = TaskSpec::new(argv, dir.path().to_owned());
        spec.env.insert("GREETING".to_owned(), "hello".to_owned());
        spec.policy = policy;
        fs::write(dir.path().join("spec.json"), serde_json::to_vec(&spec).unwrap()).unwrap();
        let task = Self { dir };
        task.launch();
        task
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn launch(&self) {
        cerebro_tasksitter::launch(env!("CARGO_BIN_EXE_tasksitter").as_ref(), self.path()).unwrap();
    }

    fn state(&self) -> Option<TaskState> {
        serde_json::from_slice(&fs::read(self.path().join("state.json")).ok()?).ok()
    }

    fn wait(&self, what: &str, condition: impl Fn(&TaskState) -> bool) -> TaskState {
        until(what, || self.state().filter(&condition))
    }

    fn running(&self) -> (i32, TaskState) {
        let state = self.wait("it runs", |s| s.phase == Phase::Running && s.pid.is_some());
        (state.pid.unwrap(), state)
    }

    fn ask(&self, request: Request) {
        let dir = fs::File::open(self.path()).unwrap();
        let mut stream = until("the socket", || UnixStream::connect(socket_path(dir.as_fd())).ok());
        stream
            .write_all(format!("{}\n", serde_json::to_string(&request).unwrap()).as_bytes())
            .unwrap();
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.path().join("logs").join(format!("{name}.log"))).unwrap_or_default()
    }

    fn kill_sitter(&self) -> i32 {
        let sitter = self.state().unwrap().sitter;
        kill(Pid::from_raw(sitter), Signal::SIGKILL).unwrap();
        until("the sitter is dead", || (!is_running(sitter)).then_some(()));
        sitter
    }
}

fn is_running(pid: i32) -> bool {
    Identity::of(pid).is_some()
}

#[test]
fn a_killed_task_runs_again_and_its_output_is_kept() {
    let task = Task::start("echo $GREETING; echo oops >&2; exec sleep 600", policy());
    let (first, _) = task.running();
    until("the greeting", || (task.log("stdout") == "hello\n").then_some(()));
    kill(Pid::from_raw(first), Signal::SIGKILL).unwrap();
    let state =
        task.wait("a new process", |s| s.restarts == 1 && s.pid.is_some_and(|pid| pid != first));
    assert_eq!(state.last_exit, Some(Exit::Signal(9)));
    assert!(state.started_at >= state.ended_at);
    until("both greetings", || (task.log("stdout") == "hello\nhello\n").then_some(()));
    assert!(task.log("stderr").starts_with("oops\n"));
}

#[test]
fn a_killed_sitter_leaves_the_task_and_the_next_adopts_it_and_sees_its_end() {
    let task = Task::start("exec sleep 600", policy());
    let (pid, before) = task.running();
    task.kill_sitter();
    assert!(is_running(pid), "the task goes on alone");
    task.launch();
    let after = task.wait("adoption", |s| s.sitter != before.sitter && s.pid.is_some());
    assert_eq!(
        (after.pid, after.adopted, after.incarnation),
        (Some(pid), true, before.incarnation)
    );
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    let last =
        task.wait("a restart", |s| s.incarnation == before.incarnation + 1 && s.pid.is_some());
    // Kernels before 6.15 don't tell strangers how a process ended.
    assert!(matches!(last.last_exit, Some(Exit::Signal(9) | Exit::Unknown)), "{last:?}");
}

#[test]
fn nothing_is_lost_that_is_written_while_no_sitter_is_there() {
    let task = Task::start(
        "while [ ! -e go ]; do sleep 0.01; done; echo alone; : > said; exec sleep 600",
        policy(),
    );
    task.running();
    task.kill_sitter();
    fs::write(task.path().join("go"), "").unwrap();
    until("the task has spoken", || task.path().join("said").exists().then_some(()));
    assert_eq!(task.log("stdout"), "");
    task.launch();
    until("its words", || (task.log("stdout") == "alone\n").then_some(()));
}

#[test]
fn a_task_that_died_unwatched_is_started_once() {
    let task = Task::start("echo x >> starts; exec sleep 600", policy());
    let (pid, before) = task.running();
    task.kill_sitter();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    until("it is dead", || (!is_running(pid)).then_some(()));
    task.launch();
    let after = task
        .wait("a restart", |s| s.sitter != before.sitter && s.pid.is_some_and(|new| new != pid));
    assert_eq!((after.restarts, after.incarnation), (before.restarts + 1, before.incarnation + 1));
    until("two starts", || {
        (fs::read_to_string(task.path().join("starts")).unwrap() == "x\nx\n").then_some(())
    });
}

#[test]
fn sitters_killed_at_any_moment_never_leave_two() {
    let task = Task::start("exec sleep 600", policy());
    let marker = format!("{MARKER}={}", task.path().display());
    for round in 0..40u64 {
        let (pid, _) = task.running();
        let sitter = task.state().unwrap().sitter;
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        // The sitter dies somewhere between seeing the end and having started the next.
        let end = Instant::now() + Duration::from_micros(round * 40);
        while Instant::now() < end {
            std::hint::spin_loop();
        }
        kill(Pid::from_raw(sitter), Signal::SIGKILL).unwrap();
        task.launch();
        task.wait("a living task", |s| s.sitter != sitter && s.pid.is_some_and(is_running));
        // The kernel shows an empty environment until exec is quite done.
        let found =
            until("its environment", || Some(marked(&marker)).filter(|found| !found.is_empty()));
        assert_eq!(found.len(), 1, "round {round}: {found:?}");
    }
}

/// Processes, not their remains, that carry the marker and are the task itself.
fn marked(marker: &str) -> Vec<i32> {
    let pids = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|b| *b == 0).any(|entry| entry == marker.as_bytes()) && is_running(*pid)
    })
    .collect()
}

#[test]
fn a_stop_asks_first_and_nothing_escapes_it() {
    let task = Task::start(
        "trap 'echo asked; exit 0' TERM; setsid sh -c 'trap \"\" TERM; sleep 601 & sleep 602' & echo up; while :; do sleep 0.05; done",
        policy(),
    );
    let (pid, _) = task.running();
    until("it is up", || task.log("stdout").contains("up").then_some(()));
    let marker = format!("{MARKER}={}", task.path().display());
    until("the runaways are there", || (marked(&marker).len() >= 4).then_some(()));
    task.ask(Request::Stop);
    let state = task.wait("it is stopped", |s| s.phase == Phase::Stopped && s.pid.is_none());
    assert_eq!(state.last_exit, Some(Exit::Code(0)));
    assert!(!is_running(pid));
    until("its words", || task.log("stdout").contains("asked").then_some(()));
    assert_eq!(marked(&marker), [0; 0], "something escaped");
    // Stopped is stopped, for the next sitter too.
    task.kill_sitter();
    task.launch();
    let again = task.wait("a new sitter", |s| s.sitter != state.sitter);
    assert_eq!((again.phase, again.pid), (Phase::Stopped, None));
}

#[test]
fn one_that_does_not_listen_is_killed_after_its_grace() {
    let short = Policy { stop_grace: Duration::from_millis(100), ..policy() };
    let task = Task::start("trap '' TERM; while :; do sleep 0.05; done", short);
    task.running();
    task.ask(Request::Stop);
    let state = task.wait("it is stopped", |s| s.phase == Phase::Stopped && s.pid.is_none());
    assert_eq!(state.last_exit, Some(Exit::Signal(9)));
}

#[test]
fn what_cannot_be_started_is_given_up_with_the_reason() {
    let task = Task::start("exit 3", Policy { max_restarts: Some(1), ..policy() });
    let state = task.wait("it is given up", |s| s.phase == Phase::Failed);
    assert_eq!((state.restarts, state.last_exit), (1, Some(Exit::Code(3))));
}

#[test]
fn the_child_inherits_nothing() {
    let task = Task::start(
        "ls /proc/self/fd > fds; grep -E 'Sig(Blk|Ign)' /proc/self/status > signals; exec sleep 600",
        policy(),
    );
    task.running();
    let signals = until("its report", || {
        let text = fs::read_to_string(task.path().join("signals")).ok()?;
        (text.lines().count() == 2).then_some(text)
    });
    assert!(signals.lines().all(|line| line.ends_with("0000000000000000")), "{signals}");
    let fds = fs::read_to_string(task.path().join("fds")).unwrap();
    // 0, 1, 2 and the directory that ls reads.
    assert_eq!(fds.lines().count(), 4, "{fds}");
}
