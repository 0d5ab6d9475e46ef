//! Components that misbehave: each ends with an error of its own, and the engine goes on.

use crate::support::{Machine, component, engine};
use cerebro_recipe_engine::{Failure, RunError};
use std::time::{Duration, Instant};

/// What a call has that does not end by itself: enough for it to begin on a busy machine.
const LITTLE_TIME: Duration = Duration::from_secs(2);

/// A machine that grants what the fixture imports, and gives it all the time it needs.
fn machine() -> Machine {
    let mut machine = Machine::granting(r#"{"write": ["/opt/app"], "commands": ["/bin/true"]}"#);
    machine.limits.wall = Duration::from_secs(60);
    machine
}

/// The same for what would take for ever.
fn hasty_machine() -> Machine {
    let mut machine = machine();
    machine.limits.wall = LITTLE_TIME;
    machine
}

async fn misbehave(machine: &Machine, what: &str) -> RunError {
    let call = machine.call(&format!(r#"{{"do": "{what}"}}"#));
    let error = engine().deploy(&component("misbehave").await, call).await.unwrap_err();
    let said = error.log.iter().any(|line| line.message == "about to misbehave");
    assert!(said || what == "flood", "the last log lines come with the error: {error:?}");
    error
}

#[tokio::test]
async fn an_endless_loop_is_ended() {
    let error = misbehave(&hasty_machine(), "loop").await;
    assert!(matches!(error.failure, Failure::TimedOut { after } if after == LITTLE_TIME));
    assert!(error.to_string().contains("ended after 2s"), "{error}");
}

#[tokio::test]
async fn waiting_for_the_host_is_ended_too() {
    let error = misbehave(&hasty_machine(), "sleep").await;
    assert!(matches!(error.failure, Failure::TimedOut { .. }), "{error:?}");
}

/// On one thread: a computing component must let others have their turn.
#[tokio::test(flavor = "current_thread")]
async fn an_endless_loop_does_not_keep_the_thread() {
    let mut machine = machine();
    machine.limits.wall = Duration::from_secs(600);
    let endless = component("misbehave").await;
    let turning = engine().deploy(&endless, machine.call(r#"{"do": "loop"}"#));
    tokio::select! {
        biased;
        ended = turning => panic!("{ended:?}"),
        error = misbehave(&machine, "fail") => {
            assert!(matches!(error.failure, Failure::Returned { .. }));
        }
    }
}

#[tokio::test]
async fn wanting_too_much_memory_is_said() {
    let mut machine = machine();
    machine.limits.memory = 64 << 20;
    let error = misbehave(&machine, "memory").await;
    assert!(matches!(error.failure, Failure::OutOfMemory { limit } if limit == 64 << 20));
    assert!(error.to_string().contains("64 MiB"), "{error}");
}

#[tokio::test]
async fn a_panic_shows_its_message() {
    let error = misbehave(&machine(), "panic").await;
    assert!(matches!(error.failure, Failure::Trapped { .. }), "{error:?}");
    assert!(error.to_string().contains("the recipe lost its head"), "{error}");
    assert!(!error.to_string().contains("RUST_BACKTRACE"), "{error}");
}

#[tokio::test]
async fn an_overflowing_stack_is_a_crash() {
    let error = misbehave(&machine(), "recurse").await;
    assert!(matches!(error.failure, Failure::Trapped { .. }), "{error:?}");
}

#[tokio::test]
async fn a_returned_error_is_passed_on() {
    let error = misbehave(&machine(), "fail").await;
    assert!(matches!(error.failure, Failure::Returned { .. }), "{error:?}");
    assert_eq!(error.to_string(), "the release is for another planet");
}

#[tokio::test]
async fn a_flood_fills_its_log_and_no_more() {
    let mut machine = hasty_machine();
    machine.limits.log_lines = 100;
    let error = misbehave(&machine, "flood").await;
    assert!(matches!(error.failure, Failure::TimedOut { .. }), "{error:?}");
    assert_eq!(machine.log.lock().unwrap().len(), 101);
    assert!(machine.logged("full"));
    assert_eq!(error.log.len(), 20);
}

#[tokio::test]
async fn an_import_that_is_not_granted_is_named_and_nothing_runs() {
    let mut machine = machine();
    machine.grants.commands.clear();
    let call = machine.call(r#"{"do": "fail"}"#);
    let error = engine().deploy(&component("misbehave").await, call).await.unwrap_err();
    assert!(matches!(error.failure, Failure::NotGranted(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("cerebro:recipe/command@0.1.0") && text.contains("grants.commands"));
    assert!(machine.log.lock().unwrap().is_empty());
}

#[tokio::test]
async fn paths_outside_the_grants_are_denied_with_the_line_to_add() {
    let machine = machine();
    let component = component("misbehave").await;
    std::fs::create_dir_all(machine.path("/opt/app")).unwrap();
    std::fs::create_dir_all(machine.path("/etc")).unwrap();
    let write = |path: &str| {
        machine.call(&format!(r#"{{"do": "write", "path": "{path}", "text": "mine"}}"#))
    };
    engine().deploy(&component, write("/opt/app/ok")).await.unwrap();
    assert_eq!(machine.text("/opt/app/ok"), "mine");
    std::os::unix::fs::symlink("/etc", machine.path("/opt/app/etc")).unwrap();
    for path in ["/etc/passwd", "/opt/app/etc/passwd"] {
        let error = engine().deploy(&component, write(path)).await.unwrap_err().to_string();
        assert!(error.contains(r#"add "/etc/passwd" to `grants.write`"#), "{error}");
    }
    let error = engine().deploy(&component, write("/opt/app/../x")).await.unwrap_err().to_string();
    assert!(error.contains("plain path"), "{error}");
    assert!(machine.names("/etc").is_empty());
}

/// What a call started is gone when the call is.
#[tokio::test]
async fn a_call_that_times_out_takes_its_commands_along() {
    let mut machine = machine();
    machine.limits.wall = Duration::from_secs(5);
    machine.grants.commands = vec!["/bin/sh".to_owned().try_into().unwrap()];
    let mark = machine.path("/pid");
    let script = format!("sleep 600 & echo $! > {}; wait", mark.display());
    let options = serde_json::json!({"do": "run", "argv": ["/bin/sh", "-c", script]});
    let call = machine.call(&options.to_string());
    let error = engine().deploy(&component("misbehave").await, call).await.unwrap_err();
    let late = matches!(error.failure, Failure::TimedOut { .. })
        || error.to_string().contains("was killed after");
    assert!(late, "{error:?}");
    let pid = std::fs::read_to_string(mark).unwrap();
    let limit = Instant::now() + Duration::from_secs(10);
    while runs(pid.trim()) {
        assert!(Instant::now() < limit, "process {pid} goes on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.starts_with(" Z"))
}
