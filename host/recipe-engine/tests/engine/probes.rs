//! Our own health checks, on programs, the task and the disk.

use crate::support::{Machine, component, engine};
use cerebro_recipe_engine::{CheckReport, CheckStatus};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

async fn check(machine: &Machine, name: &str, options: &Value) -> Result<CheckReport, String> {
    let call = machine.call(&options.to_string());
    let check = engine().check(&component(name).await, call).await;
    check.map_err(|error| error.to_string())
}

fn metric(report: &CheckReport, name: &str) -> f64 {
    let found = report.metrics.iter().find(|metric| metric.name == name);
    found.unwrap_or_else(|| panic!("no `{name}` in {report:?}")).value
}

/// Debian's plugins, as `monitoring-plugins-basic` brings them.
fn plugin(name: &str) -> Option<String> {
    let path = format!("/usr/lib/nagios/plugins/{name}");
    let is_there = std::path::Path::new(&path).exists();
    if !is_there {
        eprintln!("skipped: this machine has no `{path}`; install monitoring-plugins-basic");
    }
    is_there.then_some(path)
}

fn granting_commands() -> Machine {
    Machine::granting(r#"{"commands": ["/usr/lib/nagios/plugins/**", "/opt/check"]}"#)
}

/// A plugin of the test's own.
fn script(machine: &Machine, text: &str) {
    let path = machine.path("/opt/check");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn a_real_plugins_codes_are_states() {
    let Some(plugin) = plugin("check_dummy") else { return };
    let machine = granting_commands();
    for (code, status, message) in [
        ("0", CheckStatus::Passing, "OK: portal.startup.com"),
        ("1", CheckStatus::Warning, "WARNING: portal.startup.com"),
        ("2", CheckStatus::Critical, "CRITICAL: portal.startup.com"),
        ("3", CheckStatus::Critical, "unknown: UNKNOWN: portal.startup.com"),
    ] {
        let options = json!({"plugin": plugin, "args": [code, "{{ job }}"]});
        let report = check(&machine, "nagios", &options).await.unwrap();
        assert_eq!((report.status, report.message.as_str()), (status, message));
    }
}

#[tokio::test]
async fn a_real_plugins_figures_are_metrics_in_base_units() {
    let Some(plugin) = plugin("check_disk") else { return };
    let options = json!({"plugin": plugin, "args": ["-w", "1", "-c", "0", "-p", "/", "-u", "MB"]});
    let report = check(&granting_commands(), "nagios", &options).await.unwrap();
    let used = report.metrics.iter().find(|metric| metric.name == "/").unwrap();
    assert_eq!(used.unit, "B");
    let most = metric(&report, "/_max");
    // A megabyte at least, whatever unit the plugin wrote it in.
    assert!(used.value > 1e6 && used.value <= most, "{report:?}");
}

#[tokio::test]
async fn a_plugin_that_does_not_keep_the_rules_is_critical_and_named() {
    let machine = granting_commands();
    let within = |seconds: f64| json!({"plugin": "/opt/check", "timeout": seconds});
    for (text, message) in [
        ("exit 0", "the plugin wrote nothing"),
        ("echo torn >&2; exit 2", "torn"),
        ("echo well; exit 42", "the plugin ended with code 42, which has no meaning: well"),
    ] {
        script(&machine, text);
        let report = check(&machine, "nagios", &within(20.0)).await.unwrap();
        assert_eq!(report.message, message);
    }
    script(&machine, "sleep 600");
    let error = check(&machine, "nagios", &within(0.2)).await.unwrap_err();
    assert!(error.contains("`/opt/check` was killed after 200ms"), "{error}");
}

#[tokio::test]
async fn what_a_plugin_cannot_be_asked_is_told() {
    for (options, why) in [
        (json!({}), "the options don't fit: missing field `plugin`"),
        (json!({"plugin": "/opt/check", "arg": []}), "unknown field `arg`"),
        (json!({"plugin": "/bin/true"}), r#"add "/bin/true" to `grants.commands`"#),
        (json!({"plugin": "/opt/check"}), "this machine has no program `/opt/check`"),
        (json!({"plugin": "/opt/check", "args": ["{{ prot }}"]}), "`prot` has no value"),
        (json!({"plugin": "/opt/check", "user": "no-such-user"}), "`no-such-user`"),
    ] {
        let error = check(&granting_commands(), "nagios", &options).await.unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn the_task_is_measured_and_bounded() {
    let machine = Machine::new();
    let report = check(&machine, "process_check", &json!({})).await.unwrap();
    assert_eq!(report.status, CheckStatus::Passing, "{report:?}");
    assert_eq!(metric(&report, "cpu_cores"), 0.5);
    assert_eq!(metric(&report, "resident"), f64::from(64 << 20));
    assert_eq!((metric(&report, "restarts"), metric(&report, "age")), (2.0, 90.0));

    for (options, status, why) in [
        (json!({"restarts": {"warning": 1}}), CheckStatus::Warning, "`restarts` is 2.00, above 1"),
        (json!({"resident": {"critical": 1}}), CheckStatus::Critical, "`resident`"),
        (json!({"min_age": 100}), CheckStatus::Warning, "it lives for 90 s, less than 100 s"),
    ] {
        let report = check(&machine, "process_check", &options).await.unwrap();
        assert!(report.status == status && report.message.contains(why), "{report:?}");
    }
    for (grants, why) in [
        ("{}", r#"add "db" to `grants.tasks`"#),
        (r#"{"tasks": ["db"]}"#, "this machine has no task `db`"),
    ] {
        let machine = Machine::granting(grants);
        let error = check(&machine, "process_check", &json!({"task": "db"})).await.unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn free_space_is_measured_and_bounded() {
    let machine = Machine::new();
    let with = |bounds: Value| json!({"paths": {"/": bounds}});
    let bounds = with(json!({"warning_bytes": 1, "critical_percent": 0}));
    let report = check(&machine, "disk_check", &bounds).await;
    // Where no disk is mounted at all, such as in some containers, the check says so.
    let report = match report {
        Err(error) => return assert!(error.contains("`/` is on no disk that is known"), "{error}"),
        Ok(report) => report,
    };
    assert_eq!(report.status, CheckStatus::Passing, "{report:?}");
    assert!((0.0..=100.0).contains(&metric(&report, "free_percent{/}")), "{report:?}");
    let bounds = with(json!({"critical_percent": 101}));
    let report = check(&machine, "disk_check", &bounds).await.unwrap();
    assert!(report.message.starts_with("`/` has "), "{report:?}");
    assert_eq!(report.status, CheckStatus::Critical);

    for (options, why) in [
        (json!({"paths": {}}), "`paths`: expected at least one"),
        (json!({"paths": {"/{{ jbo }}": {}}}), "`jbo` has no value"),
        (json!({"paths": {"/": {"warning": 1}}}), "unknown field `warning`"),
    ] {
        let error = check(&machine, "disk_check", &options).await.unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn what_checks_of_services_cannot_be_asked_is_told() {
    let machine = granting_commands();
    for (name, options, why) in [
        ("http_check", json!({"port": "htpt"}), "the job has no port `htpt`; it has `http`"),
        ("http_check", json!({"expected_status": "2xx"}), "`2xx` is no status: expected `200`"),
        ("http_check", json!({"path": "/{{ jbo }}"}), "`jbo` has no value"),
        ("tcp_check", json!({"port": "htpt"}), "the job has no port `htpt`; it has `http`"),
        ("tcp_check", json!({"sned": "x"}), "unknown field `sned`"),
        ("tcp_check", json!({"timeout": -1}), "`timeout`: -1 is no time in seconds"),
        ("http_check", json!({"timeout": 0}), "`timeout`: 0 is no time in seconds"),
        ("postgres_check", json!({"port": "htpt"}), "the job has no port `htpt`; it has `http`"),
        ("nagios", json!({"plugin": "/opt/check", "timeout": 1e12}), "is no time in seconds"),
    ] {
        let error = check(&machine, name, &options).await.unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    let machine = Machine { ports: Vec::new(), ..machine };
    for name in ["http_check", "tcp_check"] {
        let error = check(&machine, name, &json!({})).await.unwrap_err();
        assert!(error.contains("the job has no `ports`, and the options no `port`"), "{error}");
    }
}
