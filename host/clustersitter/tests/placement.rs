//! Where instances go, with agents: labels, linked jobs, and what is told when nothing has room.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[allow(dead_code, reason = "shared with other tests, which use the rest of it")]
mod fleet;

use cerebro_api::{ClientError, Problem};
use cerebro_model::{Deployment, EventKind, Job, Labels, MachineId};
use fleet::{Fleet, job, request, until};
use serde_json::json;

fn refused<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Problem {
    match result {
        Err(ClientError::Refused(problem)) => problem,
        other => panic!("expected a refusal: {other:?}"),
    }
}

fn named(mut job: Job, name: &str) -> Job {
    job.dns_basename = name.parse().unwrap();
    job
}

fn linked(name: &str, master: &str) -> Job {
    let mut job = named(job(1), name);
    job.linked_job = Some(master.parse().unwrap());
    job.deployment_layout.clear();
    job.task_configuration.cpu = Some(cerebro_model::Cores::from_millis(500));
    job
}

async fn deploy(fleet: &Fleet, job: &Job) -> Deployment {
    fleet.define(job).await;
    fleet.client.deploy(&job.dns_basename, &request("1")).await.unwrap()
}

async fn machine_of(fleet: &Fleet, id: &str) -> Option<MachineId> {
    let tasks = fleet.client.tasks().await.unwrap();
    let found = tasks.iter().find(|task| task.instance.id.as_str() == id)?;
    Some(found.instance.machine.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_where_the_label_is_and_says_so_when_there_is_none() {
    let data = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(data.path(), 2).await;
    let mut picky = job(1);
    picky.placement = serde_json::from_value(json!({ "require": { "disk": ["ssd"] } })).unwrap();
    let deployment = deploy(&fleet, &picky).await;
    let told = until("it is told", || async {
        fleet.client.job(&picky.dns_basename).await.unwrap().problems.pop()
    })
    .await;
    assert!(told.contains("2 are not labelled disk=ssd (nearest m-1)"), "{told}");

    let two: MachineId = "m-2".parse().unwrap();
    let labels = |words: serde_json::Value| serde_json::from_value::<Labels>(words).unwrap();
    let own = labels(json!({ "machine": "m-1" }));
    let problem = refused(fleet.client.label_machine(&two, &own).await);
    assert!(problem.status == 422 && problem.detail.contains("every machine has"), "{problem}");
    let nobody = "m-99".parse().unwrap();
    assert_eq!(refused(fleet.client.label_machine(&nobody, &Labels::new()).await).status, 404);
    let ssd = labels(json!({ "disk": "ssd" }));
    let view = fleet.client.label_machine(&two, &ssd).await.unwrap();
    assert_eq!(view.machine.labels, ssd);
    assert_eq!(fleet.ended(&deployment.id).await.state.word(), "succeeded");
    assert_eq!(machine_of(&fleet, "0.z-1.a.b").await, Some(two));
    let events = fleet.client.events(1000).await.unwrap();
    assert!(events.iter().any(|it| {
        it.kind == EventKind::MachineLabelled && it.message == "m-2 is labelled disk=ssd"
    }));
}

#[tokio::test(flavor = "multi_thread")]
async fn linked_jobs_are_beside_their_master_also_with_another_controller() {
    let data = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(data.path(), 2).await;
    let problem = refused(fleet.client.put_job(&linked("c.d", "a.b"), None).await);
    assert!(problem.status == 422 && problem.detail.contains("apply a.b first"), "{problem}");

    let first = deploy(&fleet, &job(2)).await;
    assert_eq!(fleet.ended(&first.id).await.state.word(), "succeeded");
    for (name, master) in [("c.d", "a.b"), ("e.f", "c.d")] {
        let deployment = deploy(&fleet, &linked(name, master)).await;
        assert_eq!(fleet.ended(&deployment.id).await.state.word(), "succeeded");
        assert_eq!(fleet.client.job(&name.parse().unwrap()).await.unwrap().wanted, 2);
    }
    for number in 0..2 {
        let host = machine_of(&fleet, &format!("{number}.z-1.a.b")).await;
        assert!(host.is_some());
        assert_eq!(machine_of(&fleet, &format!("{number}.z-1.c.d")).await, host);
        assert_eq!(machine_of(&fleet, &format!("{number}.z-1.e.f")).await, host);
    }
    // The machines are full to the last core: a view of that can be read.
    let machines = fleet.client.machines().await.unwrap();
    assert!(machines.iter().all(|view| view.free.cpu == cerebro_model::Cores::ZERO));

    let mut circle = job(2);
    circle.linked_job = Some("e.f".parse().unwrap());
    let problem = refused(fleet.client.put_job(&circle, Some(1)).await);
    assert_eq!(problem.status, 422);
    assert!(
        problem.detail.contains("a.b -> e.f -> c.d -> a.b are linked in a circle"),
        "{problem}"
    );
    let problem = refused(fleet.client.delete_job(&"a.b".parse().unwrap()).await);
    assert!(problem.status == 409 && problem.detail.contains("c.d is linked to it"), "{problem}");

    // What it keeps for its planner is made anew from the store, and nothing moves by it.
    let before = fleet.client.tasks().await.unwrap();
    fleet.stop().await;
    let fleet = Fleet::alone(data.path(), 2).await;
    let fewer = deploy(&fleet, &job(1)).await;
    until("the second ones leave", || async {
        (fleet.client.tasks().await.unwrap().len() == 3).then_some(())
    })
    .await;
    for task in fleet.client.tasks().await.unwrap() {
        let was = before.iter().find(|it| it.instance.id == task.instance.id).unwrap();
        assert_eq!(task.instance.machine, was.instance.machine);
    }
    assert!(fewer.state.is_running());
}
