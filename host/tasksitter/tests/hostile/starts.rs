//! Tasks that cannot be started: each says why, in words that name what is wrong.

use crate::common::{SOON, Task, eager, is_root, is_running, throughout};
use cerebro_tasksitter::protocol::{Exit, Phase, Request, Rlimit, TaskSpec};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

/// The message of a task that cannot be started, once it is given up.
fn refusal(change: impl FnOnce(&mut TaskSpec)) -> String {
    let task = Task::start("exec sleep 600", |spec| {
        spec.policy.max_restarts = Some(1);
        change(spec);
    });
    let state = task.wait("it is given up", |s| s.phase == Phase::Failed);
    assert_eq!((state.pid, state.restarts), (None, 1));
    match state.last_exit {
        Some(Exit::NotStarted(why)) => why,
        other => panic!("it ended otherwise: {other:?}"),
    }
}

fn assert_names(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{message}` does not say `{part}`");
    }
}

#[test]
fn a_missing_program_is_named() {
    let message = refusal(|spec| spec.argv = vec!["/no/such/program".to_owned()]);
    assert_names(&message, &["/no/such/program", "No such file"]);
    let message = refusal(|spec| spec.argv = vec!["no-such-program".to_owned()]);
    assert_names(&message, &["no-such-program", "No such file"]);
}

#[test]
fn a_file_that_is_no_program_is_named() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("data");
    fs::write(&file, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let name = file.display().to_string();
    let message = refusal(|spec| spec.argv = vec![name.clone()]);
    assert_names(&message, &[&name, "ermission denied"]);
}

#[test]
fn a_missing_working_directory_is_named() {
    let message = refusal(|spec| spec.cwd = "/no/such/directory".into());
    assert_names(&message, &["/no/such/directory", "working directory", "No such file"]);
}

#[test]
fn an_unknown_user_and_an_unknown_group_are_named() {
    let message = refusal(|spec| spec.credentials.user = Some("no-such-user".to_owned()));
    assert_names(&message, &["no user `no-such-user`"]);
    let message = refusal(|spec| spec.credentials.group = Some("no-such-group".to_owned()));
    assert_names(&message, &["no group `no-such-group`"]);
}

#[test]
fn a_resource_limit_that_cannot_be_is_named() {
    let limit = Rlimit { soft: Some(20), hard: Some(10) };
    let message = refusal(|spec| _ = spec.attributes.rlimits.insert("nofile".to_owned(), limit));
    assert_names(&message, &["resource limit", "nvalid argument"]);
    // More descriptors than the kernel gives to anyone.
    let limit = Rlimit { soft: Some(u64::MAX / 2), hard: Some(u64::MAX / 2) };
    let message = refusal(|spec| _ = spec.attributes.rlimits.insert("nofile".to_owned(), limit));
    assert_names(&message, &["resource limit", "not permitted"]);
}

#[test]
fn an_adjustment_out_of_range_is_named() {
    let message = refusal(|spec| spec.attributes.oom_score_adj = Some(5000));
    assert_names(&message, &["OOM score"]);
}

#[test]
fn a_user_without_rights_to_the_directory_is_told_so() {
    if !is_root("another user") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let message = refusal(|spec| {
        spec.credentials.user = Some("65534".to_owned());
        spec.cwd = place.path().to_owned();
    });
    assert_names(&message, &["working directory", "ermission denied"]);
}

#[test]
fn one_that_never_starts_and_never_waits_leaves_its_sitter_awake() {
    let task = Task::start("", |spec| {
        spec.argv = vec!["/no/such/program".to_owned()];
        spec.policy = eager();
        spec.policy.back_off.first = Duration::ZERO;
        spec.policy.back_off.longest = Duration::ZERO;
    });
    let state = task.wait("many attempts", |s| s.restarts > 100);
    assert!(is_running(state.sitter));
    let begun = Instant::now();
    task.ask(Request::Stop);
    task.stopped();
    assert!(begun.elapsed() < SOON, "after {:?}", begun.elapsed());
    let starts = task.state().unwrap().incarnation;
    throughout(Duration::from_millis(50), || {
        assert_eq!(task.state().unwrap().incarnation, starts);
    });
}
