//! Clocks that are far from where they were.

use crate::common::{SITTER, Task, is_root, signal, throughout, until};
use cerebro_tasksitter::protocol::{Exit, Phase};
use nix::sys::signal::Signal;
use std::process::Command;
use std::time::Duration;

/// Starts the sitter, and so its task, in a time namespace whose boot was `days` earlier.
fn launch_days_after_boot(task: &Task, days: u32) {
    let offset = (days * 86_400).to_string();
    let status = Command::new("unshare")
        .args(["--time", "--fork", "--boottime", &offset, "--monotonic", &offset])
        .args([SITTER, "--detach", "--dir"])
        .arg(task.path())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn a_day_more_on_every_clock_is_no_reason_to_restart() {
    if !is_root("a time namespace") || !std::path::Path::new("/proc/self/ns/time").exists() {
        return;
    }
    let task = Task::prepare("exec sleep 600", |spec| {
        spec.policy.rules.lifetime = Some(Duration::from_secs(3600));
        spec.policy.watchdog = Some(Duration::from_secs(600));
    });
    launch_days_after_boot(&task, 1);
    let (pid, before) = task.running();
    throughout(Duration::from_millis(300), || {
        let state = task.state().unwrap();
        assert_eq!((state.pid, state.incarnation), (Some(pid), 1));
    });
    signal(pid, Signal::SIGKILL);
    let state = task.wait("the next life", |s| s.incarnation == 2 && s.pid.is_some());
    assert_eq!((state.last_exit, state.sitter), (Some(Exit::Signal(9)), before.sitter));
}

#[test]
fn a_sitter_whose_clock_is_a_day_off_makes_no_second_copy() {
    if !is_root("a time namespace") || !std::path::Path::new("/proc/self/ns/time").exists() {
        return;
    }
    let task = Task::start("exec sleep 600", |spec| {
        spec.policy.rules.lifetime = Some(Duration::from_secs(100 * 86_400));
    });
    let (pid, mut last) = task.running();
    // Forward, and back again.
    for days in [1, 0, 1] {
        task.kill_sitter();
        if days == 0 {
            task.launch()
        } else {
            launch_days_after_boot(&task, days)
        }
        let sitter = last.sitter;
        last = task.wait("a new sitter", |s| s.sitter != sitter && s.pid.is_some());
        throughout(Duration::from_millis(100), || assert_eq!(task.inhabitants(), [pid]));
        assert_eq!((last.pid, last.incarnation), (Some(pid), 1), "{days} days later");
        assert_eq!(last.phase, Phase::Running);
    }
    until("it is still there", || task.state().filter(|s| s.pid == Some(pid)));
}
