//! Our recipes for what the system brings: packages and servers.

use crate::support::{Machine, component, engine};
use std::fs;

#[tokio::test]
async fn configuration_is_merged_and_checked_before_it_counts() {
    let machine = Machine::granting(r#"{"write": ["/etc/app"], "commands": ["/bin/sh -c **"]}"#);
    fs::create_dir_all(machine.path("/etc/app")).unwrap();
    fs::write(machine.path("/etc/app/app.toml"), "# mine\n[server]\nport = 1 # here\n").unwrap();
    let (conf, checked) = (machine.path("/etc/app/app.toml"), machine.path("/etc/app/checked"));
    let (conf, checked) = (conf.display(), checked.display());
    let check = format!("echo x >> '{checked}'; ! grep bad '{conf}' >&2");
    let recipe = component("package").await;
    let options = |name: &str| {
        serde_json::json!({
            "packages": {},
            "files": {
                "/etc/app/app.toml": {"merge": {"server": {"name": name, "job": "{{ job }}"}}},
                "/etc/app/conf": {"block": "listen {{ port }}"},
            },
            "check": ["/bin/sh", "-c", check],
        })
        .to_string()
    };
    for _ in 0..2 {
        engine().deploy(&recipe, machine.call(&options("good"))).await.unwrap();
    }
    let toml = "# mine\n[server]\nport = 1 # here\njob = \"portal.startup.com\"\nname = \"good\"\n";
    assert_eq!(machine.text("/etc/app/app.toml"), toml);
    assert!(machine.text("/etc/app/conf").contains("\nlisten 8080\n"));
    assert_eq!(machine.text("/etc/app/checked"), "x\n", "the second time, nothing had changed");

    let error = engine().deploy(&recipe, machine.call(&options("bad"))).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("`/bin/sh` ended with code 1: name = \"bad\""), "{error}");
    engine().deploy(&recipe, machine.call(&options("good"))).await.unwrap();
    engine().undeploy(&recipe, machine.call(&options("good"))).await.unwrap();
    assert_eq!(
        (machine.text("/etc/app/conf"), machine.text("/etc/app/app.toml").as_str()),
        (String::new(), toml)
    );
}

#[tokio::test]
async fn what_our_recipes_want_is_declared_in_them() {
    for (name, commands) in [("package", 1), ("redis", 0)] {
        let component = component(name).await;
        let wants = component.inspection().wants.clone().unwrap();
        assert_eq!((wants.write.len(), wants.commands.len()), (1, commands), "{name}");
        assert!(wants.secrets.is_empty() && wants.hosts.is_empty(), "{name}");
    }
}
