//! Plans and rollbacks as a user calls for them, against a controller that answers by heart.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod controller;

use controller::controller;
use serde_json::{Value, json};
use std::process::{Command, Output};

fn cerebro(server: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_cerebro"))
        .args(["--server", server])
        .args(arguments)
        .output()
        .unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn deployment(id: &str, version: &str, rolls_back: Option<&str>, state: Value) -> Value {
    json!({
        "id": id, "revision": 1, "version": version, "recipe": "0".repeat(64), "checks": {},
        "job": {
            "dns_basename": "a.b", "deployment_recipe": "r",
            "deployment_layout": { "z-1": { "mem": 1, "count": 1 } },
            "task_configuration": { "name": "t", "command": "true" },
        },
        "rolls_back": rolls_back, "state": state, "created_at": "2026-01-01T00:00:00Z",
    })
}

const AT: &str = "2026-01-01T10:00:00.123Z";

fn failed() -> Value {
    json!({ "is": "failed", "at": AT, "reason": "0.z-1.a.b failed on m-1: code 7:\nno database" })
}

fn succeeded() -> Value {
    json!({ "is": "succeeded", "at": AT })
}

/// What the agents say of `d-2`, whose second effect was kept for this reason.
fn calls(kept: Option<Value>) -> Value {
    let write = json!({
        "n": 1, "call": 1, "at": AT, "took": 1200, "do": "write", "path": "/etc/app.conf",
        "diff": "@@ -1 +1 @@\n-port = 80\n+port = 8080\n", "undone": true,
    });
    let mut run = json!({
        "n": 2, "call": 2, "at": AT, "took": 2500, "do": "run", "argv": ["migrate"],
        "undone": kept.is_none(),
    });
    if let Some(kept) = kept {
        run["kept"] = kept;
    }
    let call = json!({
        "instance": "0.z-1.a.b", "deployment": "d-2", "attempt": 2, "component": "c".repeat(64),
        "at": AT, "state": "rolled-back", "error": "no database", "effects": [write, run],
    });
    json!({ "deployment": deployment("d-2", "2", None, failed()), "calls": [call] })
}

/// A controller on which `d-2` failed, and what became of its rollback `d-3`, if there is one.
fn after_failure(rollback: Option<Value>, kept: Option<Value>) -> String {
    let d2 = deployment("d-2", "2", None, failed());
    let mut all = vec![d2.clone(), deployment("d-1", "1", None, succeeded())];
    let d3 = rollback.map(|state| deployment("d-3", "1", Some("d-2"), state));
    all.extend(d3.clone());
    let mut with_sites = calls(kept.clone());
    with_sites["calls"][0]["effects"][1]["site"] = json!(["migrate+0x1a", "deploy+0x7f"]);
    let mut answers = vec![
        ("GET /v1/deployments/d-2/calls?sites=true", with_sites),
        ("POST /v1/jobs/a.b/deployments", d2.clone()),
        ("GET /v1/deployments/d-2", d2),
        ("GET /v1/deployments", Value::Array(all)),
        ("GET /v1/deployments/d-2/calls", calls(kept)),
    ];
    if let Some(d3) = d3 {
        answers.push(("POST /v1/deployments/d-2/rollback", d3.clone()));
        answers.push(("GET /v1/deployments/d-3", d3));
    }
    controller(answers)
}

const DEPLOY: [&str; 5] = ["deploy", "a.b", "--version", "2", "--follow"];

#[test]
fn a_deployment_that_failed_says_so_and_how_its_rollback_went() {
    let opaque = || Some(json!("opaque"));
    for (rollback, kept, code, words) in [
        (Some(succeeded()), None, 7, "d-3 rolled it back: a.b is at 1 again"),
        (
            Some(succeeded()),
            opaque(),
            8,
            "again, except:\n  0.z-1.a.b: #2 run migrate (nobody knows",
        ),
        (Some(failed()), None, 9, "its rollback d-3 failed too: 0.z-1.a.b failed on m-1"),
        (None, None, 6, "no rollback follows: no deployment of its job succeeded before it"),
    ] {
        let base = after_failure(rollback, kept);
        let (exit, _, said) = cerebro(&base, &DEPLOY);
        assert_eq!(exit, Some(code), "{said}");
        assert!(
            said.contains("d-2 failed: 0.z-1.a.b failed on m-1: code 7:\nno database"),
            "{said}"
        );
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn a_rollback_that_was_asked_for_is_followed_too() {
    let arguments = ["deployment", "rollback", "d-2", "--follow"];
    for (state, kept, code, words) in [
        (succeeded(), None, 0, "d-3 rolled d-2 back: a.b is at 1 again"),
        (
            succeeded(),
            Some(json!({ "conflict": "it\u{1b}[2J" })),
            8,
            "#2 run migrate (it\\u{1b}[2J)",
        ),
        (failed(), None, 9, "d-2 is not taken back, or not everywhere"),
    ] {
        let (exit, _, said) = cerebro(&after_failure(Some(state), kept), &arguments);
        assert_eq!(exit, Some(code), "{said}");
        assert!(said.contains(words), "{words}: {said}");
    }
    let (exit, out, _) =
        cerebro(&after_failure(Some(succeeded()), None), &["deployment", "rollback", "d-2"]);
    assert_eq!((exit, out.trim()), (Some(0), "d-3 of a.b: back to 1, rolls d-2 back"));
}

#[test]
fn a_deployment_is_shown_effect_by_effect() {
    let base = after_failure(Some(succeeded()), Some(json!("opaque")));
    let (exit, out, said) = cerebro(&base, &["deployment", "show", "d-2", "--diff"]);
    assert_eq!(exit, Some(0), "{said}");
    let expected = "\
d-2 of a.b to 2: failed
  0.z-1.a.b failed on m-1: code 7:
  no database
  begun 2026-01-01T00:00:00.000Z
  rolled back by d-3, which succeeded

0.z-1.a.b: rolled back (try 2, component cccccccccccc)
  no database
  TIME          #   EFFECT               CALL  TOOK    OUTCOME
  10:00:00.123  #1  write /etc/app.conf  1     1.2 ms  undone
      @@ -1 +1 @@
      -port = 80
      +port = 8080
  10:00:00.123  #2  run migrate          2     2.5 ms  kept: nobody knows what it did, and nothing was given to undo it
";
    assert_eq!(out, expected);
    let (exit, out, said) = cerebro(&base, &["deployment", "show", "d-2", "--sites"]);
    assert_eq!(exit, Some(0), "{said}");
    let expected = "to undo it\n      in migrate+0x1a\n      from deploy+0x7f\n";
    assert!(out.ends_with(expected) && !out.contains("-port"), "{out}");
}

#[test]
fn a_plan_is_shown_kept_and_judged() {
    let line = json!({ "call": 1, "sure": "certain", "do": "write", "path": "/opt/new" });
    let plan = json!({ "component": "c", "lines": [line], "end": "whole" });
    let group =
        json!({ "plan": plan, "digest": "0".repeat(64), "instances": ["0.z-1.a.b", "1.z-1.a.b"] });
    let mut report = json!({ "deployment": deployment("d-2", "2", None, json!({ "is": "running" })), "groups": [group] });
    let base = controller(vec![("POST /v1/jobs/a.b/plans", report.clone())]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("plan.json");
    let file = file.to_str().unwrap();
    let plan = ["deploy", "a.b", "--version", "2", "--plan"];
    let (exit, out, said) = cerebro(&base, &[&plan[..], &["--out", file]].concat());
    assert_eq!(exit, Some(0), "{said}");
    assert!(out.contains("All 2 identical: 0.z-1.a.b, 1.z-1.a.b"), "{out}");
    assert!(out.contains("\n  #1 ~ write /opt/new\n"), "without a terminal, no colours: {out}");
    let kept: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(kept["groups"][0]["instances"][1], "1.z-1.a.b");
    let (exit, out, _) = cerebro(&base, &[&plan[..], &["--exit-code", "--json"]].concat());
    assert_eq!(exit, Some(10));
    assert!(serde_json::from_str::<Value>(&out).is_ok());
    // Without a plan of every agent it is an error, asked or not.
    report["silent"] =
        json!([{ "instance": "2.z-1.a.b", "machine": "m-3", "why": "no connection" }]);
    let base = controller(vec![("POST /v1/jobs/a.b/plans", report)]);
    let (exit, out, _) = cerebro(&base, &plan);
    assert_eq!(exit, Some(1));
    assert!(out.contains("error: 2.z-1.a.b on m-3: no connection"), "{out}");
    let (exit, _, _) = cerebro(&base, &["deploy", "a.b", "--version", "2", "--exit-code"]);
    assert_eq!(exit, Some(2), "only with --plan");
}

#[test]
fn what_is_deployed_by_a_plan_is_what_was_planned() {
    let d2 = deployment("d-2", "2", None, json!({ "is": "running" }));
    let artifact = json!({ "digest": "a".repeat(64), "size": 1 });
    let server = controller(vec![
        ("POST /v1/artifacts", artifact),
        ("POST /v1/jobs/a.b/deployments", d2.clone()),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("plan.json");
    let apply = ["deploy", "a.b", "--apply-plan", file.to_str().unwrap()];
    let (code, _, words) = cerebro(&server, &apply);
    assert!(code == Some(1) && words.contains("cannot read"), "{words}");
    std::fs::write(&file, "[]").unwrap();
    let (code, _, words) = cerebro(&server, &apply);
    assert!(code == Some(1) && words.contains("is no plan"), "{words}");
    assert!(words.contains("--plan --out FILE"), "{words}");
    std::fs::write(&file, json!({ "deployment": d2, "groups": [] }).to_string()).unwrap();
    let (code, out, words) = cerebro(&server, &apply);
    assert_eq!((code, out.trim()), (Some(0), "d-2 of a.b to 2"), "{words}");

    // Without a plan a version must be named; and who goes beyond one must have one.
    assert_eq!(cerebro(&server, &["deploy", "a.b"]).0, Some(2));
    assert_eq!(cerebro(&server, &["deploy", "a.b", "--version", "1", "--beyond-plan"]).0, Some(2));
}
