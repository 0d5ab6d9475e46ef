//! A store that is lost with all that lay beside it: what runs at EC2 goes on, and is taken over.

use crate::controlled::Cloud;
use crate::world::{World, zones};
use cerebro_api::body::{DeployRequest, DrainRequest, TaskView};
use cerebro_api::{Client, ClientError};
use cerebro_model::{EventKind, Job, MachineId, PauseScope};
use cerebro_tests::{component, portal};
use serde_json::json;

/// One instance of the example.
fn job() -> Job {
    let mut job = serde_json::to_value(portal::job().unwrap()).unwrap();
    job["deployment_layout"] = json!({ "aws-us-west-2a": { "mem": 50, "count": 1 } });
    job["rollout"] = json!({ "deadline": 90 });
    serde_json::from_value(job).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_outlives_the_store_and_is_taken_over_with_what_it_runs() {
    let mut world = World::new(&zones(1, 0)).await;
    world.controlled.start();
    let (job, id) = (job(), MachineId::nth(1));
    deploy(&world, &job).await;
    let before = healthy(&world, &job).await;
    assert_eq!(before[0].instance.machine, id);
    let pid = before[0].status.as_ref().unwrap().pid;
    let kept = async || {
        let made = world.amazon.made();
        made.iter().all(|it| it.tags.contains_key("cerebro:agent")).then_some(made.len())
    };
    assert_eq!(world.controlled.until("its agent is known by its tags", kept).await, 1);
    let instance = world.amazon.alive().await[&id][0].id.clone();

    // Its agent obeys the second controller; then all is lost that was beside it, also its notes.
    world.controlled.stop();
    world.controlled.start();
    healthy(&world, &job).await;
    world.controlled.stop();
    world.controlled.begin_anew();
    world.controlled.start();
    // Another one is made, by another name, and this one is left alone until somebody says so.
    let active = async || world.controlled.active().await.filter(|it| it.len() == 1);
    let others = world.controlled.until("another machine has joined", active).await;
    assert!(!others.contains(&id), "{others:?}");
    let client = &world.controlled.client;
    // A machine of no intent that was kept anywhere is not taken over.
    match client.adopt_machine(&"m-77".parse().unwrap(), "lost").await {
        Err(ClientError::Refused(problem)) => assert_eq!(problem.status, 404, "{problem}"),
        other => panic!("{other:?}"),
    }
    client.adopt_machine(&id, "the store was lost").await.unwrap();
    let joined = async || world.controlled.told(EventKind::MachineJoined, &id).await;
    world.controlled.until("it has joined", joined).await;
    let after = healthy(&world, &job).await;
    assert_eq!(after[0].instance.machine, id);
    assert_eq!(after[0].status.as_ref().unwrap().pid, pid, "nothing was started again");
    let machine = client.machine(&id).await.unwrap().machine;
    assert_eq!(machine.zone.as_str(), "aws-us-west-2a");
    assert_eq!((machine.capacity.cpu.millis(), machine.capacity.mem.get()), (2000, 3500));

    // It is a machine as any other then: once components are there again, what it runs moves, and its instance is ended.
    upload(client).await;
    client.resume(&PauseScope::Job(job.dns_basename.clone()), "test").await.unwrap();
    client.unlock_machine(&id).await.unwrap();
    client.remove_machine(&id, &DrainRequest::default()).await.unwrap();
    let moved = async || {
        let tasks = world.controlled.healthy(&job.dns_basename, 1).await?;
        (tasks[0].instance.machine != id).then_some(())
    };
    world.controlled.until("another one runs it", moved).await;
    let terminated = async || world.controlled.told(EventKind::MachineTerminated, &id).await;
    world.controlled.until("it is ended", terminated).await;
    assert!(!world.amazon.alive().await.contains_key(&id), "{instance} is forgotten, and runs");
    world.assert_others_untouched();
}

/// What is not on machines as such; the artifact's digest.
async fn upload(client: &Client) -> String {
    for (name, file) in [("mystartup.recipes.deploy", "release"), ("http-check", "http_check")] {
        client.put_recipe(&name.parse().unwrap(), component(file).unwrap()).await.unwrap();
    }
    client.post_artifact(portal::artifact().unwrap()).await.unwrap().digest.to_string()
}

async fn deploy(world: &World, job: &Job) {
    let client = &world.controlled.client;
    let active = async || world.controlled.active().await.filter(|it| it.len() == 1);
    world.controlled.until("a machine has joined", active).await;
    let artifact = upload(client).await;
    client.put_job(job, None).await.unwrap();
    let options = [("artifact".to_owned(), artifact.into())];
    let request = DeployRequest::new("1.0".parse().unwrap(), options.into_iter().collect());
    client.deploy(&job.dns_basename, &request).await.unwrap();
}

/// The one task of a job, once it is healthy.
async fn healthy(world: &World, job: &Job) -> Vec<TaskView> {
    let healthy = async || world.controlled.healthy(&job.dns_basename, 1).await;
    world.controlled.until("it is healthy", healthy).await
}
