//! The life of a task of the machine's own.

use crate::alone::{Alone, kill_hard};
use cerebro_api::machine::{MachineTask, TaskOwner, Wanted};
use cerebro_api::paths::machine_task;
use cerebro_linux::process::Identity;
use cerebro_model::Phase;
use serde_json::json;

fn is_alive(pid: Option<u32>) -> bool {
    Identity::of(pid.unwrap().cast_signed()).is_some()
}

#[test]
fn any_name_lives_a_whole_life() {
    let alone = Alone::start();
    let longest = "é/ ".repeat(64)[..255].to_owned();
    for name in ["plain", "a/b", "a b", "../up", "任务 ☃", "100%", &longest] {
        alone.define(name, "echo \"I run\"; exec sleep 1000", json!({}));
        assert_eq!(alone.task(name).phase, Phase::Stopped, "{name}");
        assert_eq!(alone.act(name, "start").wanted, Some(Wanted::Started));
        let first = alone.wait_healthy(name);
        assert_eq!((first.name.as_str(), first.owner), (name, TaskOwner::Machine));
        assert_eq!(alone.act(name, "start").pid, first.pid, "it runs already");

        alone.act(name, "restart");
        let second = alone.wait(name, "it was started again", |task| {
            task.phase == Phase::Healthy && task.pid.is_some() && task.pid != first.pid
        });
        alone.wait_said(name, "I run");
        let stats = alone.get(&format!("{}/stats?pss=true", machine_task(name)));
        assert!(stats["processes"].as_u64().unwrap() > 0 && stats["pss"].as_u64().is_some());

        let stopped = alone.act(name, "stop");
        assert_eq!((stopped.phase, stopped.wanted), (Phase::Stopped, Some(Wanted::Stopped)));
        assert!(!is_alive(second.pid), "{name}");
        assert_eq!(alone.act(name, "stop").phase, Phase::Stopped, "it does not run already");
        let removed = alone.ask("DELETE", &machine_task(name), "");
        assert_eq!(removed.status, 204, "{name}: {}", removed.body);
        assert_eq!(alone.ask("GET", &machine_task(name), "").status, 404);
    }
    assert_eq!(alone.task_dirs(), [] as [std::path::PathBuf; 0]);
    assert_eq!(alone.get("/v1/tasks"), json!([]));
}

#[test]
fn a_definition_is_replaced_and_counts_from_the_next_start() {
    let alone = Alone::start();
    let put = |query: &str, command: &str| {
        let body = json!({ "name": "t", "command": command, "stop_grace": 1 }).to_string();
        alone.ask("PUT", &format!("/v1/tasks/t{query}"), &body).status
    };
    let says = |what: &str| alone.wait_said("t", what);
    let command = |number: u32| format!("echo I am {number}; exec sleep 1000");
    assert_eq!(put("", &command(1)), 201);
    alone.act("t", "start");
    let first = alone.wait_healthy("t");
    assert_eq!(put("", &command(2)), 200);
    assert_eq!(alone.task("t").pid, first.pid, "it goes on");
    let is_another = |task: &MachineTask| task.phase == Phase::Healthy && task.pid != first.pid;
    alone.act("t", "restart");
    let second = alone.wait("t", "it is the second", is_another);
    says("I am 2");
    assert!(!is_alive(first.pid));
    assert_eq!(put("?restart=true", &command(3)), 200);
    alone.wait("t", "it is the third", |task| {
        task.phase == Phase::Healthy && task.pid != second.pid
    });
    says("I am 3");
    let other = json!({ "name": "u", "command": "true" }).to_string();
    assert_eq!(alone.ask("PUT", "/v1/tasks/t", &other).status, 400);
}

#[test]
fn refusals_are_problems_with_words() {
    let alone = Alone::start();
    alone.define("t", "sleep 1000", json!({}));
    let same = json!({ "name": "t", "command": "sleep 1000", "stop_grace": 1 }).to_string();
    assert_eq!(alone.ask("POST", "/v1/tasks", &same).status, 201, "the same again is no error");
    for (method, path, body, status, words) in [
        ("POST", "/v1/tasks", r#"{"name":"t","command":"true"}"#, 409, "PUT replaces"),
        ("POST", "/v1/tasks", r#"{"name":"u","comand":"true"}"#, 422, "unknown field `comand`"),
        ("POST", "/v1/tasks", r#"{"name":"0.z.a","command":"true"}"#, 422, "an instance's"),
        ("POST", "/v1/tasks", "{", 400, "EOF"),
        ("POST", "/v1/tasks/nobody/start", "", 404, "`nobody`"),
        ("POST", "/v1/tasks/t/explode", "", 400, "explode"),
        ("POST", "/v1/tasks/t/signal", "", 400, "`HUP` or `1`"),
        ("POST", "/v1/tasks/t/reload", "", 409, "does not run"),
        ("GET", "/v1/tasks/t/logs?name=../spec.json", "", 404, "no log file"),
        ("GET", "/nowhere", "", 404, "nothing there"),
        ("PATCH", "/v1/tasks", "", 405, "method"),
    ] {
        let answer = alone.ask(method, path, body);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        assert_eq!(answer.kind, "application/problem+json", "{method} {path}");
        assert!(answer.body.contains(words), "{method} {path}: {}", answer.body);
    }
    let foreign = alone.ask_as(("Origin", "http://evil.example"), "POST", "/v1/tasks/t/start");
    assert_eq!((foreign.status, alone.task("t").phase), (403, Phase::Stopped));
}

#[test]
fn the_originals_endpoints_still_work() {
    let alone = Alone::start();
    let task = json!({ "name": "a b", "command": "echo one; echo two; exec sleep 1000" });
    assert_eq!(alone.ask("POST", "/add_task", &task.to_string()).status, 201);
    assert_eq!(alone.ask("GET", "/start_task?task_name=a+b", "").status, 200);
    let first = alone.wait_healthy("a b");
    let restarted = alone.ask("POST", "/restart_task?task_name=a%20b", "");
    assert_eq!(restarted.status, 200, "{}", restarted.body);
    alone.wait("a b", "it was started again", |task| {
        task.phase == Phase::Healthy && task.pid != first.pid
    });
    alone.wait_said("a b", "two");
    let logs = alone.get("/logs");
    let files: Vec<&str> =
        logs.as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect();
    assert_eq!(files, ["stderr.log", "stdout.log"]);
    let head = alone.ask("GET", "/logfile?task_name=a+b&name=stdout.log&head=1", "");
    assert_eq!(head.body, "one\n");
    let stats = alone.get("/stats");
    assert!(stats["load"].is_array() && stats["mem_total"].as_u64().unwrap() > 0, "{stats}");
    assert_eq!(stats["tasks"][0]["name"], "a b");
    assert!(stats["tasks"][0]["uses"]["rss"].as_u64().unwrap() > 0, "{stats}");
    assert_eq!(stats["tasks"][0]["links"]["stop"], "/v1/tasks/a%20b/stop");
    assert_eq!(alone.ask("GET", "/stop_task?task_name=a+b", "").status, 200);
    assert_eq!(alone.ask("POST", "/remove_task?task_name=a+b", "").status, 204);
    assert_eq!(alone.get("/v1/tasks"), json!([]));
}

#[test]
fn definitions_and_wishes_survive_a_kill_of_the_agent() {
    let mut alone = Alone::start();
    for name in ["runs", "rests", "a/ü"] {
        alone.define(name, "exec sleep 1000", json!({ "auto_start": name == "rests" }));
    }
    let runs = alone.act("runs", "start");
    let other = alone.act("a/ü", "start");
    alone.wait_healthy("runs");
    alone.kill_agent();
    assert!(is_alive(runs.pid) && is_alive(other.pid));
    std::fs::write(alone.data().join("definitions/torn.json"), "{\"name\": \"to").unwrap();
    alone.start_agent();
    assert_eq!(alone.wait_healthy("runs").pid, runs.pid);
    assert_eq!(alone.wait_healthy("a/ü").pid, other.pid);
    // It is no boot, and nobody has asked for it.
    assert_eq!(alone.task("rests").phase, Phase::Stopped);
    alone.wait_event(&["torn.json.bad", "set aside"]);
    assert!(alone.data().join("definitions/torn.json.bad").exists());

    // What was killed meanwhile is started again, and what was stopped is not.
    alone.act("a/ü", "stop");
    alone.kill_agent();
    kill_hard(runs.pid);
    alone.start_agent();
    alone.wait("runs", "it was started again", |task| {
        task.phase == Phase::Healthy && task.pid != runs.pid
    });
    assert_eq!(alone.task("a/ü").phase, Phase::Stopped);
}

#[test]
fn a_task_is_healthy_once_it_says_that_it_is_ready() {
    let alone = Alone::start();
    let gate = alone.data().join("gate");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let number = port.local_addr().unwrap().port();
    drop(port);
    let command = format!(
        "while [ ! -e '{}' ]; do sleep 0.02; done; exec python3 -m http.server --bind 127.0.0.1 {number}",
        gate.display()
    );
    alone.define("t", &command, json!({ "readiness": { "port": number } }));
    let begun = alone.act("t", "start");
    assert_eq!(begun.phase, Phase::Starting, "{begun:?}");
    std::fs::write(&gate, "").unwrap();
    alone.wait_healthy("t");
}
