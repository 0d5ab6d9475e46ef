//! When a task is restarted, given up, and let be.

use crate::common::{Task, eager, signal, throughout, until};
use cerebro_tasksitter::protocol::{
    Action, Constraint, Exit, Flap, Phase, Policy, Reason, Request, Rule,
};
use nix::sys::signal::Signal;
use std::io::Write;
use std::time::{Duration, Instant};

#[test]
fn one_that_flaps_is_given_up_with_the_reason() {
    let task = Task::start("exit 3", |spec| {
        spec.policy = eager();
        spec.policy.flap = Some(Flap { restarts: 4, window: Duration::from_secs(60) });
    });
    let state = task.wait("it is given up", |s| s.phase == Phase::Failed);
    assert_eq!((state.reason, state.restarts), (Some(Reason::Flapping), 4));
    assert_eq!((state.last_exit, state.incarnation), (Some(Exit::Code(3)), 5));
    // It may be asked to try again.
    task.ask(Request::Start);
    let state =
        task.wait("it is given up again", |s| s.phase == Phase::Failed && s.incarnation == 10);
    assert_eq!(state.reason, Some(Reason::Flapping));
}

#[test]
fn a_lifetime_is_counted_from_the_start_of_the_task_and_not_of_the_sitter() {
    let lifetime = Duration::from_secs(5);
    let task = Task::start("exec sleep 600", |spec| {
        spec.policy.rules.lifetime = Some(lifetime);
        spec.policy.rules.time_limit = Rule::new(Action::Kill);
    });
    let begun = Instant::now();
    task.running();
    until("most of its life", || (begun.elapsed() > lifetime / 2).then_some(()));
    task.kill_sitter();
    task.launch();
    task.wait("adoption", |s| s.adopted);
    let state = task.wait("its end", |s| s.phase == Phase::Failed && s.pid.is_none());
    let lived = Duration::from_micros(state.ended_at.unwrap() - state.started_at.unwrap());
    assert_eq!(state.reason, Some(Reason::Violation(Constraint::TimeLimit)));
    assert!(lived + Duration::from_millis(20) >= lifetime, "{lived:?}");
    assert!(lived < lifetime + lifetime / 2, "{lived:?}");
}

#[test]
fn a_lifetime_that_ended_while_no_sitter_was_there_ends_at_adoption() {
    let task = Task::start("exec sleep 600", |spec| {
        spec.policy.rules.lifetime = Some(Duration::from_millis(300));
        spec.policy.rules.time_limit = Rule::new(Action::Kill);
    });
    let begun = Instant::now();
    task.running();
    task.kill_sitter();
    until("its time is over", || (begun.elapsed() > Duration::from_millis(400)).then_some(()));
    task.launch();
    let state = task.wait("its end", |s| s.phase == Phase::Failed && s.pid.is_none());
    assert_eq!(state.counts.time_violations, 1);
}

#[test]
fn a_reload_is_a_signal_and_nothing_else() {
    let script = "trap 'echo reloaded' USR2; echo up; while :; do sleep 0.02; done";
    let task = Task::start(script, |spec| spec.reload_signal = libc::SIGUSR2);
    let (pid, before) = task.running();
    until("it is up", || task.log("stdout").contains("up").then_some(()));
    task.ask(Request::Reload);
    until("it reloads", || (task.log("stdout").matches("reloaded").count() == 1).then_some(()));
    // The sitter's own hang-up means the same.
    signal(before.sitter, Signal::SIGHUP);
    until("it reloads again", || {
        (task.log("stdout").matches("reloaded").count() == 2).then_some(())
    });
    assert_eq!(task.state().unwrap().pid, Some(pid));
}

#[test]
fn a_stop_during_back_off_is_heeded_at_once() {
    let task = Task::start("exit 3", |spec| {
        spec.policy = Policy::default();
        spec.policy.back_off.first = Duration::from_secs(60);
        spec.policy.back_off.longest = Duration::from_secs(60);
    });
    let waiting = task.wait("it waits", |s| s.phase == Phase::BackingOff);
    task.ask(Request::Stop);
    let state = task.stopped();
    assert_eq!((state.incarnation, state.last_exit), (waiting.incarnation, Some(Exit::Code(3))));
    task.ask(Request::Restart);
    task.wait("it tries again", |s| s.incarnation > waiting.incarnation);
}

#[test]
fn a_back_off_outlives_its_sitter_without_a_storm() {
    let task = Task::start("exit 3", |spec| {
        spec.policy.back_off.first = Duration::from_secs(60);
        spec.policy.back_off.longest = Duration::from_secs(60);
    });
    let waiting = task.wait("it waits", |s| s.phase == Phase::BackingOff);
    for _ in 0..3 {
        let sitter = task.kill_sitter();
        task.launch();
        task.wait("it waits again", |s| s.sitter != sitter && s.phase == Phase::BackingOff);
    }
    // Each sitter tries at once, and once more: that is all that a crash may cost.
    let state = task.state().unwrap();
    assert!(state.incarnation <= waiting.incarnation + 6, "{state:?}");
}

#[test]
fn a_restart_while_it_stops_is_a_restart() {
    // Long enough to be seen, and with much more time than it takes.
    let script = "trap 'sleep 1; exit 5' TERM; echo up; while :; do sleep 0.02; done";
    let task = Task::start(script, |spec| spec.policy.stop_grace = Duration::from_secs(10));
    let (pid, _) = task.running();
    until("it is up", || task.log("stdout").contains("up").then_some(()));
    task.ask(Request::Stop);
    task.wait("it stops", |s| s.phase == Phase::Stopping);
    task.ask(Request::Restart);
    let state = task.wait("it is back", |s| s.incarnation == 2 && s.pid.is_some());
    assert_eq!((state.last_exit, state.phase), (Some(Exit::Code(5)), Phase::Running));
    assert_ne!(state.pid, Some(pid));
}

#[test]
fn a_hundred_requests_at_once_are_all_heeded_in_order() {
    let script = "trap 'echo got' USR1; echo up; while :; do sleep 0.01; done";
    let task = Task::start(script, |_| {});
    let (pid, _) = task.running();
    until("it is up", || task.log("stdout").contains("up").then_some(()));
    let mut requests = Vec::new();
    for _ in 0..33 {
        for request in [Request::Signal(libc::SIGUSR1), Request::Start, Request::Reload] {
            requests.extend(crate::common::line(&request));
        }
    }
    // Reloads by what it does not mind.
    let mut stream = task.connect();
    let reload = Request::Signal(libc::SIGCONT);
    let requests = String::from_utf8(requests)
        .unwrap()
        .replace("\"reload\"", &{ serde_json::to_string(&reload).unwrap() });
    stream.write_all(requests.as_bytes()).unwrap();
    until("the signals", || task.log("stdout").contains("got").then_some(()));
    stream.write_all(&crate::common::line(&Request::Stop)).unwrap();
    let state = task.stopped();
    assert_eq!((state.incarnation, state.restarts), (1, 0));
    assert_eq!(state.last_exit, Some(Exit::Signal(libc::SIGTERM)), "of {pid}");
}

#[test]
fn an_idle_sitter_sleeps() {
    let task = Task::start("exec sleep 600", |_| {});
    let (_, state) = task.running();
    // It may still have something to do with the start.
    until("half a second of no more than one tick", || {
        let before = crate::common::cpu_seconds(state.sitter);
        throughout(Duration::from_millis(500), || {});
        let used = crate::common::cpu_seconds(state.sitter) - before;
        (used <= 0.011).then_some(())
    });
}
