//! Rollouts with agents: queued, paused, with a canary, and ended.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[allow(dead_code, reason = "shared with other tests, which use the rest of it")]
mod fleet;

use cerebro_api::body::{DeployRequest, PauseDeploymentRequest};
use cerebro_api::{ClientError, Problem};
use cerebro_model::{Deployment, DeploymentId, EventKind, Seconds, WhenBusy};
use fleet::{Fleet, job, request, until};
use serde_json::json;
use std::sync::atomic::Ordering::Relaxed;

fn refused<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Problem {
    match result {
        Err(ClientError::Refused(problem)) => problem,
        other => panic!("expected a refusal: {other:?}"),
    }
}

async fn ask(fleet: &Fleet, version: &str, when: WhenBusy) -> Result<Deployment, ClientError> {
    let asked = DeployRequest { when_busy: Some(when), ..request(version) };
    fleet.client.deploy(&"a.b".parse().unwrap(), &asked).await
}

async fn words(fleet: &Fleet, id: &DeploymentId) -> Vec<(EventKind, String)> {
    let events = fleet.client.events(1000).await.unwrap();
    let of_it = events.into_iter().filter(|event| event.subject.deployment.as_ref() == Some(id));
    of_it.map(|event| (event.kind, event.message)).collect()
}

async fn page(fleet: &Fleet, path: &str) -> String {
    let answer = reqwest::get(format!("{}{path}", fleet.client.base())).await.unwrap();
    answer.text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_waits_for_the_other_and_its_rollback_or_is_refused_or_cancelled() {
    let data = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(data.path(), 1).await;
    *fleet.ways.bad.lock().unwrap() = "9".to_owned();
    fleet.define(&job(2)).await;
    fleet.succeed("1").await;
    fleet.ways.deaf.store(true, Relaxed);
    let bad = fleet.deploy("9").await;
    let problem = refused(ask(&fleet, "2", WhenBusy::Refuse).await);
    assert!(problem.status == 409 && problem.detail.contains("d-2 is running"), "{problem}");
    let next = ask(&fleet, "2", WhenBusy::Queue).await.unwrap();
    let never = ask(&fleet, "3", WhenBusy::Queue).await.unwrap();
    assert_eq!((next.id.as_str(), next.word()), ("d-4", "queued"));
    let problem = refused(fleet.client.roll_back(&next.id).await);
    assert!(problem.status == 409 && problem.detail.contains("waits in the queue"), "{problem}");
    let problem = refused(fleet.client.cancel(&bad.id).await);
    assert!(problem.status == 409 && problem.detail.contains("d-2 is running"), "{problem}");
    assert_eq!(fleet.client.cancel(&never.id).await.unwrap().word(), "cancelled");
    assert!(page(&fleet, "/deployments/d-4").await.contains("It waits until what is on its way"));
    fleet.ways.deaf.store(false, Relaxed);

    let ended = fleet.ended(&next.id).await;
    assert_eq!(ended.word(), "succeeded", "{:?}", ended.state);
    assert_eq!(fleet.client.deployment(&bad.id).await.unwrap().word(), "failed");
    let back = fleet.client.deployment(&DeploymentId::nth(3)).await.unwrap();
    assert_eq!((back.rolls_back, back.state.word()), (Some(bad.id), "succeeded"));
    let tasks = fleet.client.tasks().await.unwrap();
    assert!(tasks.iter().all(|task| task.instance.deployment == next.id), "{tasks:?}");
    let events = fleet.client.events(1000).await.unwrap();
    let at = |words: &str| events.iter().position(|event| event.message.contains(words)).unwrap();
    assert!(at("d-3 of a.b succeeded") < at("d-4 begins, as its turn has come"));
    // What is made next comes after all of them.
    assert_eq!(fleet.succeed("4").await.id, DeploymentId::nth(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_replaces_takes_the_place_of_those_that_wait_too() {
    let data = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(data.path(), 1).await;
    let mut queues = job(1);
    queues.rollout.when_busy = WhenBusy::Queue;
    fleet.define(&queues).await;
    fleet.succeed("1").await;
    fleet.ways.deaf.store(true, Relaxed);
    let (first, second) = (fleet.deploy("2").await, fleet.deploy("3").await);
    assert_eq!(second.word(), "queued", "as its job says");
    let third = ask(&fleet, "4", WhenBusy::Replace).await.unwrap();
    for id in [&first.id, &second.id] {
        assert_eq!(fleet.client.deployment(id).await.unwrap().word(), "superseded");
    }
    fleet.ways.deaf.store(false, Relaxed);
    assert_eq!(fleet.ended(&third.id).await.word(), "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_deployment_stays_where_it_is_also_over_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(data.path(), 1).await;
    fleet.define(&job(2)).await;
    fleet.succeed("1").await;
    fleet.ways.deaf.store(true, Relaxed);
    let id = fleet.deploy("2").await.id;
    let request = |reason: &str, lasts: Option<u64>| PauseDeploymentRequest {
        reason: reason.to_owned(),
        lasts: lasts.map(Seconds::new),
    };
    assert_eq!(refused(fleet.client.pause_deployment(&id, &request(" ", None)).await).status, 422);
    let problem = refused(fleet.client.resume_deployment(&id).await);
    assert!(problem.status == 409 && problem.detail.contains("nothing to resume"), "{problem}");
    let paused = fleet.client.pause_deployment(&id, &request("lunch", None)).await.unwrap();
    assert_eq!(paused.word(), "paused");
    let problem = refused(fleet.client.pause_deployment(&id, &request("again", None)).await);
    assert!(problem.status == 409 && problem.detail.contains("(lunch)"), "{problem}");
    fleet.ways.deaf.store(false, Relaxed);
    assert!(page(&fleet, "/deployments/d-2").await.contains("lunch"));
    fleet.stop().await;

    let fleet = Fleet::alone(data.path(), 1).await;
    let found = fleet.client.deployment(&id).await.unwrap();
    assert_eq!((found.word(), found.pause().unwrap().reason.as_str()), ("paused", "lunch"));
    fleet.client.resume_deployment(&id).await.unwrap();
    fleet.client.pause_deployment(&id, &request("a moment", Some(1))).await.unwrap();
    let resumed = || async {
        let told = words(&fleet, &id).await;
        told.iter()
            .any(|(kind, words)| {
                *kind == EventKind::DeploymentResumed
                    && words.contains("come to its end (a moment)")
            })
            .then_some(())
    };
    until("the pause ends by itself", resumed).await;
    assert_eq!(fleet.client.deployment(&id).await.unwrap().course.pauses.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_waits_for_a_person_and_a_first_deployment_has_none() {
    let data = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(data.path(), 2).await;
    let mut careful = job(4);
    let canary = json!({ "instances": 1, "bake": 0, "promote": "manual" });
    careful.rollout.canary = Some(serde_json::from_value(canary).unwrap());
    fleet.define(&careful).await;
    let first = fleet.succeed("1").await;
    let problem = refused(fleet.client.promote(&first.id).await);
    assert!(problem.status == 409 && problem.detail.contains("can be promoted"), "{problem}");

    let id = fleet.deploy("2").await.id;
    let waits = || async {
        let told = words(&fleet, &id).await;
        told.iter().any(|(kind, _)| *kind == EventKind::DeploymentWaits).then_some(())
    };
    until("it is well, and waits", waits).await;
    let tasks = fleet.client.tasks().await.unwrap();
    let reached = tasks.iter().filter(|task| task.instance.deployment == id).count();
    assert_eq!((reached, fleet.client.deployment(&id).await.unwrap().word()), (1, "canary"));
    assert!(page(&fleet, "/").await.contains("cerebro deployment promote d-2"));
    assert_eq!(fleet.client.promote(&id).await.unwrap().word(), "running");
    assert_eq!(fleet.ended(&id).await.word(), "succeeded");

    // Its failure is taken back, and the others never notice.
    *fleet.ways.bad.lock().unwrap() = "9".to_owned();
    let bad = fleet.deploy("9").await.id;
    assert_eq!(fleet.ended(&bad).await.word(), "failed");
    let back = fleet.ended(&DeploymentId::nth(4)).await;
    assert_eq!((back.rolls_back, back.state.word()), (Some(bad), "succeeded"));
    let tasks = fleet.client.tasks().await.unwrap();
    let spared = tasks.iter().filter(|task| task.instance.deployment == id).count();
    assert_eq!(spared, 3);
}
