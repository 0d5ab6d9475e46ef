//! What packages bring along is asked of the machine's own package manager.

use crate::support::{Machine, component, engine};
use cerebro_model::Sureness;
use cerebro_recipe_engine::Call;
use serde_json::json;

/// A package that this machine could install and has not.
fn to_be_installed() -> Option<&'static str> {
    let is_open = |name: &&str| {
        let asked =
            std::process::Command::new("/usr/bin/apt-cache").args(["policy", name]).output();
        let told = asked.map(|told| String::from_utf8_lossy(&told.stdout).into_owned());
        told.is_ok_and(|told| {
            told.contains("Installed: (none)") && !told.contains("Candidate: (none)")
        })
    };
    ["hello", "sl", "figlet", "cowsay"].into_iter().find(is_open)
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_are_simulated_and_not_installed() {
    let Some(name) = to_be_installed() else {
        eprintln!("skipped: it needs apt, and the lists of `apt-get update`");
        return;
    };
    let grants = json!({
        "packages": [name], "write": ["/nowhere"], "services": ["none"], "commands": ["/bin/none"],
    });
    let machine = Machine::granting(&grants.to_string());
    let options = json!({ "packages": { name: "present" } }).to_string();
    let call = Call { root: "/".into(), ..machine.call(&options) };
    let plan = engine().plan(&component("package").await, call).await.unwrap();
    assert_eq!((plan.lines.len(), plan.exit_code()), (1, 11), "{plan}");
    let line = &plan.lines[0];
    assert_eq!((line.sure, line.mark()), (Sureness::Bounded, '?'), "{plan}");
    assert_eq!(line.effect.action.to_string(), format!("packages: install {name}"));
    // With its version, which only the package manager knows.
    let says = |note: &String| note.starts_with(&format!("install {name} ")) && note.contains('.');
    assert!(line.notes.iter().any(says), "{plan}");
    assert_eq!(to_be_installed(), Some(name), "it was installed");
}
