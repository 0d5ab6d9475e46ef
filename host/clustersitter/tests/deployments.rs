//! Deployments with agents: what they would do, what they did, and how they are taken back.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod fleet;

use cerebro_api::call::CallState;
use cerebro_api::{ClientError, Problem, paths};
use cerebro_model::{Deployment, EventKind, Job, OnFailure};
use fleet::{Fleet, job, request, until};
use futures::StreamExt;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

fn refused<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Problem {
    match result {
        Err(ClientError::Refused(problem)) => problem,
        other => panic!("expected a refusal: {other:?}"),
    }
}

fn ways(job: &Job, on_failure: OnFailure) -> Job {
    let mut job = job.clone();
    job.rollout.on_failure = on_failure;
    job
}

async fn rollbacks(fleet: &Fleet) -> Vec<Deployment> {
    let all = fleet.client.deployments().await.unwrap();
    all.into_iter().filter(|it| it.rolls_back.is_some()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_deployment_is_taken_back_once_and_tells_what_stays() {
    let data = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(data.path(), 2).await;
    *fleet.ways.bad.lock().unwrap() = "9".to_owned();
    fleet.define(&job(3)).await;

    // Nothing succeeded before it: it stays as it is.
    let first = fleet.deploy("9").await;
    assert_eq!(fleet.ended(&first.id).await.state.word(), "failed");
    assert!(rollbacks(&fleet).await.is_empty());
    let problem = refused(fleet.client.roll_back(&first.id).await);
    assert!(problem.status == 409 && problem.detail.contains("nothing to go back to"), "{problem}");

    let good = fleet.succeed("1").await;
    let bad = fleet.deploy("9").await;
    assert_eq!(fleet.ended(&bad.id).await.state.word(), "failed");
    // It is there as soon as the failure is.
    let [rollback] = &rollbacks(&fleet).await[..] else { panic!("one is expected") };
    assert_eq!(rollback.rolls_back.as_ref(), Some(&bad.id));
    assert_eq!((&rollback.version, rollback.recipe), (&good.version, good.recipe));
    assert_eq!(rollback.job, good.job);
    assert_eq!(fleet.ended(&rollback.id).await.state.word(), "succeeded");

    let told = fleet.client.deployment_calls(&bad.id).await.unwrap();
    assert_eq!(told.silent, []);
    let [call] = &told.calls[..] else { panic!("one instance was tried: {told:?}") };
    assert_eq!(call.state, CallState::RolledBack);
    assert!(call.effects[0].undone && call.effects[1].kept.is_some());
    let tasks = fleet.client.tasks().await.unwrap();
    let spared = tasks.iter().filter(|task| task.instance.deployment == good.id).count();
    assert_eq!(spared, 2, "those that it never came to are left alone");

    let page = |path: String| async move {
        let answer = reqwest::get(path).await.unwrap();
        assert!(answer.headers().contains_key("content-security-policy"));
        answer.text().await.unwrap()
    };
    let of_bad = page(format!("{}/deployments/{}", fleet.client.base(), bad.id)).await;
    for words in ["code 7: no database", "undone", "kept: nobody knows what it did", "d-4"] {
        assert!(of_bad.contains(words), "{words}: {of_bad}");
    }
    assert!(!of_bad.contains("<script"));
    let none = page(format!("{}/deployments/x%3Cb%3E", fleet.client.base())).await;
    assert!(none.contains("no such deployment"));

    let events = fleet.client.events(1000).await.unwrap();
    let words = format!("{} begins, and rolls {} back", rollback.id, bad.id);
    let begun = events.iter().find(|event| event.message.contains(&words)).unwrap();
    assert_eq!(begun.kind, EventKind::DeploymentStarted);
    assert!(begun.message.contains("goes from 9 to 1, as d-2 left it"), "{}", begun.message);
    let failed = events.iter().find(|e| e.seq + 1 == begun.seq).unwrap();
    assert_eq!(failed.kind, EventKind::DeploymentFailed, "nothing comes between the two");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_comes_back_begins_no_second_rollback() {
    let data = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(data.path(), 1).await;
    *fleet.ways.bad.lock().unwrap() = "9".to_owned();
    fleet.define(&job(1)).await;
    fleet.succeed("1").await;
    let bad = fleet.deploy("9").await;
    fleet.ended(&bad.id).await;
    fleet.stop().await;
    let fleet = Fleet::alone(data.path(), 1).await;
    let before = fleet.client.events(1000).await.unwrap().len();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(rollbacks(&fleet).await.len(), 1);
    assert_eq!(fleet.client.events(1000).await.unwrap().len(), before, "it decides nothing anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_it_otherwise_keeps_what_failed_and_may_take_it_back_later() {
    let data = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(data.path(), 1).await;
    *fleet.ways.bad.lock().unwrap() = "9".to_owned();
    fleet.define(&ways(&job(1), OnFailure::Keep)).await;
    let good = fleet.succeed("1").await;
    let bad = fleet.deploy("9").await;
    assert_eq!(fleet.ended(&bad.id).await.state.word(), "failed");
    assert!(rollbacks(&fleet).await.is_empty());

    let problem = refused(fleet.client.roll_back(&good.id).await);
    assert!(problem.status == 409 && problem.detail.contains("d-2 came after it"), "{problem}");
    let problem = refused(fleet.client.roll_back(&"d-77".parse().unwrap()).await);
    assert_eq!(problem.status, 404);
    let rollback = fleet.client.roll_back(&bad.id).await.unwrap();
    assert_eq!(fleet.ended(&rollback.id).await.state.word(), "succeeded");
    assert_eq!((rollback.rolls_back, rollback.version), (Some(bad.id), good.version));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_under_way_is_left_to_end_and_one_that_fails_is_not_rolled_back() {
    let data = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(data.path(), 1).await;
    fleet.define(&job(1)).await;
    fleet.succeed("1").await;
    let second = fleet.succeed("2").await;
    *fleet.ways.bad.lock().unwrap() = "1".to_owned();
    fleet.ways.deaf.store(true, Relaxed);
    let rollback = fleet.client.roll_back(&second.id).await.unwrap();
    let problem = refused(fleet.client.roll_back(&rollback.id).await);
    assert!(problem.status == 409 && problem.detail.contains("a rollback, of d-2"), "{problem}");
    fleet.ways.deaf.store(false, Relaxed);
    assert_eq!(fleet.ended(&rollback.id).await.state.word(), "failed");
    assert_eq!(rollbacks(&fleet).await.len(), 1, "a rollback is not rolled back");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_under_way_may_be_taken_back_at_once() {
    let data = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(data.path(), 1).await;
    fleet.define(&job(1)).await;
    fleet.succeed("1").await;
    fleet.ways.deaf.store(true, Relaxed);
    let second = fleet.deploy("2").await;
    let rollback = fleet.client.roll_back(&second.id).await.unwrap();
    assert_eq!(fleet.ended(&second.id).await.state.word(), "superseded");
    fleet.ways.deaf.store(false, Relaxed);
    assert_eq!(fleet.ended(&rollback.id).await.state.word(), "succeeded");
    assert_eq!(rollbacks(&fleet).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_are_grouped_and_nothing_is_kept() {
    let data = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(data.path(), 2).await;
    let name = "a.b".parse().unwrap();
    assert_eq!(refused(fleet.client.plan(&name, &request("1")).await).status, 404);
    // Two machines of two cores, and a third that may be made: five instances, one of which waits.
    fleet.define(&job(5)).await;
    let report = fleet.client.plan(&name, &request("1")).await.unwrap();
    let of = |group: usize| report.groups[group].instances.len();
    assert_eq!((report.groups.len(), of(0), of(1)), (2, 3, 1), "{report:?}");
    assert_eq!(report.groups[0].digest, report.groups[0].plan.digest());
    assert_eq!(report.waiting[0].instance.as_str(), "4.z-1.a.b");
    assert!(report.waiting[0].why.contains("a machine must be made"), "{report:?}");
    assert_eq!((report.silent.len(), report.exit_code()), (0, 11));
    assert!(fleet.client.deployments().await.unwrap().is_empty());
    assert!(fleet.client.tasks().await.unwrap().is_empty());

    fleet.define(&job(3)).await;
    fleet.succeed("1").await;
    let rude = fleet.client.tasks().await.unwrap()[2].instance.machine.clone();
    *fleet.ways.rude.lock().unwrap() = Some(rude.clone());
    fleet.define(&job(2)).await;
    let report = fleet.client.plan(&name, &request("2")).await.unwrap();
    assert_eq!(report.deployment.version.as_str(), "2");
    assert_eq!((report.leaving.len(), report.leaving[0].as_str()), (1, "2.z-1.a.b"));
    assert!(report.silent.iter().all(|it| it.machine == rude && it.why.contains("upside down")));
    let planned: usize = report.groups.iter().map(|group| group.instances.len()).sum();
    assert_eq!(planned + report.silent.len(), 2);
    assert!(fleet.client.deployments().await.unwrap().len() == 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_agents_keep_is_passed_on_and_their_silence_told() {
    let data = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(data.path(), 1).await;
    fleet.define(&job(2)).await;
    let done = fleet.succeed("1").await;
    let told = fleet.client.deployment_calls(&done.id).await.unwrap();
    assert_eq!(told.calls.len(), 2);
    assert_eq!(told.deployment.state.word(), "succeeded");

    let task = fleet.client.tasks().await.unwrap().remove(0).instance;
    let pieces = fleet.client.recording(&done.id, &task.id).await.unwrap();
    let bytes: Vec<_> = pieces.map(|piece| piece.unwrap()).collect().await;
    assert_eq!(bytes.concat(), [0, 1, 2, 255]);
    let elsewhere = "9.z-1.a.b".parse().unwrap();
    assert_eq!(refused(fleet.client.recording(&done.id, &elsewhere).await.map(drop)).status, 404);

    let found = fleet.client.why(&task.machine, "/etc/a b&c").await.unwrap();
    assert_eq!((found.path.as_str(), found.call), ("/etc/a b&c", 3));
    let problem = refused(fleet.client.why(&task.machine, "/never").await);
    assert!(problem.status == 404 && problem.detail.contains("never wrote"), "{problem}");
    assert_eq!(fleet.client.drift(&task.machine).await.unwrap().len(), 1);
    assert_eq!(refused(fleet.client.drift(&"m-9".parse().unwrap()).await).status, 404);

    *fleet.ways.rude.lock().unwrap() = Some(task.machine.clone());
    let told = fleet.client.deployment_calls(&done.id).await.unwrap();
    assert_eq!((told.calls.len(), told.silent.len()), (0, 2));
    assert!(told.silent[0].why.contains("upside down"), "{told:?}");
    assert_eq!(refused(fleet.client.drift(&task.machine).await).status, 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_names_what_deployments_take() {
    let data = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(data.path(), 0).await;
    let url = format!("{}{}", fleet.client.base(), paths::OPENAPI);
    let description: serde_json::Value =
        until("it is described", || async { reqwest::get(&url).await.ok()?.json().await.ok() })
            .await;
    for path in [
        "/v1/jobs/{job}/plans",
        "/v1/deployments/{id}/rollback",
        "/v1/deployments/{id}/calls",
        "/v1/deployments/{id}/calls/{instance}/recording",
        "/v1/machines/{id}/why",
        "/v1/machines/{id}/drift",
    ] {
        assert!(description["paths"].get(path).is_some(), "{path}");
    }
    for schema in ["PlanReport", "Plan", "DeploymentCalls", "CallReport", "Provenance"] {
        assert!(description["components"]["schemas"].get(schema).is_some(), "{schema}");
    }
}
