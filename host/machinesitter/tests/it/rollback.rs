//! What a recipe did is taken back on its machine: when it fails, when its agent dies, when a
//! deployment is there for that. And whoever may know is told.

use crate::controller::Controller;
use crate::machine::Machine;
use cerebro_api::call::{self, CallReport, CallState, Provenance};
use cerebro_model::{DeploymentId, Phase, Plan};
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
    let steps = json!([conf("two"), {"run": ["/bin/sleep", "2"]}]);
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
    let steps =
        json!([conf("two"), {"write": ["/extra", "x", null]}, {"write": ["/more", "y", null]}]);
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
