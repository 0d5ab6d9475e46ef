//! The agent as a process of its own, with real task sitters, real tasks and real components; the
//! controller is played over real HTTP.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod alone;
mod controller;
mod http;
mod life;
mod look;
mod machine;
mod rollback;
mod survival;

use cerebro_model::{EventKind, Phase};
use controller::Controller;
use machine::Machine;
use serde_json::json;

#[test]
fn a_task_outlives_its_sitter_its_agent_and_its_controller() {
    let mut controller = Controller::start();
    let mut machine = Machine::start(&controller);
    let assignment = controller.assignment(1, "sleep 1000", json!({}));
    controller.desire(1, vec![assignment]);
    let first = machine.wait("it is healthy", |status| status.phase == Phase::Healthy);
    controller.wait("it is reported", |seen| {
        seen.statuses.iter().any(|status| status.phase == Phase::Healthy && status.pid == first.pid)
    });

    machine.kill(first.pid);
    let second = machine.wait("it is started again", |status| {
        status.phase == Phase::Healthy && status.pid.is_some() && status.pid != first.pid
    });
    let exited = controller.event(EventKind::TaskExited);
    assert!(exited.contains("signal 9") && exited.contains("started again"), "{exited}");

    let sitter = machine.sitter();
    machine.kill(Some(sitter));
    let adopted = controller.event(EventKind::TaskAdopted);
    assert!(adopted.contains(&format!("process {}", second.pid.unwrap())), "{adopted}");
    controller.event(EventKind::SitterDied);
    assert_ne!(machine.sitter(), sitter);

    machine.kill_agent();
    machine.start_agent();
    let same = machine.wait("it is found", |status| status.phase == Phase::Healthy);
    assert_eq!((same.pid, same.restarts), (second.pid, 1));

    controller.stop();
    machine.kill_agent();
    machine.start_agent();
    let same = machine.wait("it goes on alone", |status| status.phase == Phase::Healthy);
    assert_eq!(same.pid, second.pid);
    machine.kill(second.pid);
    machine.wait("it is started again alone", |status| {
        status.phase == Phase::Healthy && status.pid.is_some() && status.pid != second.pid
    });
}

#[test]
fn a_new_deployment_replaces_the_task_and_a_removed_one_leaves_nothing() {
    let controller = Controller::start();
    let machine = Machine::start(&controller);
    let show = "echo version $CEREBRO_VERSION; exec sleep 1000";
    let old = controller.assignment(1, show, json!({}));
    controller.desire(5, vec![old]);
    let first = machine.wait("the first is healthy", |status| status.phase == Phase::Healthy);
    machine.wait_said("stdout", "version 1.0\n");
    assert!(machine.log("recipe").contains("Created"), "{}", machine.log("recipe"));

    controller.desire(5, vec![controller.assignment(2, show, json!({}))]);
    let second = machine.wait("the second is healthy", |status| {
        status.deployment.as_ref().and_then(|id| id.ordinal()) == Some(2)
            && status.phase == Phase::Healthy
    });
    assert_ne!(second.pid, first.pid);
    machine.wait_said("stdout", "version 2.0\n");

    // A controller that was replaced wants everything gone, and is not obeyed; the present one is.
    let asked = controller.desire(4, Vec::new());
    controller.wait("it has asked again", |seen| seen.queries > asked + 1);
    assert_eq!(machine.status().unwrap().pid, second.pid);
    controller.desire(5, Vec::new());
    machine.wait_gone();
    assert!(!machine.is_alive(second.pid));
}

#[test]
fn a_check_that_fails_restarts_the_task_and_a_recipe_that_fails_is_given_up() {
    let controller = Controller::start();
    let machine = Machine::start(&controller);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut assignment = controller.assignment(1, "sleep 1000", json!({}));
    let port = listener.local_addr().unwrap().port();
    assignment.instance.ports.insert("main".parse().unwrap(), port);
    let check = json!({ "check": "tcp", "interval": 0.1, "start_grace": 0.2, "fall": 2 });
    assignment.deployment.job.health_checks = vec![serde_json::from_value(check).unwrap()];
    controller.desire(1, vec![assignment]);
    let first = machine.wait("the check passes", |status| status.phase == Phase::Healthy);
    drop(listener);
    let again = machine.wait("it is started again", |status| {
        status.restarts > 0 && status.pid.is_some() && status.pid != first.pid
    });
    assert_ne!(again.phase, Phase::Healthy);

    controller.desire(1, vec![controller.assignment(2, "sleep 1000", json!({ "do": "fail" }))]);
    let failed = machine.wait("the recipe is given up", |status| status.phase == Phase::Failed);
    assert!(failed.message.contains("try 2 of 2"), "{}", failed.message);
    assert!(failed.message.contains("another planet"), "{}", failed.message);
}

#[test]
fn a_readiness_check_takes_out_of_rotation_and_leaves_the_task_alone() {
    let controller = Controller::start();
    let machine = Machine::start(&controller);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut assignment = controller.assignment(1, "sleep 1000", json!({}));
    assignment.instance.ports.insert("main".parse().unwrap(), address.port());
    let check = json!({
        "check": "tcp", "interval": 0.1, "start_grace": 0, "fall": 2, "kind": "readiness",
    });
    assignment.deployment.job.health_checks = vec![serde_json::from_value(check).unwrap()];
    controller.desire(1, vec![assignment]);
    let first = machine.wait("the check passes", |status| status.phase == Phase::Healthy);
    drop(listener);
    let out = machine.wait("it is out", |status| status.phase == Phase::Unhealthy);
    assert_eq!((out.pid, out.restarts), (first.pid, 0));
    controller.wait("it is told", |seen| {
        seen.events.iter().any(|event| event.message.contains("out of rotation"))
    });
    let _listener = std::net::TcpListener::bind(address).unwrap();
    let again = machine.wait("it is back", |status| status.phase == Phase::Healthy);
    assert_eq!((again.pid, again.restarts), (first.pid, 0));
}

#[test]
fn work_that_ends_well_is_completed() {
    let controller = Controller::start();
    let machine = Machine::start(&controller);
    let mut assignment = controller.assignment(1, "true", json!({}));
    assignment.deployment.job.task_configuration.allow_exit = true;
    controller.desire(1, vec![assignment]);
    let done = machine.wait("it is completed", |status| status.phase == Phase::Completed);
    assert_eq!((done.pid, done.restarts), (None, 0));
}
