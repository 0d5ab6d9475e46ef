//! The machine's own tools, on the machine that the tests run on: with a package that nothing needs,
//! and a user, a group and a service that are the tests' own. All of it is gone at the end.

use crate::support::{Machine, component, engine};
use cerebro_model::{Plan, PlanEnd};
use cerebro_recipe_engine::Call;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A small package of Debian's, without services or dependencies that matter.
const PACKAGE: &str = "hello";

/// Whether this machine may be changed, and has these tools.
fn has(tools: &[&str]) -> bool {
    let missing: Vec<_> = tools.iter().filter(|tool| !Path::new(tool).exists()).collect();
    if nix::unistd::geteuid().is_root() && missing.is_empty() {
        return true;
    }
    eprintln!("skipped: needs root, and {missing:?}");
    false
}

/// A command that is run at the end, whatever happens.
struct Finally(&'static str, Vec<String>);

impl Drop for Finally {
    fn drop(&mut self) {
        let _ =
            Command::new(self.0).args(&self.1).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// A call on the machine itself, rather than in a directory.
fn call(machine: &Machine, options: &Value) -> Call {
    let mut call = machine.call(&options.to_string());
    call.root = PathBuf::from("/");
    call.limits.wall = Duration::from_secs(300);
    call
}

async fn deploy(machine: &Machine, name: &str, options: &Value) -> Result<(), String> {
    let run = engine().deploy(&component(name).await, call(machine, options)).await;
    run.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_package_comes_stays_and_goes() {
    if !has(&["/usr/bin/apt-get", "/usr/bin/dpkg-query"]) {
        return;
    }
    let grants = json!({"write": ["/srv/cerebro-test"], "packages": [PACKAGE, "no-such-*"]});
    let machine = Machine::granting(&grants.to_string());
    let purge = ["-y", "-q", "purge", PACKAGE].map(str::to_owned).to_vec();
    let _gone = Finally("/usr/bin/apt-get", purge);
    let there = || Path::new("/usr/bin/hello").exists();
    let with = |state: &str| json!({"packages": {PACKAGE: state}});
    deploy(&machine, "package", &with("absent")).await.unwrap();
    assert!(!there());
    for (state, is_done) in [("present", true), ("present", false), ("latest", false)] {
        machine.log.lock().unwrap().clear();
        deploy(&machine, "package", &with(state)).await.unwrap();
        let done = machine.logged("Setting up hello");
        assert!(there() && done == is_done, "{state}: {:?}", machine.log.lock().unwrap());
    }
    deploy(&machine, "package", &with("absent")).await.unwrap();
    assert!(!there());

    let unknown = json!({"packages": {"no-such-package": "present"}});
    let error = deploy(&machine, "package", &unknown).await.unwrap_err();
    assert!(error.contains("have no package `no-such-package`"), "{error}");
    let denied = json!({"packages": {"nginx": "present"}});
    let error = deploy(&machine, "package", &denied).await.unwrap_err();
    assert!(error.contains(r#"add "nginx" to `grants.packages`"#), "{error}");
}

#[tokio::test]
async fn a_user_comes_changes_and_goes() {
    if !has(&["/usr/sbin/useradd", "/usr/sbin/userdel"]) {
        return;
    }
    let name = format!("cerebro-test-{}", std::process::id());
    let grants =
        json!({"write": ["/srv/cerebro-test"], "secrets": ["s"], "users": [name, "games"]});
    let machine = Machine::granting(&grants.to_string());
    let _group = Finally("/usr/sbin/groupdel", vec![name.clone()]);
    let _user = Finally("/usr/sbin/userdel", vec![name.clone()]);
    let account = |shell: &str, groups: &[&str], gone: bool| json!({"do": "account", "name": name, "shell": shell, "groups": groups, "gone": gone});
    let games = format!("/bin/sh: {name} games");
    for (options, parts) in [
        (account("/bin/false", &[], false), ["created and created", "/bin/false: "]),
        (account("/bin/false", &[], false), ["unchanged and unchanged", "/bin/false: "]),
        (account("/bin/sh", &["games"], false), ["unchanged and updated", &games]),
        (account("/bin/sh", &["games"], false), ["unchanged and unchanged", &games]),
        (account("", &[], true), ["removed and ", ""]),
        (account("", &[], true), ["unchanged and unchanged", ""]),
    ] {
        machine.log.lock().unwrap().clear();
        deploy(&machine, "walk", &options).await.unwrap();
        let said = parts.iter().all(|part| machine.logged(part));
        assert!(said, "{options}: {:?}", machine.log.lock().unwrap());
    }
    // To be in a group is to have what it has.
    let error = deploy(&machine, "walk", &account("/bin/sh", &["sudo"], false)).await.unwrap_err();
    assert!(error.contains(r#"add "sudo" to `grants.users`"#), "{error}");
}

/// What would be done on the machine itself.
async fn plan(machine: &Machine, name: &str, options: &Value) -> Plan {
    engine().plan(&component(name).await, call(machine, options)).await.unwrap()
}

#[tokio::test]
async fn a_plan_tells_what_packages_bring_along() {
    if !has(&["/usr/bin/apt-get", "/usr/bin/dpkg-query"]) {
        return;
    }
    let packages = ["nginx", "no-such-package", "coreutils"];
    let grants = json!({"write": ["/srv/cerebro-test"], "packages": packages});
    let machine = Machine::granting(&grants.to_string());
    let plan = plan(&machine, "package", &json!({"packages": {"nginx": "present"}})).await;
    if Path::new("/usr/sbin/nginx").exists() {
        assert_eq!(plan.exit_code(), 0, "{plan}");
        return;
    }
    assert_eq!((plan.exit_code(), plan.lines.len()), (11, 1), "{plan}");
    let brings = |what: &str| plan.lines[0].notes.iter().any(|note| note.starts_with(what));
    assert!(brings("install nginx 1.") && brings("install nginx-common 1."), "{plan}");
}

#[tokio::test]
async fn a_plan_knows_who_will_own_what() {
    if !has(&["/usr/sbin/useradd"]) {
        return;
    }
    let grants =
        json!({"write": ["/srv/cerebro-test"], "secrets": ["s"], "users": ["cerebro-nobody"]});
    let machine = Machine::granting(&grants.to_string());
    let home = json!({"do": "home", "name": "cerebro-nobody", "path": "/srv/cerebro-test/home"});
    let plan = plan(&machine, "walk", &home).await;
    assert_eq!((&plan.end, plan.exit_code()), (&PlanEnd::Whole, 11), "{plan}");
    let last = plan.lines.last().unwrap().to_string();
    assert_eq!(last, "+ directory /srv/cerebro-test/home  (mode 0750, owner new:new)");
    assert!(!Path::new("/srv/cerebro-test").exists());
}

const SCRIPT: &str = r#"#!/bin/sh
### BEGIN INIT INFO
# Provides:          NAME
# Required-Start:
# Required-Stop:
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: a test
### END INIT INFO
case $1 in
start) sleep 600 </dev/null >/dev/null 2>&1 & echo $! > PID ;;
stop) kill "$(cat PID)"; rm -f PID ;;
reload) echo x >> RELOADED ;;
restart) "$0" stop; "$0" start ;;
status) [ -f PID ] && kill -0 "$(cat PID)" && echo running || { echo stopped; exit 3; } ;;
esac
"#;

#[tokio::test]
async fn a_service_runs_is_enabled_and_ends() {
    if Path::new("/run/systemd/system").exists() || !has(&["/etc/init.d", "/usr/sbin/update-rc.d"])
    {
        return eprintln!("skipped: needs a machine with System V scripts and no systemd");
    }
    let name = format!("cerebro-test-{}", std::process::id());
    let grants = json!({"write": ["/srv/cerebro-test"], "secrets": ["s"], "services": [name]});
    let machine = Machine::granting(&grants.to_string());
    let (pid, reloaded) = (machine.dir.path().join("pid"), machine.dir.path().join("reloaded"));
    let script = format!("/etc/init.d/{name}");
    let text = SCRIPT.replace("NAME", &name).replace("PID", pid.to_str().unwrap());
    let text = text.replace("RELOADED", reloaded.to_str().unwrap());
    let _links =
        Finally("/usr/sbin/update-rc.d", vec!["-f".to_owned(), name.clone(), "remove".to_owned()]);
    let _script = Finally("/bin/rm", vec!["-f".to_owned(), script.clone()]);
    let stop = format!("kill $(cat {})", pid.display());
    let _process = Finally("/bin/sh", vec!["-c".to_owned(), stop]);
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let made = Command::new("/usr/sbin/update-rc.d").args([&name, "defaults-disabled"]).status();
    assert!(made.unwrap().success());

    let serve = |running: bool, enabled: bool| json!({"do": "serve", "name": name, "running": running, "enabled": enabled});
    for (options, parts) in [
        (serve(true, true), ["updated, done", "runs: true, enabled: true"]),
        (serve(true, true), ["unchanged, done", "runs: true, enabled: true"]),
        (serve(false, false), ["updated, unchanged", "runs: false, enabled: false"]),
    ] {
        machine.log.lock().unwrap().clear();
        deploy(&machine, "walk", &options).await.unwrap();
        let said = parts.iter().all(|part| machine.logged(part));
        assert!(said, "{options}: {:?}", machine.log.lock().unwrap());
        // It outlives the call that started it.
        assert_eq!(pid.exists(), options["running"].as_bool().unwrap());
    }
    assert_eq!(fs::read_to_string(&reloaded).unwrap(), "x\nx\n");
    let other = json!({"do": "serve", "name": "cron", "running": false, "enabled": false});
    let error = deploy(&machine, "walk", &other).await.unwrap_err();
    assert!(error.contains(r#"add "cron" to `grants.services`"#), "{error}");
}

#[tokio::test]
async fn a_directory_has_no_tools_of_its_own() {
    let machine = Machine::granting(&json!({"write": ["/srv"], "packages": [PACKAGE]}).to_string());
    let options = json!({"packages": {PACKAGE: "present"}}).to_string();
    let run = engine().deploy(&component("package").await, machine.call(&options)).await;
    let error = run.unwrap_err().to_string();
    assert!(error.contains("is the directory") && error.contains("whose packages"), "{error}");
}
