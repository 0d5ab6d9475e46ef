//! Our own recipes, on files.

use crate::support::{Machine, component, engine};
use cerebro_recipe_engine::Failure;
use std::fs;
use std::sync::Arc;

fn release(texts: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, text) in texts {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(text.len() as u64);
        builder.append_data(&mut header, format!("portal/{name}"), text.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn options(machine: &Machine, version: &str, keep: usize) -> String {
    let template = "version {{ version }} on {{ port.http }} says {{ greeting }}\n";
    let artifact = machine.upload(&release(&[("conf.tmpl", template), ("app", version)]));
    serde_json::json!({
        "release_dir": "/opt/{{ job }}",
        "artifact": artifact,
        "strip": 1,
        "keep": keep,
        "templates": {"conf.tmpl": "conf"},
        "variables": {"greeting": "hello"},
    })
    .to_string()
}

const DIR: &str = "/opt/portal.startup.com";

#[tokio::test]
async fn releases_are_unpacked_filled_flipped_and_pruned() {
    let machine = Machine::granting(r#"{"write": ["/opt"]}"#);
    let recipe = component("release").await;
    let mut previous = None;
    for version in ["1", "2", "3", "4"] {
        let options = options(&machine, version, 1);
        // The second time, all is as it should be.
        for _ in 0..2 {
            let call = machine.call_for(version, previous, &options);
            engine().deploy(&recipe, call).await.unwrap();
        }
        let conf = machine.text(&format!("{DIR}/current/conf"));
        assert_eq!(conf, format!("version {version} on 8080 says hello\n"));
        previous = Some(version);
    }
    assert!(machine.logged("unchanged"));
    assert_eq!(machine.names(DIR), [".cerebro", "current", "releases"]);
    assert_eq!(machine.names(&format!("{DIR}/releases")), ["3", "4"]);

    let call = machine.call_for("4", Some("3"), &options(&machine, "4", 1));
    engine().undeploy(&recipe, call.clone()).await.unwrap();
    assert!(!machine.path(DIR).exists());
    engine().undeploy(&recipe, call).await.unwrap();
}

#[tokio::test]
async fn what_is_not_ours_survives_and_instances_share() {
    let machine = Machine::granting(r#"{"write": ["/opt"]}"#);
    let recipe = component("release").await;
    fs::create_dir_all(machine.path(&format!("{DIR}/shared"))).unwrap();
    let call = machine.call_for("1", None, &options(&machine, "1", 1));
    let mut other = call.clone();
    Arc::make_mut(&mut other.context).instance =
        "1.aws-us-west-2a.portal.startup.com".parse().unwrap();
    engine().deploy(&recipe, call.clone()).await.unwrap();
    engine().deploy(&recipe, other.clone()).await.unwrap();
    engine().undeploy(&recipe, call).await.unwrap();
    assert_eq!(machine.text(&format!("{DIR}/current/app")), "1");
    engine().undeploy(&recipe, other).await.unwrap();
    assert_eq!(machine.names(DIR), ["shared"]);
}

#[tokio::test]
async fn a_failed_deployment_leaves_the_current_release() {
    let machine = Machine::granting(r#"{"write": ["/opt"]}"#);
    let recipe = component("release").await;
    let good = machine.call_for("1", None, &options(&machine, "1", 5));
    engine().deploy(&recipe, good).await.unwrap();

    let broken = options(&machine, "2", 5).replace("\"greeting\"", "\"greetings\"");
    let error = engine().deploy(&recipe, machine.call_for("2", Some("1"), &broken)).await;
    let error = error.unwrap_err();
    assert!(matches!(error.failure, Failure::Returned { .. }));
    let text = error.to_string();
    assert!(text.contains("line 1") && text.contains("`greeting` has no value"), "{text}");
    assert_eq!(machine.text(&format!("{DIR}/current/app")), "1");

    let missing = r#"{"release_dir": "/opt/x", "artifact": "0000"}"#;
    let error = engine().deploy(&recipe, machine.call(missing)).await.unwrap_err().to_string();
    assert!(error.contains("SHA-256"), "{error}");
    let missing = missing.replace("0000", &"0".repeat(64));
    let error = engine().deploy(&recipe, machine.call(&missing)).await.unwrap_err().to_string();
    assert!(error.contains("upload it first"), "{error}");
}

#[tokio::test]
async fn redis_gets_its_configuration_and_keeps_its_data() {
    let mut machine = Machine::granting(r#"{"write": ["/opt/redis"]}"#);
    machine.ports = vec![("redis", 6379)];
    let recipe = component("redis").await;
    let call = machine.call(r#"{"dir": "/opt/redis", "config": {"maxmemory": "64mb"}}"#);
    engine().deploy(&recipe, call.clone()).await.unwrap();
    let conf = machine.text("/opt/redis/redis.conf");
    let data = machine.path("/opt/redis/data");
    for line in ["port 6379", "bind 127.0.0.1", "appendonly yes", "maxmemory 64mb"] {
        assert!(conf.lines().any(|l| l == line), "`{line}` in {conf}");
    }
    assert!(conf.contains(&format!("dir \"{}\"", data.display())), "{conf}");
    fs::write(data.join("dump.rdb"), "data").unwrap();
    engine().deploy(&recipe, call.clone()).await.unwrap();
    engine().undeploy(&recipe, call).await.unwrap();
    assert_eq!(machine.names("/opt/redis"), ["data"]);
    assert_eq!(machine.text("/opt/redis/data/dump.rdb"), "data");
}
