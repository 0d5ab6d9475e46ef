//! What a recipe did is taken back on its machine: when it fails, when its agent dies, when a
//! deployment is there for that. And whoever may know is told.

use crate::controller::Controller;
use crate::machine::Machine;
use cerebro_api::call::{self, CallReport, CallState, Provenance};
use cerebro_api::deployment::{PlanGroup, PlanReport};
use cerebro_model::{Assignment, DeploymentId, HeldTo, Instance, InstanceId, Phase, Plan};
use serde_json::{Value, json};

const RUN: &str = "exec sleep 1000";

fn conf(text: &str) -> Value {
    json!({ "write": ["/app.conf", text, null] })
}

fn report(machine: &Machine, n: u64) -> CallReport {
    let id = machine.status().unwrap().id;
    let answer = machine.ask(&call::call(&id, &DeploymentId::nth(n)));
    serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

fn is_at(n: u64) -> impl Fn(&cerebro_model::InstanceStatus) -> bool {
    move |status| status.deployment == Some(DeploymentId::nth(n)) && status.phase == Phase::Healthy
}

#[test]
fn a_recipe_that_fails_leaves_its_machine_as_it_was_and_the_task_running() {
    let controller = Controller::start();
    let machine = Machine::start(&controller);
    controller.desire(1, vec![controller.scripted(1, RUN, json!([conf("one")]))]);
    let first = machine.wait("the first is healthy", is_at(1));
    let steps = json!([conf("two"), {"directory": ["/new", null]}, {"fail": "no licence"}]);
    controller.desire(1, vec![controller.scripted(2, RUN, steps)]);
    let failed = machine.wait("it is given up", |status| status.phase == Phase::Failed);
    let message = &failed.message;
    assert!(message.contains("no licence") && message.ends_with("\nrolled back"), "{message}");
    assert_eq!(machine.text("app.conf"), "one");
    assert!(!machine.has("new") && machine.is_alive(first.pid));

    let told = report(&machine, 2);
    assert_eq!((told.state, told.attempt, told.effects.len()), (CallState::RolledBack, 2, 2));
    assert_eq!(told.error.as_deref(), Some("no licence"));
    assert!(told.effects.iter().all(|effect| effect.undone));
    let diff = told.effects[0].diff.as_deref().unwrap();
    assert!(diff.contains("-one") && diff.contains("+two"), "{diff}");
    assert_eq!(report(&machine, 1).state, CallState::Succeeded);
}

#[test]
fn what_was_cut_off_with_its_agent_is_taken_back_before_the_next_try() {
    let controller = Controller::start();
    let mut machine = Machine::start(&controller);
    controller.desire(1, vec![controller.scripted(1, RUN, json!([conf("one")]))]);
    machine.wait("the first is healthy", is_at(1));
    let steps = json!([conf("two"), {"run": ["/bin/sleep", "5"]}]);
    controller.desire(1, vec![controller.scripted(2, RUN, steps)]);
    machine.wait_for("it has begun", || machine.text("app.conf") == "two");
    machine.kill_agent();
    machine.start_agent();
    controller.wait("it is told", |seen| {
        seen.events.iter().any(|event| event.message.ends_with("(it was cut off)"))
    });
    machine.wait("the second try is healthy", is_at(2));
    let told = report(&machine, 2);
    assert_eq!((told.attempt, told.state), (2, CallState::Succeeded));
    let diff = told.effects[0].diff.as_deref().unwrap();
    assert!(diff.contains("-one"), "it found what the first deployment had left: {diff}");
}

#[test]
fn a_deployment_takes_back_another_and_what_somebody_changed_is_kept_and_told() {
    let controller = Controller::start();
    let machine = Machine::start(&controller);
    controller.desire(1, vec![controller.scripted(1, RUN, json!([conf("one")]))]);
    machine.wait("the first is healthy", is_at(1));
    let steps = json!([
        conf("two"), {"write": ["/extra", "x", null]}, {"write": ["/more", "y", null]},
        {"write": ["/third", "z", null]},
    ]);
    controller.desire(1, vec![controller.scripted(2, RUN, steps)]);
    machine.wait("the second is healthy", is_at(2));

    // Who wrote it, and what has changed since.
    let why: Provenance = serde_json::from_str(&machine.ask("/v1/why?path=/app.conf")).unwrap();
    assert_eq!((why.deployment, why.drift), (DeploymentId::nth(2), None));
    machine.write("more", "mine");
    let drift: Vec<Provenance> = serde_json::from_str(&machine.ask(call::DRIFT)).unwrap();
    assert_eq!(drift.len(), 1, "{drift:?}");
    assert_eq!(
        (drift[0].path.as_str(), drift[0].drift.as_deref()),
        ("/more", Some("it has 4 bytes, not 1"))
    );

    // As long as it was, and as old: its content tells.
    machine.write_unseen("third", "?");
    let drift: Vec<Provenance> = serde_json::from_str(&machine.ask(call::DRIFT)).unwrap();
    assert_eq!(drift.len(), 2, "{drift:?}");
    let third = drift.iter().find(|drift| drift.path == "/third").unwrap();
    assert_eq!(third.drift.as_deref(), Some("its content differs"));
    machine.write_unseen("third", "z");

    let mut back = controller.scripted(3, RUN, json!([conf("one")]));
    back.deployment.rolls_back = Some(DeploymentId::nth(2));
    // It can be asked beforehand what that would do.
    let plan = machine.post(call::PLAN, &serde_json::to_string(&back).unwrap());
    let plan: Plan = serde_json::from_str(&plan).unwrap();
    assert_eq!(plan.exit_code(), 10);
    assert_eq!(machine.text("app.conf"), "two");
    controller.desire(1, vec![back]);
    machine.wait("it is back", is_at(3));
    assert_eq!(machine.text("app.conf"), "one");
    assert!(!machine.has("extra"));
    assert_eq!(machine.text("more"), "mine");
    let told = controller.told("rolled back except: #3 write /more (`/more` was changed since)");
    assert_eq!(told.len(), 1);
}

/// The same for the next instance of the job, which is on the same machine.
fn second(mut assignment: Assignment) -> Assignment {
    let Instance { zone, job, .. } = &assignment.instance;
    assignment.instance.id = InstanceId::new(1, zone, job);
    assignment.instance.number = 1;
    assignment
}

#[test]
fn instances_that_share_files_are_taken_back_newest_first_whosever_turn_it_is() {
    let controller = Controller::start();
    let machine = Machine::start(&controller);
    let both_at = |n: u64| {
        controller.wait(&format!("both are at {n}"), |seen| {
            seen.statuses.len() == 2 && seen.statuses.iter().all(is_at(n))
        });
    };
    let one = || controller.scripted(1, RUN, json!([conf("one")]));
    controller.desire(1, vec![one(), second(one())]);
    both_at(1);
    let two = |text: &str| controller.scripted(2, RUN, json!([conf(text)]));
    controller.desire(1, vec![two("two"), second(one())]);
    machine.wait_for("the first has written", || machine.text("app.conf") == "two");
    controller.desire(1, vec![two("two"), second(two("too"))]);
    both_at(2);
    let back = || {
        let mut back = controller.scripted(3, RUN, json!([]));
        back.deployment.rolls_back = Some(DeploymentId::nth(2));
        back
    };
    // The first is told first, and the second has built on what it left.
    controller.desire(1, vec![back(), second(two("too"))]);
    machine.wait_for("both are taken back", || machine.text("app.conf") == "one");
    controller.desire(1, vec![back(), second(back())]);
    both_at(3);
    assert_eq!(machine.text("app.conf"), "one");
    let told = controller.told("rolled back");
    assert!(told.len() == 2 && !told.concat().contains("except"), "{told:?}");
}

/// The same, held to what it would do now on machine `on`.
fn held(
    controller: &Controller,
    machine: &Machine,
    mut assignment: Assignment,
    on: &str,
    beyond: bool,
) -> Assignment {
    let plan = machine.post(call::PLAN, &serde_json::to_string(&assignment).unwrap());
    let plan: Plan = serde_json::from_str(&plan).unwrap();
    let instance = assignment.instance.id.clone();
    let report = PlanReport {
        deployment: assignment.deployment.clone(),
        groups: vec![PlanGroup::one(instance.clone(), plan)],
        silent: Vec::new(),
        waiting: Vec::new(),
        leaving: Vec::new(),
        machines: [(instance, on.parse().unwrap())].into(),
    };
    let plans = controller.keep(serde_json::to_vec(&report).unwrap());
    assignment.deployment.held_to = Some(HeldTo { plans, beyond });
    assignment
}

#[test]
fn who_is_held_to_a_plan_stops_before_what_is_not_as_it_was_planned() {
    let controller = Controller::start();
    let machine = Machine::start(&controller);
    controller.desire(1, vec![controller.scripted(1, RUN, json!([conf("one")]))]);
    let first = machine.wait("the first is healthy", is_at(1));

    let steps = |text: &str| json!([{"write": ["/extra", "x", null]}, conf(text)]);
    let drifts = controller.scripted(2, RUN, steps("two"));
    let drifts = held(&controller, &machine, drifts, "m-1", false);
    machine.write("app.conf", "mine");
    controller.desire(1, vec![drifts]);
    let failed = machine.wait("it departs", |status| status.phase == Phase::Failed);
    let message = &failed.message;
    for words in [
        "held to plan",
        "#2 `write /app.conf`: `/app.conf` is not as the plan found it, a file of 3 bytes (",
        ", but a file of 4 bytes (",
        ": plan again",
    ] {
        assert!(message.contains(words), "{words}: {message}");
    }
    assert!(message.ends_with("\nrolled back"), "{message}");
    assert_eq!(machine.text("app.conf"), "mine", "it stopped before it");
    assert!(!machine.has("extra") && machine.is_alive(first.pid));
    assert_eq!(report(&machine, 2).attempt, 1, "it is not tried again");

    // Planned anew it does what was planned.
    let planned = controller.scripted(3, RUN, steps("three"));
    controller.desire(1, vec![held(&controller, &machine, planned, "m-1", false)]);
    machine.wait("it is as planned", is_at(3));
    assert_eq!(machine.text("app.conf"), "three");

    // A plan for another machine is none; who may go beyond the plan may do without.
    let moved = controller.scripted(4, RUN, steps("four"));
    controller.desire(1, vec![held(&controller, &machine, moved.clone(), "m-9", false)]);
    let failed = machine.wait("it has no plan", |status| status.phase == Phase::Failed);
    assert!(failed.message.contains("was planned on m-9, and is on m-1 now"), "{failed:?}");
    assert_eq!(machine.text("app.conf"), "three");
    let mut beyond = controller.scripted(5, RUN, steps("five"));
    beyond = held(&controller, &machine, beyond, "m-9", true);
    controller.desire(1, vec![beyond]);
    machine.wait("it goes beyond", is_at(5));
    assert_eq!(machine.text("app.conf"), "five");
}

#[test]
fn a_controller_that_goes_away_while_a_recipe_runs_takes_nothing_back() {
    let mut controller = Controller::start();
    let machine = Machine::start(&controller);
    controller.desire(1, vec![controller.scripted(1, RUN, json!([conf("one")]))]);
    let first = machine.wait("the first is healthy", is_at(1));
    let steps = json!([conf("two"), {"run": ["/bin/sleep", "1"]}]);
    controller.desire(1, vec![controller.scripted(2, RUN, steps)]);
    machine.wait_for("it has begun", || machine.text("app.conf") == "two");
    // From now on connections are refused: there is a way to where it was.
    controller.stop();
    let second = machine.wait("it is deployed all the same", is_at(2));
    assert_ne!(second.pid, first.pid);
    assert_eq!((machine.text("app.conf"), report(&machine, 2).attempt), ("two".to_owned(), 1));
}

#[test]
fn a_release_that_is_flipped_and_does_not_become_healthy_is_flipped_back() {
    let controller = Controller::start();
    let machine = Machine::start(&controller);
    let steps = |version: &str| json!([{"stage": ["/app", version, null]}, {"activate": ["/app", version]}]);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    let checked = |n: u64, version: &str| {
        let mut assignment = controller.scripted(n, RUN, steps(version));
        assignment.instance.ports.insert("main".parse().unwrap(), port);
        let check = json!({ "check": "tcp", "interval": 0.1, "start_grace": 0, "fall": 2 });
        assignment.deployment.job.health_checks = vec![serde_json::from_value(check).unwrap()];
        assignment
    };
    controller.desire(1, vec![checked(1, "1.0")]);
    machine.wait("the first is healthy", is_at(1));
    assert_eq!(machine.link("app/current"), "releases/1.0");
    // What is flipped to now is never healthy.
    drop(free);
    controller.desire(1, vec![checked(2, "2.0")]);
    controller.wait("its check fails", |seen| {
        let task = seen.statuses.first();
        task.is_some_and(|task| task.deployment == Some(DeploymentId::nth(2)) && task.restarts > 0)
    });
    assert_eq!(machine.link("app/current"), "releases/2.0");
    assert_ne!(machine.status().unwrap().phase, Phase::Healthy);

    let _serves = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let mut back = checked(3, "1.0");
    back.deployment.rolls_back = Some(DeploymentId::nth(2));
    controller.desire(1, vec![back]);
    machine.wait("it is back", is_at(3));
    assert_eq!(machine.link("app/current"), "releases/1.0");
    assert!(!machine.has("app/releases/2.0"));
    assert_eq!(report(&machine, 2).state, CallState::RolledBack);
}

#[test]
fn all_that_came_after_what_is_restored_is_taken_back_newest_first() {
    let controller = Controller::start();
    let machine = Machine::start(&controller);
    let step = |n: u64, more: &str| {
        let steps = json!([conf(&n.to_string()), {"write": [format!("/{more}"), more, null]}]);
        controller.desire(n, vec![controller.scripted(n, RUN, steps)]);
        machine.wait("it is healthy", is_at(n));
    };
    [(1, "a"), (2, "b"), (3, "c")].into_iter().for_each(|(n, more)| step(n, more));
    assert!(machine.has("b") && machine.has("c"));
    let steps = json!([conf("1"), {"write": ["/a", "a", null]}]);
    let mut back = controller.scripted(4, RUN, steps);
    back.deployment.rolls_back = Some(DeploymentId::nth(2));
    back.deployment.restores = Some(DeploymentId::nth(1));
    controller.desire(4, vec![back]);
    machine.wait("it is back", is_at(4));
    assert_eq!(machine.text("app.conf"), "1");
    assert!(machine.has("a") && !machine.has("b") && !machine.has("c"));
    for (n, state) in
        [(1, CallState::Succeeded), (2, CallState::RolledBack), (3, CallState::RolledBack)]
    {
        assert_eq!(report(&machine, n).state, state, "{n}");
    }
}

#[test]
fn what_is_in_files_is_told_to_nobody_without_the_token() {
    let controller = Controller::start();
    let machine = Machine::start(&controller);
    controller.desire(1, vec![controller.scripted(1, RUN, json!([conf("one")]))]);
    let id = machine.wait("it is healthy", is_at(1)).id;
    for path in [call::call(&id, &DeploymentId::nth(1)), call::DRIFT.to_owned()] {
        assert_eq!(machine.ask_as(&path, None), 401, "{path}");
        assert_eq!(machine.ask_as(&path, Some("guess")), 401, "{path}");
        assert_eq!(machine.ask_as(&path, Some("secret")), 200, "{path}");
    }
    let recording = call::recording(&id, &DeploymentId::nth(1));
    assert_eq!(machine.ask_as(&recording, Some("secret")), 200);
    let unknown = call::call(&id, &DeploymentId::nth(9));
    assert_eq!(machine.ask_as(&unknown, Some("secret")), 404);
}
