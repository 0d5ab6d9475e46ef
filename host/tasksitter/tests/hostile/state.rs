//! Sitters that find the files of the last one damaged, or of another time.

use crate::common::{Task, is_running, signal, throughout, until};
use cerebro_tasksitter::protocol::{Phase, Request, TaskState};
use nix::sys::signal::Signal;
use std::path::PathBuf;
use std::time::Duration;

/// A task runs, its sitter dies, `damage` is done to its state, and the next sitter comes: it is the
/// same task, once.
fn survives(damage: impl FnOnce(&Task, TaskState)) {
    let task = Task::start("echo x >> starts; exec sleep 600", |_| {});
    let (pid, before) = task.running();
    until("its start", || task.read("starts"));
    task.kill_sitter();
    damage(&task, before.clone());
    task.launch();
    let after = task.wait("a new sitter", |s| s.sitter != before.sitter && s.pid.is_some());
    throughout(Duration::from_millis(100), || assert_eq!(task.inhabitants(), [pid]));
    assert_eq!((after.pid, after.adopted, after.incarnation), (Some(pid), true, 1));
    assert_eq!(task.read("starts").unwrap(), "x\n", "it was started again");
    // And it is watched.
    signal(pid, Signal::SIGKILL);
    let next = task.wait("its next life", |s| s.incarnation == 2 && s.pid.is_some());
    assert!(next.pid != Some(pid) && task.inhabitants() == [next.pid.unwrap()]);
}

#[test]
fn an_empty_state_does_not_make_a_second_copy() {
    survives(|task, _| task.write("state.json", ""));
}

#[test]
fn a_corrupted_state_does_not_make_a_second_copy() {
    survives(|task, _| task.write("state.json", "{\"phase\": \"runn"));
}

#[test]
fn a_missing_state_does_not_make_a_second_copy() {
    survives(|task, _| std::fs::remove_file(task.file("state.json")).unwrap());
}

#[test]
fn a_state_that_names_another_boot_does_not_make_a_second_copy() {
    survives(|task, mut state| {
        state.boot = "00000000-0000-0000-0000-000000000000".to_owned();
        task.write("state.json", &serde_json::to_string(&state).unwrap());
    });
}

#[test]
fn numbers_of_lives_go_on_where_the_state_is_lost() {
    let task = Task::start("exec sleep 600", |_| {});
    let (pid, _) = task.running();
    signal(pid, Signal::SIGKILL);
    let second = task.wait("its second life", |s| s.incarnation == 2 && s.pid.is_some());
    task.kill_sitter();
    signal(second.pid.unwrap(), Signal::SIGKILL);
    until("it is dead", || (!is_running(second.pid.unwrap())).then_some(()));
    task.write("state.json", "");
    task.launch();
    let third = task.wait("a new sitter", |s| s.sitter != second.sitter && s.pid.is_some());
    assert_eq!(third.incarnation, 3);
}

#[test]
fn a_damaged_word_of_the_child_makes_no_second_copy_either() {
    // The state alone says who it is, then.
    let task = Task::start("exec sleep 600", |_| {});
    let (pid, before) = task.running();
    task.kill_sitter();
    task.write("child", "nonsense");
    task.launch();
    let after = task.wait("a new sitter", |s| s.sitter != before.sitter && s.pid.is_some());
    throughout(Duration::from_millis(100), || assert_eq!(task.inhabitants().len(), 1));
    assert_eq!(task.inhabitants(), [after.pid.unwrap()]);
    assert!(after.pid == Some(pid) || !is_running(pid));
}

#[test]
fn a_second_sitter_does_not_get_in() {
    let task = Task::start("exec sleep 600", |_| {});
    let (pid, state) = task.running();
    for _ in 0..3 {
        task.launch();
    }
    until("they wait", || (task.sitters().len() == 4).then_some(()));
    task.kill_sitter();
    let after = task.wait("one takes over", |s| s.sitter != state.sitter && s.adopted);
    assert_eq!((after.pid, after.incarnation), (Some(pid), 1));
    // The others give up in their time.
    until("one is left", || (task.sitters() == [after.sitter]).then_some(()));
    assert_eq!(task.inhabitants(), [pid]);
}

#[test]
fn a_damaged_description_is_not_upgraded_into() {
    let task = Task::start("exec sleep 600", |_| {});
    let (pid, before) = task.running();
    task.write("spec.json", "{ this is no");
    task.ask(Request::Upgrade(PathBuf::from(crate::common::SITTER)));
    until("the refusal", || {
        task.read("sitter.log").filter(|log| log.contains("spec.json")).map(drop)
    });
    // The old one goes on with what it knows.
    signal(pid, Signal::SIGKILL);
    let after = task.wait("its next life", |s| s.incarnation == 2 && s.pid.is_some());
    assert_eq!((after.sitter, after.phase), (before.sitter, Phase::Running));
}
