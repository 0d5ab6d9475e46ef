//! Commands that are held to something: queries, guards, and what a grant binds.

use crate::support::{Machine, component, engine};
use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

async fn run(machine: &Machine, options: Value) -> Result<(), String> {
    let mut options = options;
    options["do"] = json!("run");
    let call = machine.call(&options.to_string());
    let run = engine().deploy(&component("misbehave").await, call).await;
    run.map_err(|error| error.to_string())
}

/// A machine whose shell is granted so.
fn machine(line: Value) -> Machine {
    let mut line = line;
    line["argv"] = json!(["/bin/bash", "-c", "*"]);
    let all = json!({"write": ["/opt"], "commands": [line]});
    let machine = Machine::granting(&all.to_string());
    fs::create_dir_all(machine.path("/opt/app/shared")).unwrap();
    fs::create_dir_all(machine.path("/opt/other")).unwrap();
    // Whoever a command runs as is to come there.
    fs::set_permissions(machine.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    machine
}

/// Whether the tests can give files and commands to others.
fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn script(machine: &Machine, text: &str) -> Value {
    let root = machine.path("/");
    json!(["/bin/bash", "-c", text.replace("ROOT", root.to_str().unwrap().trim_end_matches('/'))])
}

#[tokio::test]
async fn a_query_only_reads() {
    let machine = machine(json!({}));
    fs::write(machine.path("/opt/app/here"), "as it was").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let query = |text: &str| json!({"argv": script(&machine, text), "query": true});

    run(&machine, query("cat ROOT/opt/app/here")).await.unwrap();
    assert!(machine.logged("as it was"));
    for harm in [
        "echo x > ROOT/opt/app/here",
        "rm ROOT/opt/app/here",
        "echo x > ROOT/opt/new",
        "mount -o remount,bind,rw / && echo x > ROOT/opt/new",
        &format!("exec 3<>/dev/tcp/127.0.0.1/{port}"),
        "grep -q 'NoNewPrivs:.0' /proc/self/status",
    ] {
        let error = run(&machine, query(harm)).await.unwrap_err();
        assert!(error.contains("ended with code "), "{harm}: {error}");
    }
    assert_eq!(machine.text("/opt/app/here"), "as it was");
    assert_eq!(machine.names("/opt"), ["app", "other"]);
    if !is_root() {
        return;
    }
    // The same as another user.
    let options = json!({"argv": script(&machine, "echo $(id -u) in $(pwd)"), "query": true, "user": "nobody",
        "cwd": "/opt/app"});
    run(&machine, options).await.unwrap();
    let place = machine.path("/opt/app");
    assert!(machine.logged(&format!("65534 in {}", place.display())));
}

#[tokio::test]
async fn a_guard_only_reads() {
    let machine = machine(json!({}));
    let guarded = |guard: &str| {
        let argv = script(&machine, "echo it ran");
        json!({"argv": argv, "unless": script(&machine, guard)})
    };
    run(&machine, guarded("test -d ROOT/opt/app")).await.unwrap();
    assert!(machine.logged("skipped: ") && !machine.logged("it ran"));
    run(&machine, guarded("touch ROOT/opt/app/x")).await.unwrap();
    assert!(machine.logged("it ran"));
    assert_eq!(machine.names("/opt/app"), ["shared"]);
}

#[tokio::test]
async fn a_bound_command_writes_where_it_may_only() {
    if !is_root() {
        return;
    }
    let machine = machine(json!({"writes": ["/opt/app/shared"], "network": false}));
    chown(machine.path("/opt/app/shared"), Some(65534), Some(65534)).unwrap();
    for user in [None, Some("nobody")] {
        let run = |text: &str| {
            run(
                &machine,
                json!({"argv": script(&machine, text), "user": user, "cwd": "/opt/app/shared"}),
            )
        };
        run("umask; echo in > here && cat here && echo x > /tmp/x").await.unwrap();
        assert_eq!(machine.text("/opt/app/shared/here"), "in\n");
        assert!(!std::path::Path::new("/tmp/x").exists());
        for harm in ["echo x > ../x", "echo x > ROOT/opt/other/x", "ln -s / up && echo x > up/x"] {
            run(harm).await.unwrap_err();
        }
        fs::remove_file(machine.path("/opt/app/shared/here")).unwrap();
        fs::remove_file(machine.path("/opt/app/shared/up")).unwrap();
    }
    assert_eq!(machine.names("/opt/app"), ["shared"]);
    assert_eq!(machine.names("/opt/other").len(), 0);
}

#[tokio::test]
async fn no_link_of_somebody_else_s_widens_a_bound() {
    if !is_root() {
        return;
    }
    let machine = machine(json!({"writes": ["/opt/app/shared/data"]}));
    let link = machine.path("/opt/app/shared/data");
    symlink("/opt/other", &link).unwrap();
    let argv = script(&machine, "echo x > ROOT/opt/other/x");
    let error = run(&machine, json!({"argv": argv})).await.unwrap_err();
    assert!(error.contains("leads to `/opt/other`"), "{error}");
    std::os::unix::fs::lchown(&link, Some(65534), Some(65534)).unwrap();
    let error = run(&machine, json!({"argv": argv})).await.unwrap_err();
    assert!(error.contains("belongs to user 65534"), "{error}");
    assert_eq!(machine.names("/opt/other").len(), 0);
    fs::remove_file(&link).unwrap();
    let error = run(&machine, json!({"argv": argv})).await.unwrap_err();
    assert!(error.contains("`/opt/app/shared/data` does not exist"), "{error}");
}

#[tokio::test]
async fn a_command_may_keep_its_files_and_lose_the_network() {
    let machine = machine(json!({"network": false}));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{}", listener.local_addr().unwrap().port());
    run(&machine, json!({"argv": script(&machine, "echo x > ROOT/opt/other/x")})).await.unwrap();
    run(&machine, json!({"argv": script(&machine, &connect)})).await.unwrap_err();
    assert_eq!(machine.names("/opt/other"), ["x"]);
}

/// As root without the capability to make one, such as in a container.
#[tokio::test]
async fn where_no_sandbox_can_be_made_a_query_is_refused_and_a_guard_runs() {
    if !is_root() {
        return;
    }
    const WITHOUT: &str = "CEREBRO_TEST_WITHOUT_SANDBOX";
    if std::env::var_os(WITHOUT).is_none() {
        let name = "confined::where_no_sandbox_can_be_made_a_query_is_refused_and_a_guard_runs";
        let mut again = std::process::Command::new("setpriv");
        again.arg("--bounding-set=-sys_admin").arg(std::env::current_exe().unwrap());
        let output = again.args(["--exact", name]).env(WITHOUT, "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("1 passed"), "{said}");
        return;
    }
    let open = machine(json!({}));
    let argv = script(&open, "touch ROOT/opt/app/asked; echo it ran");
    let error = run(&open, json!({"argv": argv, "query": true})).await.unwrap_err();
    assert!(error.contains("refused to give it namespaces of its own"), "{error}");
    run(&open, json!({"argv": argv, "unless": argv})).await.unwrap();
    assert!(open.logged("skipped: ") && open.names("/opt/app").contains(&"asked".to_owned()));
    // A bound is never given up.
    let bound = machine(json!({"writes": []}));
    for options in [json!({"argv": argv}), json!({"argv": argv, "unless": argv})] {
        let error = run(&bound, options).await.unwrap_err();
        assert!(error.contains("cannot be held to what it may do"), "{error}");
    }
}
