//! The agent is killed at each record in turn: before it is written, and behind it.

use crate::manifest::{assert_same, manifest};
use crate::media::{Fault, Faulty};
use crate::scenario::Scenario;
use crate::support::{Machine, engine};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// How the test tells itself, as another process, what to do.
const ROLE: &str = "CEREBRO_TEST_KILLED";

/// Not a test: what the tests below start, and what dies.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let role: Vec<&str> = role.split('|').collect();
    let [dir, way, fault, at, options] = role[..] else { panic!("{role:?}") };
    let fault = if fault == "before" { Fault::Before } else { Fault::Behind };
    let scenario = Scenario::on(Machine::in_dir(dir.as_ref()));
    let faulty = Faulty::opening(fault, at.parse().unwrap(), Arc::new(AtomicUsize::new(0)));
    let mut call = scenario.call(if way == "deploy" { options } else { "{}" });
    call.journal = Some(scenario.journaling().with_medium(faulty));
    if way == "deploy" {
        engine().deploy(&scenario.component().await, call).await.unwrap();
    } else {
        engine().roll_back(call, "a test").await.unwrap();
    }
}

/// Runs the process above; whether it died.
fn dies(scenario: &Scenario, way: &str, fault: &str, at: usize) -> bool {
    let dir = scenario.machine.dir.path().display();
    let role = format!("{dir}|{way}|{fault}|{at}|{}", scenario.options);
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::a_process_that_dies", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .output()
        .unwrap();
    match ended.status.code() {
        Some(137) => true,
        Some(0) => false,
        code => panic!("{code:?}: {}", String::from_utf8_lossy(&ended.stdout)),
    }
}

async fn killed(fault: &str) {
    let mut tried = 0;
    for at in 0.. {
        let scenario = Scenario::new().fill().await;
        let before = manifest(&scenario.root());
        if !dies(&scenario, "deploy", fault, at) {
            break;
        }
        tried += 1;
        let report = scenario.roll_back().await;
        assert!(report.is_complete(), "{fault} record {at}: {report}");
        let what = format!("killed {fault} record {at}");
        assert_same(&before, &manifest(&scenario.root()), &what);
    }
    assert!(tried > 60, "{tried}");
    println!("{tried} records");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_each_record() {
    killed("before").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_behind_each_record() {
    killed("behind").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_record_of_a_rollback() {
    for fault in ["before", "behind"] {
        for at in 0.. {
            let scenario = Scenario::new().fill().await;
            let before = manifest(&scenario.root());
            let call = scenario.call(&scenario.options);
            engine().deploy(&scenario.component().await, call).await.unwrap();
            if !dies(&scenario, "undo", fault, at) {
                break;
            }
            let report = scenario.roll_back().await;
            assert!(report.is_complete(), "{fault} record {at}: {report}");
            let what = format!("rolling back was killed {fault} record {at}");
            assert_same(&before, &manifest(&scenario.root()), &what);
        }
    }
}
