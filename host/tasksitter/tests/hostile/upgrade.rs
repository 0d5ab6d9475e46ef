//! Going on as another program in the same process.

use crate::common::{SOON, Task, copy_sitter, is_running, signal, throughout, until};
use cerebro_tasksitter::protocol::{Exit, Phase, Request};
use nix::sys::signal::Signal;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A copy of the task sitter, in its own directory.
fn copy() -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("tasksitter-next");
    copy_sitter(&copy);
    (place, copy)
}

/// Two of them: the built one may be built again at any time.
fn two_copies() -> ([tempfile::TempDir; 2], [PathBuf; 2]) {
    let ((one, first), (other, second)) = (copy(), copy());
    ([one, other], [first, second])
}

fn program(pid: i32) -> PathBuf {
    fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default()
}

/// Waits until the sitter has become `next`, and has taken over.
fn becomes(task: &Task, sitter: i32, next: &Path) {
    until("it is the next program", || (program(sitter) == next).then_some(()));
    task.wait("it has taken over", |s| s.adopted || s.pid.is_none());
    // Answered by the new one, since the old one's clients are gone.
    task.stats();
}

#[test]
fn a_sitter_goes_on_as_its_next_version_and_the_task_with_it() {
    let (_place, next) = copy();
    let task = Task::start("until [ -e go ]; do sleep 0.01; done; exit 42", |spec| {
        spec.policy.ensure_alive = false;
    });
    let (pid, before) = task.running();
    task.ask(Request::Upgrade(next.clone()));
    becomes(&task, before.sitter, &next);
    let state = task.state().unwrap();
    assert_eq!((state.sitter, state.pid, state.incarnation), (before.sitter, Some(pid), 1));
    let lock = File::open(task.file("lock")).unwrap();
    assert!(matches!(lock.try_lock(), Err(TryLockError::WouldBlock)), "the lock was let go");
    task.write("go", "");
    let state = task.wait("its end", |s| s.pid.is_none());
    assert_eq!(state.last_exit, Some(Exit::Code(42)));
}

#[test]
fn an_upgrade_may_follow_another() {
    let (_places, copies) = two_copies();
    let task = Task::start("exec sleep 600", |_| {});
    let (pid, before) = task.running();
    for to in copies.iter().cycle().take(6) {
        task.ask(Request::Upgrade(to.clone()));
        becomes(&task, before.sitter, to);
    }
    let open = fs::read_dir(format!("/proc/{}/fd", before.sitter)).unwrap().count();
    assert!(open < 40, "it has {open} descriptors open");
    signal(pid, Signal::SIGKILL);
    let state = task.wait("the next life", |s| s.incarnation == 2 && s.pid.is_some());
    assert_eq!((state.last_exit, state.sitter), (Some(Exit::Signal(9)), before.sitter));
}

#[test]
fn what_is_no_sitter_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let text = place.path().join("text");
    fs::write(&text, "no program").unwrap();
    let task = Task::start("exec sleep 600", |_| {});
    let (pid, before) = task.running();
    let programs = [
        Path::new("/bin/false"),
        Path::new("/bin/true"),
        Path::new("/no/such"),
        &text,
        "/bin/echo".as_ref(),
    ];
    for (number, program) in (1..).zip(programs) {
        task.ask(Request::Upgrade(program.to_owned()));
        until("the refusal", || {
            let log = task.read("sitter.log")?;
            (log.matches("tasksitter: ").count() >= number).then_some(())
        });
        assert_eq!(task.state().unwrap().pid, Some(pid));
    }
    signal(pid, Signal::SIGKILL);
    let state = task.wait("the next life", |s| s.incarnation == 2 && s.pid.is_some());
    assert_eq!(state.sitter, before.sitter, "after {programs:?}");
}

#[test]
fn a_program_that_hangs_does_not_hang_the_sitter() {
    use std::os::unix::fs::PermissionsExt;
    let place = tempfile::tempdir().unwrap();
    let hangs = place.path().join("hangs");
    fs::write(&hangs, "#!/bin/sh\nexec sleep 600\n").unwrap();
    fs::set_permissions(&hangs, fs::Permissions::from_mode(0o755)).unwrap();
    let task = Task::start("exec sleep 600", |_| {});
    let (pid, before) = task.running();
    task.ask(Request::Upgrade(hangs));
    signal(pid, Signal::SIGKILL);
    let state = task.wait("the next life", |s| s.incarnation == 2 && s.pid.is_some());
    assert_eq!(state.sitter, before.sitter);
}

#[test]
fn an_upgrade_does_not_wait_for_a_task_that_never_falls_silent() {
    let (_place, next) = copy();
    let task = Task::start("exec yes", |spec| {
        (spec.logs.bytes, spec.logs.files, spec.logs.compress) = (8 << 20, 1, false);
    });
    let (pid, before) = task.running();
    until("it speaks", || (task.bytes_of_logs() > 1 << 20).then_some(()));
    let begun = Instant::now();
    task.ask(Request::Upgrade(next.clone()));
    becomes(&task, before.sitter, &next);
    assert!(begun.elapsed() < SOON, "after {:?}", begun.elapsed());
    assert!(is_running(pid));
    task.ask(Request::Stop);
    task.stopped();
}

#[test]
fn an_upgrade_loses_and_cuts_no_line() {
    let (_places, copies) = two_copies();
    let script = "exec perl -e '$| = 1; for (1 .. 4000) { print \"line $_\\n\"; \
                  select undef, undef, undef, 0.0002 } open F, \">\", \"said\"; sleep 600'";
    let task = Task::start(script, |spec| spec.logs.bytes = 100 << 20);
    let (_, before) = task.running();
    for to in copies.iter().cycle().take(4) {
        task.ask(Request::Upgrade(to.clone()));
        becomes(&task, before.sitter, to);
    }
    until("it has said all", || task.file("said").exists().then_some(()));
    let log =
        until("all lines", || Some(task.log("stdout")).filter(|log| log.ends_with("line 4000\n")));
    for (number, line) in (1..).zip(log.lines()) {
        assert_eq!(line, format!("line {number}"));
    }
}

#[test]
fn a_stopped_task_stays_so_over_an_upgrade() {
    let (_place, next) = copy();
    let task = Task::start("exec sleep 600", |_| {});
    let (_, before) = task.running();
    task.ask(Request::Stop);
    task.stopped();
    task.ask(Request::Upgrade(next.clone()));
    becomes(&task, before.sitter, &next);
    throughout(Duration::from_millis(100), || {
        let state = task.state().unwrap();
        assert_eq!((state.phase, state.incarnation), (Phase::Stopped, 1));
    });
}
