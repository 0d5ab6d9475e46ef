//! Commands that write to copies.

use crate::support::{Machine, component, engine};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};

fn machine() -> Machine {
    let line = json!({"argv": ["/bin/bash", "-c", "*"]});
    let all = json!({"write": ["/opt"], "commands": [line]});
    let machine = Machine::granting(&all.to_string());
    for path in ["/opt/app/old/deep", "/opt/app/kept", "/opt/other"] {
        fs::create_dir_all(machine.path(path)).unwrap();
    }
    for path in ["/opt/app/old/deep/file", "/opt/app/kept/file", "/opt/app/gone", "/opt/app/text"] {
        fs::write(machine.path(path), "before").unwrap();
    }
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(machine.dir.path(), mode).unwrap();
    machine
}

async fn contain(machine: &Machine, script: &str, more: Value) -> Result<(), String> {
    let root = machine.path("/");
    let script = script.replace("ROOT", root.to_str().unwrap().trim_end_matches('/'));
    let mut options = json!({
        "do": "run", "argv": ["/bin/bash", "-c", format!("set -e; {script}")],
        "contain": ["/opt/app"], "cwd": "/opt/app"
    });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let call = machine.call(&options.to_string());
    let run = engine().deploy(&component("misbehave").await, call).await;
    run.map_err(|error| error.to_string())
}

/// Everything below a directory, with what tells it apart.
fn all(machine: &Machine, path: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for name in machine.names(path) {
        let path = format!("{path}/{name}");
        let real = machine.path(&path);
        let found = fs::symlink_metadata(&real).unwrap();
        let what = if found.is_dir() {
            "directory".to_owned()
        } else if found.is_symlink() {
            format!("-> {}", fs::read_link(&real).unwrap().display())
        } else {
            assert!(!found.file_type().is_char_device(), "{path}");
            fs::read_to_string(&real).unwrap()
        };
        lines.push(format!("{path} {what}"));
        if found.is_dir() {
            lines.extend(all(machine, &path));
        }
    }
    lines
}

#[tokio::test]
async fn what_a_command_wrote_is_taken_over_if_it_succeeds() {
    let machine = machine();
    contain(
        &machine,
        "echo -n after > text; rm gone; rm -r old; mkdir old; echo -n new > old/new; mv kept moved; \
         mkdir -m 2750 made; ln -s ../text made/link; echo -n x > made/x; chmod 600 made/x; \
         chown 65534:65534 made/x; echo -n '' > made/empty; rm -f none",
        json!({}),
    )
    .await
    .unwrap();
    assert_eq!(
        all(&machine, "/opt"),
        [
            "/opt/app directory",
            "/opt/app/made directory",
            "/opt/app/made/empty ",
            "/opt/app/made/link -> ../text",
            "/opt/app/made/x x",
            "/opt/app/moved directory",
            "/opt/app/moved/file before",
            "/opt/app/old directory",
            "/opt/app/old/new new",
            "/opt/app/text after",
            "/opt/other directory",
        ]
    );
    let x = fs::metadata(machine.path("/opt/app/made/x")).unwrap();
    assert_eq!((x.mode() & 0o7777, x.uid(), x.gid()), (0o600, 65534, 65534));
    let made = fs::metadata(machine.path("/opt/app/made")).unwrap();
    assert_eq!(made.mode() & 0o7777, 0o2750);
    assert!(machine.logged("taken over: `/opt/app/gone` removed"));
    assert!(machine.logged("taken over: `/opt/app/text` updated"));
    assert_eq!(fs::read_dir(machine.dir.path().join("memory/contained")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_kind_that_changed_is_replaced() {
    let machine = machine();
    let script = "rm -r old; echo -n file > old; rm gone; mkdir gone; echo -n in > gone/in; \
                  rm text; ln -s kept text";
    contain(&machine, script, json!({})).await.unwrap();
    assert_eq!(
        all(&machine, "/opt/app"),
        [
            "/opt/app/gone directory",
            "/opt/app/gone/in in",
            "/opt/app/kept directory",
            "/opt/app/kept/file before",
            "/opt/app/old file",
            "/opt/app/text -> kept",
        ]
    );
}

#[tokio::test]
async fn a_failure_leaves_all_as_it_was() {
    let machine = machine();
    let before = all(&machine, "/opt");
    let wrecks = "rm -rf old kept; echo x > text; ls ROOT/opt/app >&2";
    for (end, why) in [
        ("exit 3", "ended with code 3"),
        ("chmod 4755 text", "no grant allows it"),
        ("mkfifo pipe", "neither a file nor a directory nor a link"),
        ("touch $'\\xff'", "not UTF-8"),
        ("echo x > ROOT/opt/other/x", "Read-only file system"),
        ("echo x > /etc/x", "Read-only file system"),
    ] {
        let error = contain(&machine, &format!("{wrecks}; {end}"), json!({})).await.unwrap_err();
        assert!(error.contains(why), "{end}: {error}");
        assert_eq!(all(&machine, "/opt"), before, "{end}");
    }
    assert_eq!(fs::read_dir(machine.dir.path().join("memory/contained")).unwrap().count(), 0);
}

#[tokio::test]
async fn only_so_much_is_taken_over() {
    let mut machine = machine();
    let before = all(&machine, "/opt");
    machine.limits.unpacked_entries = 10;
    machine.limits.unpacked_bytes = 1 << 20;
    for (script, why) in [
        ("touch a{1..11}", "more entries than are taken over"),
        ("head -c 2M /dev/zero > big", "wrote more than is taken over"),
        ("truncate -s 1T big", "wrote more than is taken over"),
    ] {
        let error = contain(&machine, script, json!({})).await.unwrap_err();
        assert!(error.contains(why), "{script}: {error}");
        assert_eq!(all(&machine, "/opt"), before, "{script}");
    }
    contain(&machine, "touch a{1..10}", json!({})).await.unwrap();
}

#[tokio::test]
async fn another_user_has_a_copy_too() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let machine = machine();
    chown(machine.path("/opt/app"), Some(65534), Some(65534)).unwrap();
    let script = "id -u > mine; if echo x > kept/file; then exit 9; fi";
    contain(&machine, script, json!({"user": "nobody"})).await.unwrap();
    assert_eq!(machine.text("/opt/app/mine"), "65534\n");
    assert_eq!(fs::metadata(machine.path("/opt/app/mine")).unwrap().uid(), 65534);
    assert_eq!(machine.text("/opt/app/kept/file"), "before");
}

#[tokio::test]
async fn what_cannot_be_contained_is_refused() {
    let machine = machine();
    for (more, why) in [
        (json!({"contain": ["/srv"]}), "`grants.write`"),
        (json!({"contain": ["/opt", "/opt/app"]}), "contain one of them only"),
        (json!({"contain": ["/opt/app", "/opt/app"]}), "contain one of them only"),
        (json!({"contain": ["/opt/app/text"]}), "Not a directory"),
        (json!({"contain": ["/opt/none"]}), "`/opt/none` does not exist"),
        (json!({"query": true}), "a query writes nothing"),
    ] {
        let error = contain(&machine, "true", more).await.unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

/// One that nobody finds any more goes on changing the layer while it is taken over.
#[tokio::test]
async fn what_is_left_behind_cannot_have_other_files_taken_over() {
    let machine = machine();
    fs::write(machine.path("/opt/other/secret"), "not for it").unwrap();
    let swaps = "for i in $(seq 200); do rm -f text; ln -s ROOT/opt/other/secret text; rm -f text; \
                 echo mine > text; done";
    let script =
        format!("mkdir a; setsid env -i /bin/bash -c '{swaps}' >/dev/null 2>&1 & sleep 0.1");
    for _ in 0..5 {
        // It may be noticed, or not; what is there is the command's own in any case.
        let _ = contain(&machine, &script, json!({})).await;
        let found = fs::symlink_metadata(machine.path("/opt/app/text"));
        if found.is_ok_and(|found| found.is_file()) {
            assert_ne!(machine.text("/opt/app/text"), "not for it");
        }
        let _ = fs::remove_dir_all(machine.path("/opt/app/a"));
    }
    assert_eq!(machine.text("/opt/other/secret"), "not for it");
}
