//! Many calls at once.

use crate::support::{Machine, component, engine};
use cerebro_model::Digest;
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

/// A recipe of 13 memories that says so once it runs, and then computes without end.
const LARGE: &str = r#"(component
    (import "cerebro:recipe/log@0.1.0" (instance $log
        (type $enum (enum "trace" "debug" "info" "warn" "error"))
        (export "level" (type $level (eq $enum)))
        (export "write" (func (param "level" $level) (param "message" string)))))
    (core module $memory (memory (export "memory") 1) (data (i32.const 0) "begun"))
    (core instance $shared (instantiate $memory))
    (core func $write (canon lower (func $log "write") (memory (core memory $shared "memory"))))
    (core module $more (memory 1))
    MORE
    (core module $m
        (import "host" "write" (func $write (param i32 i32 i32)))
        (func (export "f") (result i32)
            (call $write (i32.const 2) (i32.const 0) (i32.const 5))
            (loop $l (br $l)) unreachable))
    (core instance $i (instantiate $m (with "host" (instance (export "write" (func $write))))))
    (func $f (result (result (error string))) (canon lift (core func $i "f")
        (memory (core memory $shared "memory"))))
    (export "deploy" (func $f)) (export "undeploy" (func $f)))"#;

/// Recipes that are as large as may be leave the checks' places alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_recipes_take_no_place_of_a_check() {
    let mut machine = Machine::new();
    machine.limits.wall = Duration::from_secs(600);
    let (machine, mut deployments) = (Arc::new(machine), JoinSet::new());
    let bytes =
        wat::parse_str(LARGE.replace("MORE", &"(core instance (instantiate $more))".repeat(12)));
    let bytes = bytes.unwrap();
    let recipe = engine().compile(Digest::of(&bytes), bytes).await.unwrap();
    for _ in 0..40 {
        let (recipe, call) = (recipe.clone(), machine.call("{}"));
        deployments.spawn(async move { engine().deploy(&recipe, call).await });
    }
    let begun = || machine.log.lock().unwrap().len();
    let within = Duration::from_secs(60);
    let some = async {
        while begun() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(within, some).await.unwrap();
    // As many checks at once as there may be.
    let (check, quiet, mut checks) = (component("pass").await, Machine::new(), JoinSet::new());
    for _ in 0..192 {
        let (check, call) = (check.clone(), quiet.call("{}"));
        checks.spawn(async move { engine().check(&check, call).await.map(|report| report.status) });
    }
    while let Some(done) = timeout(within, checks.join_next()).await.unwrap() {
        assert_eq!(done.unwrap().unwrap(), CheckStatus::Passing);
    }
    assert!(begun() * 13 <= 64, "{} recipes of 13 memories run at once", begun());
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
