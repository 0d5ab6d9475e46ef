//! Many calls at once.

use crate::support::{Machine, component, engine};
use cerebro_recipe_engine::CheckStatus;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// More recipes than have a turn wait for the host; a check does not wait for theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_have_turns_of_their_own() {
    let mut machine = Machine::granting(r#"{"write": ["/opt/app"], "commands": ["/bin/true"]}"#);
    machine.limits.wall = Duration::from_secs(600);
    let (machine, mut deployments) = (Arc::new(machine), JoinSet::new());
    let recipe = component("misbehave").await;
    for _ in 0..300 {
        let (recipe, call) = (recipe.clone(), machine.call(r#"{"do": "sleep"}"#));
        deployments.spawn(async move { engine().deploy(&recipe, call).await });
    }
    // They have begun; those without a turn say nothing.
    let begun = || machine.log.lock().unwrap().len();
    let (mut seen, within) = ((begun(), 0), Duration::from_secs(60));
    let settled = async {
        while seen.0 == 0 || seen.1 < 10 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            seen = if begun() == seen.0 { (seen.0, seen.1 + 1) } else { (begun(), 0) };
        }
    };
    timeout(within, settled).await.unwrap();
    assert!(seen.0 < 300, "{} recipes have a turn at once", seen.0);

    let (check, call) = (component("pass").await, Machine::new().call("{}"));
    let report = timeout(within, engine().check(&check, call)).await;
    assert_eq!(report.unwrap().unwrap().status, CheckStatus::Passing);
}

/// A thousand at once: each has its turn, and its whole time from there on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_turn_is_served() {
    let (check, machine) = (component("pass").await, Machine::new());
    let mut checks = JoinSet::new();
    for _ in 0..1000 {
        let (check, call) = (check.clone(), machine.call("{}"));
        checks.spawn(async move { engine().check(&check, call).await.map(|report| report.status) });
    }
    while let Some(done) = checks.join_next().await {
        assert_eq!(done.unwrap().unwrap(), CheckStatus::Passing);
    }
}
