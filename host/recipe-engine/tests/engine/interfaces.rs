//! Secrets, what is remembered, what is done at the end, and releases: by a component that walks
//! through them.

use crate::support::{Machine, component, engine};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// What the component's imports need in any case, and whatever else.
fn machine(grants: Value) -> Machine {
    let mut all = json!({"write": ["/opt"], "secrets": ["db.password"]});
    all.as_object_mut().unwrap().extend(grants.as_object().unwrap().clone());
    let machine = Machine::granting(&all.to_string());
    fs::create_dir(machine.path("/opt")).unwrap();
    machine
}

async fn walk(machine: &Machine, options: Value) -> Result<(), String> {
    walk_as(machine, "1.0", options).await
}

async fn walk_as(machine: &Machine, version: &str, options: Value) -> Result<(), String> {
    let call = machine.call_for(version, None, &options.to_string());
    let run = engine().deploy(&component("walk").await, call).await;
    run.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_secret_reaches_the_file_and_no_log() {
    let machine = machine(json!({"secrets": ["db.password", "gone"]}));
    fs::write(machine.dir.path().join("store/secret-db.password"), "correct horse").unwrap();
    let tell = |name: &str| json!({"do": "tell", "name": name, "path": "/opt/db.conf"});
    walk(&machine, tell("db.password")).await.unwrap();
    assert_eq!(machine.text("/opt/db.conf"), "password = correct horse\n");
    let mode = fs::metadata(machine.path("/opt/db.conf")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(machine.logged("is <secret>") && !machine.logged("correct horse"));
    // What is there already is known by its content, not by what stands for it.
    walk(&machine, tell("db.password")).await.unwrap();
    assert!(machine.logged("unchanged: password"));

    let error = walk(&machine, tell("admin")).await.unwrap_err();
    assert!(error.contains(r#"add "admin" to `grants.secrets`"#), "{error}");
    let error = walk(&machine, tell("gone")).await.unwrap_err();
    assert!(error.contains("there is no secret `gone`"), "{error}");
}

#[tokio::test]
async fn what_is_remembered_outlives_the_call() {
    let machine = machine(json!({}));
    let remember = |values: Value| json!({"do": "remember", "values": values});
    walk(&machine, remember(json!({"epoch": "7", "a/../b": "x"}))).await.unwrap();
    walk(&machine, remember(json!({"epoch": "7", "a/../b": null}))).await.unwrap();
    assert!(machine.logged("epoch: unchanged") && machine.logged("a/../b: removed"));
    machine.log.lock().unwrap().clear();
    walk(&machine, remember(json!({"none": null}))).await.unwrap();
    assert!(machine.logged("none: unchanged"));
    assert!(machine.log.lock().unwrap().iter().any(|line| line.message == "known: epoch=7"));

    for (values, why) in [
        (json!({"": "x"}), "a key is 1 to 256 bytes long"),
        (json!({"k".repeat(257): "x"}), "a key is 1 to 256 bytes long"),
        (json!({"big": "x".repeat((64 << 10) + 1)}), "a value is at most 65536 bytes"),
    ] {
        let error = walk(&machine, remember(values)).await.unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn what_is_asked_for_is_done_once_and_outlives_a_failure() {
    let machine = machine(json!({"commands": ["/bin/sh"]}));
    let done = machine.path("/opt/done");
    let line =
        |word: &str| json!(["/bin/sh", "-c", format!("echo {word} >> '{}'", done.display())]);
    let later = |run: Value, fail: bool| json!({"do": "later", "run": run, "fail": fail});

    let asked = json!([line("one"), line("two"), line("one")]);
    walk(&machine, later(asked, false)).await.unwrap();
    assert_eq!(machine.text("/opt/done"), "one\ntwo\n");

    let error = walk(&machine, later(json!([line("three")]), true)).await.unwrap_err();
    assert!(error.contains("it failed after it had asked"), "{error}");
    assert_eq!(machine.text("/opt/done"), "one\ntwo\n");
    walk(&machine, later(json!([]), false)).await.unwrap();
    walk(&machine, later(json!([]), false)).await.unwrap();
    assert_eq!(machine.text("/opt/done"), "one\ntwo\nthree\n");

    // One that fails stops the rest, which is still done once it can be.
    let asked = json!([["/bin/sh", "-c", "exit 9"], line("four")]);
    let error = walk(&machine, later(asked, false)).await.unwrap_err();
    assert!(error.contains("`/bin/sh` ended with code 9"), "{error}");
    assert_eq!(machine.text("/opt/done"), "one\ntwo\nthree\n");
}

#[tokio::test]
async fn what_is_done_later_needs_its_grant_now() {
    let machine = machine(json!({"tasks": ["db"]}));
    for (run, restart, why) in [
        (json!([["/bin/true"]]), json!([]), r#"add "/bin/true" to `grants.commands`"#),
        (json!([]), json!(["cache"]), r#"add "cache" to `grants.tasks`"#),
        (json!([["true"]]), json!([]), "expected a plain absolute path"),
        // Granted, and at the end there is no such task.
        (json!([]), json!(["db"]), "this machine has no task `db`"),
    ] {
        let error = walk(&machine, json!({"do": "later", "run": run, "restart": restart})).await;
        let error = error.unwrap_err();
        assert!(error.contains(why), "{error}");
        let asked = machine.logged("all is asked for");
        assert_eq!(asked, why.contains("no task"), "{why}");
    }
}

#[tokio::test]
async fn releases_are_staged_shared_activated_pruned_and_left() {
    let machine = machine(json!({}));
    let mut tar = tar::Builder::new(Vec::new());
    for (name, text) in [("app", "program"), ("log/old", "shipped by mistake")] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(text.len() as u64);
        tar.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    let artifact = machine.upload(&tar.into_inner().unwrap());
    let stage = json!({"do": "stage", "base": "/opt/app", "artifact": artifact, "keep": 1});
    for version in ["1", "2", "3", "3"] {
        walk_as(&machine, version, stage.clone()).await.unwrap();
    }
    assert_eq!(machine.names("/opt/app/releases"), ["2", "3"]);
    assert!(machine.logged("/opt/app/releases/1: created, created, pruned"));
    assert!(machine.logged("/opt/app/releases/3: created, updated, pruned 1"));
    assert!(machine.logged("/opt/app/releases/3: unchanged, unchanged, pruned"));
    assert!(machine.logged("left: 2 needed, 3 in use"));
    assert_eq!(machine.text("/opt/app/current/app"), "program");

    // What is shared outlives the release, and its own goes for it.
    fs::write(machine.path("/opt/app/current/log/today"), "line").unwrap();
    assert_eq!(machine.names("/opt/app/shared/log"), ["today"]);
    let link = fs::read_link(machine.path("/opt/app/current/config/local")).unwrap();
    assert_eq!(link.to_str(), Some("../../../shared/config/local"));

    let leave = json!({"do": "leave", "base": "/opt/app"});
    walk_as(&machine, "3", leave.clone()).await.unwrap();
    assert_eq!(machine.names("/opt/app"), ["shared"]);
    walk_as(&machine, "3", leave).await.unwrap();

    for (options, version, why) in [
        (stage.clone(), ".hidden", "`.hidden` cannot name a release"),
        (json!({"do": "stage", "base": "/srv/b", "keep": 1}), "1", "`grants.write`"),
        (json!({"do": "leave", "base": "/srv/b"}), "1", "`grants.write`"),
    ] {
        let error = walk_as(&machine, version, options).await.unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}
