//! Deployments with agents: what they would do, what they did, and how they are taken back.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[allow(dead_code, reason = "shared with other tests, which use the rest of it")]
mod fleet;

use cerebro_api::body::DeployRequest;
use cerebro_api::call::CallState;
use cerebro_api::deployment::PlanReport;
use cerebro_api::{ClientError, Problem, paths};
use cerebro_model::{
    Deployment, Digest, EventKind, HeldTo, Job, MachineId, OnFailure, PlanEnd, ZoneChange,
};
use fleet::{Fleet, job, request, until};
use futures::StreamExt;
use std::sync::atomic::Ordering::Relaxed;

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

    let told = fleet.client.deployment_calls(&bad.id, Default::default()).await.unwrap();
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
    for nothing in ["x%3Cb%3E", "d-999/plan"] {
        let none = page(format!("{}/deployments/{nothing}", fleet.client.base())).await;
        assert!(none.contains("no such deployment"));
    }
    let planned = page(format!("{}/deployments/{}/plan", fleet.client.base(), bad.id)).await;
    for words in ["if it were made again now", "write /opt/9", "write /opt/first", "2 instances"] {
        assert!(planned.contains(words), "{words}: {planned}");
    }

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
    // What it decides of a machine that is wanted now shows that it has looked.
    let more = ZoneChange { min: Some(2), ..ZoneChange::default() };
    fleet.client.change_zone(&"z-1".parse().unwrap(), &more).await.unwrap();
    until("it decides", || async { fleet.machines.has(&MachineId::nth(2)).then_some(()) }).await;
    assert_eq!(rollbacks(&fleet).await.len(), 1);
    let events = fleet.client.events(1000).await.unwrap();
    let begun = events.iter().filter(|it| it.kind == EventKind::DeploymentStarted).count();
    assert_eq!(begun, 3, "the first, the bad one and its rollback: it begins nothing anew");
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
    assert!(problem.status == 409 && problem.detail.contains("nothing to go back to"), "{problem}");
    let problem = refused(fleet.client.roll_back(&"d-77".parse().unwrap()).await);
    assert_eq!(problem.status, 404);
    let rollback = fleet.client.roll_back(&bad.id).await.unwrap();
    assert_eq!(fleet.ended(&rollback.id).await.state.word(), "succeeded");
    assert_eq!((rollback.rolls_back, rollback.version), (Some(bad.id), good.version));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_older_one_goes_all_that_came_after_it() {
    let data = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(data.path(), 1).await;
    fleet.define(&job(2)).await;
    let [first, second, third] =
        [fleet.succeed("1").await, fleet.succeed("2").await, fleet.succeed("3").await];
    let rollback = fleet.client.roll_back(&second.id).await.unwrap();
    assert_eq!((&rollback.rolls_back, &rollback.restores), (&Some(second.id), &Some(first.id)));
    assert_eq!(fleet.ended(&rollback.id).await.state.word(), "succeeded");
    let tasks = fleet.client.tasks().await.unwrap();
    assert!(tasks.iter().all(|task| task.instance.deployment == rollback.id), "{tasks:?}");
    let events = fleet.client.events(1000).await.unwrap();
    let words = format!("rolls d-2 back and what came after it, {}", third.id);
    assert!(events.iter().any(|event| event.message.contains(&words)), "{events:?}");
    // That can be taken back too: then there is what was there last.
    let again = fleet.client.roll_back(&rollback.id).await.unwrap();
    assert_eq!((again.version, again.restores), (third.version, Some(third.id)));
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

/// The request to deploy what was planned.
async fn held_to(fleet: &Fleet, report: &PlanReport, beyond: bool) -> DeployRequest {
    let uploaded = fleet.client.post_artifact(serde_json::to_vec(report).unwrap()).await.unwrap();
    let held = HeldTo { plans: uploaded.digest, beyond };
    DeployRequest { apply_plan: Some(held), ..request(report.deployment.version.as_str()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_is_held_to_its_plan_and_what_follows_is_not() {
    let data = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(data.path(), 1).await;
    let name = "a.b".parse().unwrap();
    fleet.define(&job(2)).await;
    let mut asked = request("1");
    asked.options.insert("colour".to_owned(), "red".into());
    let report = fleet.client.plan(&name, &asked).await.unwrap();
    assert_eq!(report.machines.len(), 2, "{report:?}");
    let request = held_to(&fleet, &report, false).await;
    fleet.ways.deaf.store(true, Relaxed);
    let held = fleet.client.deploy(&name, &request).await.unwrap();
    assert_eq!(held.job.recipe_options["colour"], "red", "its options are those of the plan");
    assert_eq!(held.held_to, request.apply_plan);
    let page = format!("{}/deployments/{}/plan", fleet.client.base(), held.id);
    let page = reqwest::get(page).await.unwrap().text().await.unwrap();
    assert!(page.contains("the deployment was held to it"), "{page}");
    let (client, ways) = (&fleet.client, &fleet.ways);
    let told = || ways.told.lock().unwrap().iter().cloned().collect::<Vec<_>>();
    ways.deaf.store(false, Relaxed);
    assert_eq!(fleet.ended(&held.id).await.state.word(), "succeeded");
    assert!(told().contains(&(held.id.clone(), true)), "{:?}", told());
    // Who is deployed from now on has no plan to be held to.
    until("it is bound no longer", || async {
        told().contains(&(held.id.clone(), false)).then_some(())
    })
    .await;

    *ways.bad.lock().unwrap() = "2".to_owned();
    let bad = client.deploy(&name, &fleet::request("2")).await.unwrap();
    assert_eq!(fleet.ended(&bad.id).await.state.word(), "failed");
    let [rollback] = &rollbacks(&fleet).await[..] else { panic!("one is expected") };
    assert_eq!(rollback.held_to, None, "it is made of the one that was held");
    assert_eq!(rollback.job, held.job);
    let events = client.events(1000).await.unwrap();
    let words = format!("goes to 1, held to plan {}", request.apply_plan.unwrap().plans.short());
    assert!(events.iter().any(|event| event.message.contains(&words)), "{words}");

    // Plan and deployment are kept together, over the end of the controller too.
    fleet.stop().await;
    let fleet = Fleet::alone(data.path(), 1).await;
    let kept = fleet.client.deployment(&held.id).await.unwrap().held_to.unwrap();
    let pieces: Vec<_> = fleet.client.blob(&kept.plans).await.unwrap().collect().await;
    let bytes: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.unwrap()).collect();
    assert_eq!(serde_json::from_slice::<PlanReport>(&bytes).unwrap(), report);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_not_of_what_is_there_now_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(data.path(), 1).await;
    let name = "a.b".parse().unwrap();
    let refusal = async |request: DeployRequest| {
        refused(fleet.client.deploy(&"a.b".parse().unwrap(), &request).await)
    };
    let conflict = async |report: &PlanReport, words: &str| {
        let problem = refusal(held_to(&fleet, report, false).await).await;
        assert!(problem.status == 409 && problem.detail.contains(words), "{words}: {problem}");
    };
    fleet.define(&job(2)).await;
    let good = fleet.client.plan(&name, &request("1")).await.unwrap();

    let missing = HeldTo { plans: Digest::of(b"nothing"), beyond: false };
    let problem = refusal(DeployRequest { apply_plan: Some(missing), ..request("1") }).await;
    assert!(problem.status == 422 && problem.detail.contains("no plans were uploaded"));
    let strange = fleet.client.post_artifact("{}").await.unwrap();
    let strange = HeldTo { plans: strange.digest, beyond: true };
    let problem = refusal(DeployRequest { apply_plan: Some(strange), ..request("1") }).await;
    assert!(problem.status == 422 && problem.detail.contains("missing field"), "{problem}");

    let held = held_to(&fleet, &good, false).await;
    let problem = refusal(DeployRequest { version: "2".parse().unwrap(), ..held.clone() }).await;
    assert!(problem.detail.contains("version 2 was asked for, and 1 was planned"), "{problem}");
    let mut other = held.clone();
    other.options.insert("colour".to_owned(), "red".into());
    assert!(refusal(other).await.detail.contains("the option `colour`"));
    let of_plan = refused(fleet.client.plan(&name, &held).await);
    assert!(of_plan.status == 422 && of_plan.detail.contains("`apply_plan`"), "{of_plan}");

    let mut forged = good.clone();
    forged.groups[0].plan.lines.clear();
    conflict(&forged, "was changed since it was made").await;
    let mut elsewhere = good.clone();
    elsewhere.machines.values_mut().for_each(|machine| *machine = MachineId::nth(9));
    conflict(&elsewhere, "was planned on m-9, and is on m-1 now").await;
    let mut fails = good.clone();
    fails.groups[0].plan.end = PlanEnd::Fails("no licence".to_owned());
    fails.groups[0].digest = fails.groups[0].plan.digest();
    conflict(&fails, "would fail for").await;
    let mut cut = good.clone();
    cut.groups[0].plan.end = PlanEnd::Cut("it asked".to_owned());
    cut.groups[0].digest = cut.groups[0].plan.digest();
    conflict(&cut, "is cut, since it asked").await;
    let mut component = good.clone();
    component.deployment.recipe = Digest::of(b"another");
    conflict(&component, "`r` was uploaded anew").await;
    let mut redefined = good.clone();
    redefined.deployment.job.persistent = false;
    conflict(&redefined, "not as it was planned").await;
    assert!(fleet.client.deployments().await.unwrap().is_empty(), "nothing was deployed");

    // More instances than were planned: refused, unless it may go beyond.
    fleet.define(&job(3)).await;
    conflict(&good, "was changed since it was planned, from revision 1 to 2").await;
    let three = fleet.client.plan(&name, &request("1")).await.unwrap();
    assert_eq!(three.waiting.len(), 1);
    conflict(&three, "2.z-1.a.b has no place yet").await;
    let beyond = fleet.client.deploy(&name, &held_to(&fleet, &three, true).await).await.unwrap();
    assert_eq!(beyond.held_to.map(|held| held.beyond), Some(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_agents_keep_is_passed_on_and_their_silence_told() {
    let data = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(data.path(), 1).await;
    fleet.define(&job(2)).await;
    let done = fleet.succeed("1").await;
    let told = fleet.client.deployment_calls(&done.id, Default::default()).await.unwrap();
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
    let told = fleet.client.deployment_calls(&done.id, Default::default()).await.unwrap();
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
