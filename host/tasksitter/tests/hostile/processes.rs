//! Tasks that multiply, run away, and leave their dead behind.

use crate::common::{SOON, Task, in_new_group, is_root, is_running, signal, throughout, until};
use cerebro_tasksitter::protocol::{Exit, Phase, Request};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// A daemon by the book: two forks, a session of its own, an empty environment. It writes its pid.
const DAEMON: &str = "(env -i setsid sh -c 'echo $$ > daemon.new; mv daemon.new daemon; \
                      exec sleep 600' &); exec sleep 600";

fn daemon(task: &Task) -> i32 {
    until("the daemon is up", || task.read("daemon")?.trim().parse().ok())
}

#[test]
fn a_fork_bomb_stays_within_its_limit_and_ends_by_a_stop() {
    if !is_root("a fork bomb") {
        return;
    }
    let bomb = "exec perl -e 'while (1) { fork; select undef, undef, undef, 0.01 }'";
    let task = Task::start(bomb, |spec| {
        in_new_group(spec);
        spec.limits.pids = Some(50);
        spec.policy.stop_grace = Duration::from_millis(200);
    });
    task.running();
    until("the limit is reached", || (task.in_group().len() >= 45).then_some(()));
    throughout(Duration::from_millis(300), || assert!(task.in_group().len() <= 50));
    assert!(task.stats().processes >= 45, "and it answers");
    task.ask(Request::Stop);
    task.stopped();
    assert_eq!((task.in_group(), task.inhabitants()), (vec![], vec![]), "all of it is gone");
}

#[test]
fn one_that_answers_sigterm_by_spawning_more_is_gone_after_its_grace() {
    let script = "trap 'setsid sleep 600 & setsid sleep 600 & echo more >&2' TERM; echo up; \
                  while :; do sleep 0.02; done";
    let task = Task::start(script, |spec| spec.policy.stop_grace = Duration::from_millis(300));
    task.running();
    until("it is up", || task.log("stdout").contains("up").then_some(()));
    for _ in 0..5 {
        task.ask(Request::Signal(libc::SIGTERM));
    }
    until("it has spawned", || (task.inhabitants().len() >= 3).then_some(()));
    task.ask(Request::Stop);
    let state = task.stopped();
    assert_eq!(state.last_exit, Some(Exit::Signal(libc::SIGKILL)));
    assert_eq!(task.inhabitants(), [0; 0]);
}

#[test]
fn the_dead_of_a_task_are_buried() {
    // Each shell leaves a child that ends without a parent.
    let script = "i=0; while [ $i -lt 300 ]; do (sleep 0.01 &); i=$((i+1)); done; : > done; \
                  exec sleep 600";
    let task = Task::start(script, |_| {});
    let (_, state) = task.running();
    until("all are born", || task.file("done").exists().then_some(()));
    let children = format!("/proc/{0}/task/{0}/children", state.sitter);
    until("only the task is left", || {
        let children = std::fs::read_to_string(&children).unwrap();
        (children.split_whitespace().count() <= 1).then_some(())
    });
}

#[test]
fn a_daemon_ends_with_its_task() {
    let task = Task::start(DAEMON, |_| {});
    task.running();
    let daemon = daemon(&task);
    task.ask(Request::Stop);
    task.stopped();
    assert!(!is_running(daemon), "it escaped");
    assert_eq!(task.inhabitants(), [0; 0]);
}

#[test]
fn a_daemon_in_a_group_ends_also_when_its_sitter_had_been_killed() {
    if !is_root("a daemon in a group") {
        return;
    }
    let task = Task::start(DAEMON, in_new_group);
    task.running();
    let daemon = daemon(&task);
    task.kill_sitter();
    task.launch();
    task.wait("adoption", |s| s.adopted);
    task.ask(Request::Stop);
    task.stopped();
    assert!(!is_running(daemon), "it escaped");
    assert_eq!((task.in_group(), task.inhabitants()), (vec![], vec![]));
}

#[test]
fn a_daemon_does_not_outlive_a_restart() {
    let task = Task::start(DAEMON, |_| {});
    let (pid, _) = task.running();
    let first = daemon(&task);
    signal(pid, Signal::SIGKILL);
    task.wait("the next life", |s| s.incarnation == 2 && s.pid.is_some());
    assert!(!is_running(first), "it lives on beside the next one");
}

#[test]
fn a_task_that_leaves_its_group_is_stopped_all_the_same() {
    if !is_root("leaving the group") {
        return;
    }
    // Not into a group of another test's, nor back into its own.
    let leave = "for procs in $(find /sys/fs/cgroup -maxdepth 2 -name cgroup.procs \
                 ! -path '*/cerebro-test-*'); do \
                 echo 0 > $procs; done 2> /dev/null; trap '' TERM; echo out; \
                 while :; do sleep 0.05; done";
    let task = Task::start(leave, |spec| {
        in_new_group(spec);
        spec.policy.stop_grace = Duration::from_millis(100);
    });
    let (pid, state) = task.running();
    until("it is out", || task.log("stdout").contains("out").then_some(()));
    let begun = Instant::now();
    task.ask(Request::Stop);
    let last = task.wait("it is stopped", |s| s.phase == Phase::Stopped && s.pid.is_none());
    assert!(begun.elapsed() < SOON, "after {:?}", begun.elapsed());
    assert_eq!((last.last_exit, last.sitter), (Some(Exit::Signal(9)), state.sitter));
    assert!(!is_running(pid));
    assert_eq!(task.inhabitants(), [0; 0]);
}
