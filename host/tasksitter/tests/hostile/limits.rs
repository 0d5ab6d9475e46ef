//! Tasks that want more than they may have.

use crate::common::{SOON, Task, eager, in_new_group, is_root, is_running, until};
use cerebro_tasksitter::protocol::{Action, Constraint, Exit, OomKill, Phase, Reason, Rule};
use std::time::{Duration, Instant};

/// Takes memory without end: no line of it ever ends.
const HOG: &str = "exec tail /dev/zero";
const LIMIT: u64 = 32 << 20;

#[test]
fn a_group_that_takes_too_much_memory_dies_as_one_and_is_counted() {
    if !is_root("a memory limit") {
        return;
    }
    let task = Task::start("sleep 600 & tail /dev/zero & : > up; wait", |spec| {
        in_new_group(spec);
        spec.limits.memory = Some(LIMIT);
        spec.policy = eager();
        spec.policy.max_restarts = Some(2);
    });
    let begun = Instant::now();
    let state = task.wait("it is given up", |s| s.phase == Phase::Failed && s.pid.is_none());
    assert_eq!(state.last_exit, Some(Exit::OutOfMemory));
    assert_eq!(state.reason, Some(Reason::MaxRestarts));
    assert_eq!((state.restarts, state.counts.mem_violations), (2, 3), "{:?}", state.counts);
    assert!(state.counts.oom_kills >= 3, "{:?}", state.counts);
    assert_eq!(task.inhabitants(), [0; 0]);
    eprintln!("three lives ended at the limit within {:?}", begun.elapsed());
}

#[test]
fn a_single_process_dies_for_memory_and_the_task_goes_on() {
    if !is_root("a memory limit") {
        return;
    }
    let script = "tail /dev/zero; echo $? > code; exec sleep 600";
    let task = Task::start(script, |spec| {
        in_new_group(spec);
        spec.limits.memory = Some(LIMIT);
        spec.limits.oom = OomKill::Single;
    });
    let (pid, _) = task.running();
    until("its child was killed", || (task.read("code")? == "137\n").then_some(()));
    let state = task.wait("it is counted", |s| s.counts.oom_kills == 1);
    assert_eq!((state.phase, state.pid, state.incarnation), (Phase::Running, Some(pid), 1));
    assert_eq!((state.counts.oom_kills_now, state.counts.mem_violations), (1, 0));
    assert!(is_running(pid));
}

#[test]
fn memory_is_limited_by_looking_where_there_is_no_group() {
    // Far above the limit, and yet not without end: it may be long until anyone looks.
    let script = "exec perl -e '$x .= \"x\" x (1 << 20) for 1 .. 256; sleep 600'";
    let task = Task::start(script, |spec| {
        spec.limits.memory = Some(LIMIT);
        spec.poll_interval = Duration::from_millis(50);
        spec.policy.rules.mem = Rule::new(Action::Kill);
    });
    let state = task.wait("it is given up", |s| s.phase == Phase::Failed && s.pid.is_none());
    assert_eq!(state.reason, Some(Reason::Violation(Constraint::Mem)));
    assert_eq!((state.counts.mem_violations, state.restarts), (1, 0));
    assert_eq!(state.last_exit, Some(Exit::Signal(libc::SIGTERM)));
    assert!(state.enforcement.contains("measured"), "{}", state.enforcement);
}

#[test]
fn a_cpu_limit_holds() {
    if !is_root("a CPU limit") {
        return;
    }
    let task = Task::start("while :; do :; done", |spec| {
        in_new_group(spec);
        spec.limits.cpu_millis = Some(200);
    });
    task.running();
    until("it has begun", || (task.stats().cpu_seconds > 0.05).then_some(()));
    // Begun before the first count and ended after the last: it comes out too small if anything.
    let begun = Instant::now();
    let before = task.stats();
    until("two seconds", || (begun.elapsed() >= Duration::from_secs(2)).then_some(()));
    // A busy machine may give it less than its limit for a while.
    let after = until("it was held back", || {
        Some(task.stats()).filter(|after| after.cpu_throttled > before.cpu_throttled)
    });
    let cores = (after.cpu_seconds - before.cpu_seconds) / begun.elapsed().as_secs_f64();
    eprintln!("used {cores:.3} cores of 0.2");
    // Never more but for one period.
    assert!(cores < 0.26, "{cores}");
}

#[test]
fn a_hog_is_not_started_in_the_debt_of_the_last() {
    if !is_root("a CPU limit") {
        return;
    }
    // A stop has to get through to a tree that is held back most of the time.
    let task = Task::start("for i in 1 2 3 4; do (while :; do :; done) & done; wait", |spec| {
        in_new_group(spec);
        spec.limits.cpu_millis = Some(50);
    });
    task.running();
    until("it is held back", || (task.stats().cpu_throttled > Some(2)).then_some(()));
    let begun = Instant::now();
    task.ask(cerebro_tasksitter::protocol::Request::Stop);
    task.stopped();
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert_eq!(task.in_group(), [0; 0]);
}

#[test]
fn memory_within_the_limit_is_nobodys_business() {
    if !is_root("a memory limit") {
        return;
    }
    let script = "perl -e '$x = \"x\" x (8 << 20); open F, \">\", \"up\"; sleep 600'; echo $?";
    let task = Task::start(script, |spec| {
        in_new_group(spec);
        spec.limits.memory = Some(LIMIT);
    });
    let (pid, _) = task.running();
    until("it has its memory", || task.file("up").exists().then_some(()));
    let state = task.state().unwrap();
    assert_eq!((state.pid, state.counts.oom_kills, state.counts.warnings), (Some(pid), 0, 0));
    assert!(task.stats().memory.unwrap() > 8 << 20);
}

#[test]
fn a_limit_that_is_refused_leaves_the_others_and_the_group() {
    if !is_root("a memory limit") {
        return;
    }
    // Less than it has, and more than can be pushed out: version 1 refuses, version 2 kills.
    let script = "perl -e '$x = \"x\" x (64 << 20); open F, \">\", \"up\"; sleep 600' & \
                  env -i setsid sleep 600 & wait";
    let task = Task::start(script, in_new_group);
    task.running();
    until("it has its memory", || task.file("up").exists().then_some(()));
    task.kill_sitter();
    let mut spec: cerebro_tasksitter::protocol::TaskSpec =
        serde_json::from_str(&task.read("spec.json").unwrap()).unwrap();
    spec.limits.memory = Some(1 << 20);
    spec.limits.pids = Some(20);
    task.write("spec.json", &serde_json::to_string(&spec).unwrap());
    task.launch();
    let state = task.wait("a new sitter", |s| s.adopted || s.incarnation > 1);
    assert!(state.enforcement.contains("control group"), "{}", state.enforcement);
    task.ask(cerebro_tasksitter::protocol::Request::Stop);
    task.stopped();
    assert_eq!((task.in_group(), task.inhabitants()), (vec![], vec![]));
}

#[test]
fn the_hog_ends_at_once_and_alone() {
    if !is_root("a memory limit") {
        return;
    }
    let task = Task::start(HOG, |spec| {
        in_new_group(spec);
        spec.limits.memory = Some(LIMIT);
        spec.policy.restart = false;
    });
    let state = task.wait("it is given up", |s| s.phase == Phase::Failed && s.pid.is_none());
    assert_eq!(state.last_exit, Some(Exit::OutOfMemory));
    assert_eq!(state.reason, Some(Reason::Violation(Constraint::Mem)));
    let lived = state.ended_at.unwrap() - state.started_at.unwrap();
    eprintln!("dead {lived} µs after its start, of 32 MB");
    assert!(Duration::from_micros(lived) < SOON, "{lived} µs");
}
