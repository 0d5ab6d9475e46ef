use super::*;
use serde_json::{Value, json};

fn task(keys: Value) -> Result<TaskConfiguration, String> {
    let mut all = json!({ "name": "t", "command": "sleep 1" });
    all.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    serde_json::from_value(all).map_err(|error| error.to_string())
}

#[test]
fn every_key_is_taken_and_written_again_as_it_was() {
    let keys = json!({
        "group": "www", "groups": ["adm", 7], "no_new_privileges": true, "cwd": "/srv", "umask": "027",
        "rlimits": { "nofile": { "soft": 1024, "hard": "unlimited" }, "core": 0 },
        "nice": -5, "oom_score_adj": 300, "swap": 0, "pids": 64, "oom": "single",
        "settle": 5, "backoff_first": 0.2, "backoff_max": 60, "flap": { "restarts": 5, "window": 60 },
        "readiness": { "port": "main" }, "ready_within": 30, "watchdog": 5, "reload_signal": "USR1",
        "warn": { "cpu": [80], "mem": [80, 95], "time_limit": [90] }, "hold": { "cpu": 10 },
        "on_violation": { "cpu": "warn", "mem": "kill" }, "poll_interval": 0.5,
        "disable_stat_collection": true, "log_bytes": 4096, "log_files": 0, "log_age": 3600,
        "log_compress": false, "log_when_slow": "drop", "http_monitoring": true,
        "http_monitoring_port": 8080, "keep_http_running": true, "version_file": "/srv/VERSION",
    });
    let read = task(keys.clone()).unwrap();
    assert_eq!(read.umask.unwrap().bits(), 0o027);
    assert_eq!(read.rlimits[&Resource::Nofile].hard(), None);
    assert_eq!(read.rlimits[&Resource::Core].soft(), Some(0));
    assert_eq!(read.swap, Some(Megabytes::ZERO));
    let written = serde_json::to_value(&read).unwrap();
    assert_eq!(serde_json::from_value::<TaskConfiguration>(written.clone()).unwrap(), read);
    for key in keys.as_object().unwrap().keys() {
        assert!(written.get(key).is_some(), "{key} was lost: {written}");
    }
}

#[test]
fn a_file_of_before_is_written_without_new_keys() {
    let written = serde_json::to_value(task(json!({})).unwrap()).unwrap();
    let keys: Vec<&String> = written.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "allow_exit",
            "auto_start",
            "command",
            "ensure_alive",
            "max_restarts",
            "name",
            "restart",
            "stop_grace",
            "stop_signal",
            "uid"
        ]
    );
}

#[test]
fn what_cannot_be_is_refused_with_what_was_expected() {
    for (keys, expected) in [
        (json!({ "umask": "29" }), "expected octal digits"),
        (json!({ "umask": "1000" }), "\"000\" to \"777\""),
        (json!({ "nice": 20 }), "`nice` is 20: expected -20 to 19"),
        (json!({ "oom_score_adj": -1001 }), "expected -1000 to 1000"),
        (json!({ "pids": 0 }), "expected 1 to 4194304"),
        (json!({ "rlimits": { "nofiles": 1 } }), "unknown variant `nofiles`"),
        (json!({ "rlimits": { "nofile": -1 } }), "a number from 0"),
        (json!({ "rlimits": { "nofile": { "soft": 2, "hard": 1 } } }), "expected at most as much"),
        (json!({ "rlimits": { "nofile": { "soft": 2, "hrad": 1 } } }), "unknown field `hrad`"),
        (json!({ "cwd": "srv" }), "expected an absolute path"),
        (json!({ "group": "a:b" }), "is not a user's name"),
        (json!({ "flap": { "restarts": 0, "window": 60 } }), "expected both to be above 0"),
        (json!({ "readiness": "port" }), "expected \"none\", \"notify\" or {\"port\""),
        (json!({ "readiness": { "port": 70000 } }), "expected 1 to 65535"),
        (json!({ "ready_within": 5 }), "expected `readiness`"),
        (json!({ "watchdog": 0 }), "`watchdog` is 0"),
        (json!({ "backoff_first": 9, "backoff_max": 3 }), "at most the other"),
        (json!({ "warn": { "cpu": [101] } }), "at most 100"),
        (json!({ "warn": { "cpus": [80] } }), "unknown field `cpus`"),
        (json!({ "on_violation": { "cpu": "die" } }), "unknown variant `die`"),
        (json!({ "log_bytes": 1 }), "expected 4096 to"),
        (json!({ "http_monitoring": true }), "expected `http_monitoring_port`"),
        (json!({ "cpus": 1 }), "unknown field `cpus`"),
    ] {
        let error = task(keys.clone()).unwrap_err();
        assert!(error.contains(expected), "{keys}: {error}");
    }
}
