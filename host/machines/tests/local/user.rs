//! Machines of an ordinary user.

use crate::fixture::{Fixture, install, localmachine};
use cerebro_machines::{Isolation, MachineProvider, Network, Presence};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const NOBODY: &str = "65534";

/// As root it runs a copy of itself as nobody; as anyone else it is the test.
#[tokio::test]
async fn an_ordinary_user_has_machines_too() {
    if nix::unistd::geteuid().is_root() {
        return as_nobody();
    }
    let fixture = Fixture::new(Isolation::none("not asked yet"));
    let isolation = Isolation::detect(&fixture.bin(), &fixture.data).unwrap();
    let sentence = isolation.sentence().unwrap();
    assert!(sentence.contains("does not run as root"), "{sentence}");
    let fixture = Fixture::of(isolation, Network::Host);
    let script = "mkdir -p $root/etc/locked/in && chmod 500 $root/etc/locked; \
                  setsid sh -c 'setsid sleep 621 &' &";
    let id = fixture.create("m-1", script).await;
    wait_for_runaway(&fixture);
    assert_eq!(fixture.provider().describe(&id).await.unwrap(), Presence::Running);
    fixture.provider().kill(&id).await.unwrap();
    assert!(fixture.processes("m-1").is_empty(), "{:?}", fixture.processes("m-1"));
    fixture.provider().destroy(&id, None).await.unwrap();
    assert_eq!(fixture.traces(), [""; 0]);
    assert!(!fixture.file("m-1", "").exists());
}

fn wait_for_runaway(fixture: &Fixture) {
    crate::fixture::wait("the runaway", || {
        fixture.processes("m-1").into_values().any(|command| command.contains("621"))
    });
}

fn as_nobody() {
    if Command::new("setpriv").arg("--version").output().is_err() {
        eprintln!("not tested here: `setpriv` is missing");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    let test = directory.path().join("test");
    install(&std::env::current_exe().unwrap(), &test);
    install(&localmachine(), &directory.path().join("localmachine"));
    let output = Command::new("setpriv")
        .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"])
        .arg(&test)
        .args(["--exact", "user::an_ordinary_user_has_machines_too", "--nocapture"])
        .current_dir("/")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
}
