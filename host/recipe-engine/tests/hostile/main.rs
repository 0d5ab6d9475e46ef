//! Components and inputs that mean harm, one after the other in one process, as an agent would meet
//! them: each ends as it should and within its time, memory stays within the budget, nothing is left
//! behind, no secret is told, and a check that runs meanwhile keeps its schedule.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod archives;
mod computing;
mod ground;
mod hosts;
mod neighbour;
mod network;
mod paths;
#[path = "../engine/support.rs"]
#[allow(dead_code, reason = "shared with another test")]
mod support;
mod traces;

use cerebro_model::Digest;
use ground::{Case, Ground, LITTLE_TIME, OUT_OF_TIME, Run};
use neighbour::Neighbour;
use std::time::{Duration, Instant};
use support::{engine, guest};

/// However slow the machine is: a case that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(60);
/// What the process may grow by during a case, in bytes: the component's own memory, which is
/// [`ground::MEMORY`], and what the host needs for it.
const BUDGET: u64 = 256 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn harm_is_met() {
    let only = std::env::var("ONLY").unwrap_or_default();
    let cases =
        [computing::cases(), hosts::cases(), paths::cases(), archives::cases(), network::cases()];
    let neighbour = Neighbour::start().await;
    // What is made once is there before anything is counted.
    let bytes = guest("hostile");
    engine().compile(Digest::of(&bytes), bytes).await.unwrap();
    let (mut count, mut bad) = (0, Vec::new());
    for case in cases.into_iter().flatten().filter(|case| case.name.contains(&only)) {
        count += 1;
        let before = traces::Traces::take();
        let begun = Instant::now();
        let wrong = match tokio::time::timeout(LONGEST, run(&case)).await {
            Ok(wrong) => wrong,
            Err(_) => Some("it does not end".to_owned()),
        };
        let took = begun.elapsed();
        let left = before.compare(BUDGET).await;
        for wrong in wrong.into_iter().chain(left) {
            bad.push(format!("{} ({took:?}): {wrong}", case.name));
        }
    }
    println!("{count} cases; {}", neighbour.end().await);
    assert!(bad.is_empty(), "{} of {count}:\n{}", bad.len(), bad.join("\n"));
    assert!(count >= 60 || !only.is_empty(), "there are only {count} cases");
}

/// What is wrong with how a case ended.
async fn run(case: &Case) -> Option<String> {
    let mut ground = Ground::new();
    if case.expect == Some(OUT_OF_TIME) {
        ground.machine.limits.wall = LITTLE_TIME;
    }
    let (bytes, options) = match &case.run {
        Run::Hostile(prepare) => (guest("hostile"), prepare(&mut ground).to_string()),
        Run::Misbehave(options) => (guest("misbehave"), (*options).to_owned()),
        Run::Component(make) => (make(), "{}".to_owned()),
    };
    let call = ground.machine.call(&options);
    let said = match engine().compile(Digest::of(&bytes), bytes).await {
        Err(error) => Err(traces::words(&error)),
        Ok(component) => engine().deploy(&component, call).await.map_err(|e| traces::words(&e)),
    };
    let told: Vec<_> =
        ground.machine.log.lock().unwrap().iter().map(|line| line.message.clone()).collect();
    let all = said.as_ref().err().into_iter().chain(&told);
    if let Some(line) = all.clone().find(|line| traces::holds_secret(line)) {
        return Some(format!("a secret is told: {line}"));
    }
    if let Some(line) = all.clone().find(|line| line.len() > 80 << 10) {
        return Some(format!("{} bytes are said at once", line.len()));
    }
    let ended = match (&said, case.expect) {
        (Ok(()), None) => None,
        (Ok(()), Some(part)) => Some(format!("it went well, rather than fail with `{part}`")),
        (Err(error), None) => Some(format!("it failed: {error}")),
        (Err(error), Some(part)) if error.contains(part) => None,
        (Err(error), Some(part)) => {
            let error = if error.len() > 800 {
                &error[error.floor_char_boundary(error.len() - 400)..]
            } else {
                error
            };
            Some(format!("not `{part}`, but: {error}"))
        }
    };
    ended.or_else(|| (case.after)(&ground))
}
