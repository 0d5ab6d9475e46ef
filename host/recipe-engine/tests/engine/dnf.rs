//! dnf and rpm, as Debian has them, on a machine that has nothing else: this one's files under a layer
//! that takes what is changed, with a repository of our own. The test runs in there, as another process.

use crate::support::{Machine, component, engine};
use serde_json::json;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What tells the test that it is in there.
const INSIDE: &str = "CEREBRO_TEST_INSIDE";
const NAME: &str = "dnf::packages_come_change_and_go_by_dnf";

/// Makes the layer in a namespace of its own, and a repository with two versions of a package in it.
const OUTSIDE: &str = r#"set -e
layer=$1 program=$2 name=$3 target=$4
mount -t tmpfs tmpfs "$layer"
mkdir "$layer/upper" "$layer/work" "$layer/root"
root=$layer/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$layer/upper,workdir=$layer/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mkdir -p "$root/srv/repository" "$root/etc/yum.repos.d"
# What is mounted is not in the layer.
for directory in "$target" "$(dirname "$program")"; do
    mkdir -p "$root$directory"
    mount --bind "$directory" "$root$directory"
done
rm "$root/usr/bin/apt-get"
cat >"$root/srv/hi.spec" <<'SPEC'
Name: cerebro-hi
Version: %{v}
Release: 1
Summary: A test
License: MIT
BuildArch: noarch
%description
A test.
%install
mkdir -p %{buildroot}/usr/share/cerebro-hi
echo %{v} >%{buildroot}/usr/share/cerebro-hi/version
%files
/usr/share/cerebro-hi
SPEC
for version in 1.0 1.1; do
    chroot "$root" rpmbuild --quiet -bb -D "v $version" -D "_topdir /srv/build" \
        -D "_rpmdir /srv/repository" /srv/hi.spec
done
chroot "$root" createrepo_c --quiet /srv/repository
printf '[test]\nname=test\nbaseurl=file:///srv/repository\ngpgcheck=0\n' >"$root/etc/yum.repos.d/test.repo"
exec chroot "$root" "$program" --exact "$name" --nocapture
"#;

#[tokio::test(flavor = "multi_thread")]
async fn packages_come_change_and_go_by_dnf() {
    if std::env::var_os(INSIDE).is_some() {
        return inside().await;
    }
    let tools = ["/usr/bin/dnf", "/usr/bin/rpmbuild", "/usr/bin/createrepo_c", "/usr/sbin/chroot"];
    let missing: Vec<_> = tools.into_iter().filter(|tool| !Path::new(tool).exists()).collect();
    if !nix::unistd::geteuid().is_root() || !missing.is_empty() {
        return eprintln!("skipped: needs root, and {missing:?}");
    }
    let layer = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    // The program, and the components that it loads.
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["--mount", "/bin/sh", "-c", OUTSIDE, "sh"]);
    command.arg(layer.path()).arg(program).arg(NAME).arg(target).env(INSIDE, "yes");
    command.current_dir("/").process_group(0);
    let ran = command.output().unwrap();
    let said = [ran.stdout, ran.stderr].map(|words| String::from_utf8_lossy(&words).into_owned());
    assert!(ran.status.success() && said[0].contains("1 passed"), "{}", said.concat());
}

async fn inside() {
    let grants = json!({"write": ["/srv/cerebro-test"], "packages": ["cerebro-*"]});
    let machine = Machine::granting(&grants.to_string());
    let version = || fs::read_to_string("/usr/share/cerebro-hi/version").ok();
    let steps = [
        ("absent", None, "nothing"),
        ("1.0-1", Some("1.0\n"), "Installed"),
        ("present", Some("1.0\n"), "nothing"),
        ("latest", Some("1.1\n"), "Upgraded"),
        ("latest", Some("1.1\n"), "nothing"),
        ("1.0-1", Some("1.0\n"), "Downgraded"),
        ("absent", None, "Removed"),
        ("present", Some("1.1\n"), "Installed"),
        ("absent", None, "Removed"),
    ];
    for (state, expected, done) in steps {
        machine.log.lock().unwrap().clear();
        deploy(&machine, json!({"cerebro-hi": state})).await.unwrap();
        assert_eq!(version().as_deref(), expected, "{state}");
        let log: Vec<_> =
            machine.log.lock().unwrap().iter().map(|line| line.message.clone()).collect();
        let changes = ["Installed", "Upgraded", "Downgraded", "Removed"];
        for change in changes {
            let is_told = log.iter().any(|line| line.starts_with(change));
            assert_eq!(is_told, change == done, "{state}: {log:?}");
        }
    }
    let error = deploy(&machine, json!({"cerebro-none": "present"})).await.unwrap_err();
    assert!(error.contains("have no package `cerebro-none`"), "{error}");
}

async fn deploy(machine: &Machine, packages: serde_json::Value) -> Result<(), String> {
    let mut call = machine.call(&json!({"packages": packages}).to_string());
    call.root = PathBuf::from("/");
    call.limits.wall = Duration::from_secs(300);
    let ran = engine().deploy(&component("package").await, call).await;
    ran.map_err(|error| error.to_string())
}
