//! The built task sitter with real processes: what it promises about crashes, stops and logs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod common;

use cerebro_tasksitter::protocol::{Exit, Phase, Policy, Request};
use common::{Task, is_running, marked, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::time::{Duration, Instant};

fn policy() -> Policy {
    Policy::default()
}

fn start(script: &str, policy: Policy) -> Task {
    Task::start(script, |spec| {
        spec.env.insert("GREETING".to_owned(), "hello".to_owned());
        spec.policy = policy;
    })
}

#[test]
fn a_killed_task_runs_again_and_its_output_is_kept() {
    let task = start("echo $GREETING; echo oops >&2; exec sleep 600", policy());
    let (first, _) = task.running();
    until("the greeting", || (task.log("stdout") == "hello\n").then_some(()));
    // Two pipes: the one says nothing of the other.
    until("its complaint", || (task.log("stderr") == "oops\n").then_some(()));
    kill(Pid::from_raw(first), Signal::SIGKILL).unwrap();
    let state =
        task.wait("a new process", |s| s.restarts == 1 && s.pid.is_some_and(|pid| pid != first));
    assert_eq!(state.last_exit, Some(Exit::Signal(9)));
    assert!(state.started_at >= state.ended_at);
    until("both greetings", || (task.log("stdout") == "hello\nhello\n").then_some(()));
    until("both complaints", || (task.log("stderr") == "oops\noops\n").then_some(()));
}

#[test]
fn a_killed_sitter_leaves_the_task_and_the_next_adopts_it_and_sees_its_end() {
    let task = start("exec sleep 600", policy());
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
    let task = start(
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
    let task = start("echo x >> starts; exec sleep 600", policy());
    let (pid, before) = task.running();
    let starts = |wanted: &str| {
        let found = fs::read_to_string(task.path().join("starts")).unwrap_or_default();
        (found == wanted).then_some(())
    };
    // It may have been made and not have come to its first word.
    until("a start", || starts("x\n"));
    task.kill_sitter();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    until("it is dead", || (!is_running(pid)).then_some(()));
    task.launch();
    let after = task
        .wait("a restart", |s| s.sitter != before.sitter && s.pid.is_some_and(|new| new != pid));
    assert_eq!((after.restarts, after.incarnation), (before.restarts + 1, before.incarnation + 1));
    until("two starts", || starts("x\nx\n"));
}

#[test]
fn sitters_killed_at_any_moment_never_leave_two() {
    let task = start("exec sleep 600", policy());
    let marker = task.marker();
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

#[test]
fn a_stop_asks_first_and_nothing_escapes_it() {
    let task = start(
        "trap 'echo asked; exit 0' TERM; setsid sh -c 'trap \"\" TERM; sleep 601 & sleep 602' & echo up; while :; do sleep 0.05; done",
        policy(),
    );
    let (pid, _) = task.running();
    until("it is up", || task.log("stdout").contains("up").then_some(()));
    let marker = task.marker();
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
    let task = start("trap '' TERM; : > deaf; while :; do sleep 0.05; done", short);
    task.running();
    until("it does not listen", || task.path().join("deaf").exists().then_some(()));
    task.ask(Request::Stop);
    let state = task.wait("it is stopped", |s| s.phase == Phase::Stopped && s.pid.is_none());
    assert_eq!(state.last_exit, Some(Exit::Signal(9)));
}

#[test]
fn what_cannot_be_started_is_given_up_with_the_reason() {
    let task = start("exit 3", Policy { max_restarts: Some(1), ..policy() });
    let state = task.wait("it is given up", |s| s.phase == Phase::Failed);
    assert_eq!((state.restarts, state.last_exit), (1, Some(Exit::Code(3))));
}

#[test]
fn the_child_inherits_nothing() {
    let task = start(
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
