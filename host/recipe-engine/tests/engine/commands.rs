//! Running programs.

use crate::support::{Machine, component, engine};

async fn run(machine: &Machine, options: serde_json::Value) -> Result<(), String> {
    let call = machine.call(&options.to_string());
    let run = engine().deploy(&component("misbehave").await, call).await;
    run.map_err(|error| error.to_string())
}

fn machine() -> Machine {
    let machine =
        Machine::granting(r#"{"write": ["/opt/app"], "commands": ["/bin/sh", "/bin/none"]}"#);
    std::fs::create_dir_all(machine.path("/opt/app")).unwrap();
    machine
}

#[tokio::test]
async fn output_goes_to_the_log_and_failure_tells_why() {
    let machine = machine();
    let script = "echo $GREETING, $CEREBRO_JOB; echo $HOME >&2; env";
    let argv = ["/bin/sh", "-c", script];
    run(&machine, serde_json::json!({"do": "run", "argv": argv})).await.unwrap();
    assert!(machine.logged("hello, portal.startup.com"));
    assert!(!machine.logged("CARGO"), "the environment is the component's own");

    let argv = ["/bin/sh", "-c", "echo no disk >&2; exit 3"];
    let error = run(&machine, serde_json::json!({"do": "run", "argv": argv})).await.unwrap_err();
    assert!(error.contains("code 3") && error.contains("no disk"), "{error}");
    let argv = ["/bin/sh", "-c", "kill -9 $$"];
    let error = run(&machine, serde_json::json!({"do": "run", "argv": argv})).await.unwrap_err();
    assert!(error.contains("code 137"), "{error}");
}

#[tokio::test]
async fn only_granted_programs_run() {
    let machine = machine();
    for (program, why) in [
        ("/bin/true", r#"add "/bin/true" to `grants.commands`"#),
        ("/bin/none", "no program `/bin/none`"),
        ("sh", "plain absolute path"),
        ("/bin/../bin/sh", "plain absolute path"),
    ] {
        let options = serde_json::json!({"do": "run", "argv": [program]});
        let error = run(&machine, options).await.unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn a_guard_that_holds_spares_the_command() {
    let machine = machine();
    std::fs::write(machine.path("/opt/app/done"), "").unwrap();
    let command = |creates: &str| {
        let argv = ["/bin/sh", "-c", "echo it ran"];
        serde_json::json!({"do": "run", "argv": argv, "creates": [creates]})
    };
    run(&machine, command("/opt/app/done")).await.unwrap();
    assert!(machine.logged("skipped: `/opt/app/done` exists") && !machine.logged("it ran"));
    run(&machine, command("/opt/app/other")).await.unwrap();
    assert!(machine.logged("it ran"));
}

#[tokio::test]
async fn a_command_has_its_own_time_and_cannot_hold_the_call_by_its_pipes() {
    let machine = machine();
    let argv = ["/bin/sh", "-c", "sleep 600"];
    let options = serde_json::json!({"do": "run", "argv": argv, "timeout": 100});
    let error = run(&machine, options).await.unwrap_err();
    assert!(error.contains("was killed after 100ms"), "{error}");
    // The one that stays behind holds stdout open.
    let argv = ["/bin/sh", "-c", "sleep 600 & echo gone"];
    run(&machine, serde_json::json!({"do": "run", "argv": argv})).await.unwrap();
    assert!(machine.logged("gone"));
}
