use super::*;
use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Output;

fn open(path: &Path) -> OwnedFd {
    File::open(path).unwrap().into()
}

/// Runs a script in a sandbox, and tells what came of it.
fn run(sandbox: Sandbox, script: &str) -> Output {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let verdict = sandbox.apply(&mut command).unwrap();
    let output = command.output();
    drop(command);
    match output {
        Ok(output) => output,
        Err(error) => panic!("{error}: {:?}", verdict.refused()),
    }
}

fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// What is tried as somebody who can do all of it outside.
fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A directory that is below none of those that a sandbox has its own ones of.
fn ground() -> tempfile::TempDir {
    let own = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR"));
    // Where somebody else tests, whom the sources are not open to.
    own.or_else(|_| tempfile::tempdir()).unwrap()
}

#[test]
fn nothing_is_written_but_where_it_may_be() {
    for dir in [ground(), tempfile::tempdir().unwrap()] {
        let (open_to_it, other) = (dir.path().join("open"), dir.path().join("other"));
        fs::create_dir(&open_to_it).unwrap();
        fs::create_dir(&other).unwrap();
        let sandbox = Sandbox {
            writable: vec![open(&open_to_it)],
            visible: vec![open(dir.path())],
            directory: open_to_it.clone(),
            ..Sandbox::default()
        };
        let script = format!("echo in > here; cat here; echo out > '{}/x'", other.display());
        let output = run(sandbox, &script);
        assert!(!output.status.success(), "{}", said(&output));
        assert!(said(&output).contains("in\n"), "{}", said(&output));
        assert!(said(&output).contains("ead-only file system"), "{}", said(&output));
        assert_eq!(fs::read_to_string(open_to_it.join("here")).unwrap(), "in\n");
        assert!(!other.join("x").exists());
    }
}

#[test]
fn everything_else_is_read_only() {
    for place in ["/x", "/usr/x", "/etc/x", "/proc/sys/kernel/domainname", "/var/x", "/run/x"] {
        let output = run(Sandbox::default(), &format!("echo x > {place}"));
        assert!(!output.status.success(), "{place}");
        assert!(!Path::new("/x").exists() && !Path::new("/usr/x").exists());
    }
    let output = run(Sandbox::default(), "echo x > /tmp/x && cat /tmp/x && ls /tmp /dev/shm");
    assert_eq!(said(&output), "x\n/dev/shm:\n\n/tmp:\nx\n");
    assert!(!Path::new("/tmp/x").exists());
    let output = run(Sandbox::default(), "echo x > /dev/null && head -c 3 /dev/zero | wc -c");
    assert_eq!(said(&output).trim(), "3");
    let output = run(Sandbox::default(), "echo out > /dev/stdout; echo err > /dev/stderr");
    assert_eq!(said(&output), "out\nerr\n");
}

#[test]
fn root_cannot_undo_it() {
    if !is_root() {
        return;
    }
    let dir = ground();
    let target = dir.path().join("x");
    let target = target.display();
    for script in [
        format!("mount -o remount,bind,rw / && echo x > '{target}'"),
        format!("umount -l /dev; echo x > '{target}'"),
        format!("unshare -m sh -c \"mount -o remount,bind,rw / && echo x > '{target}'\""),
        format!("unshare -Urm sh -c \"mount -o remount,bind,rw / && echo x > '{target}'\""),
        format!("nsenter -t {} -m sh -c \"echo x > '{target}'\"", std::process::id()),
        format!("echo x > '/proc/{}/root{target}'", std::process::id()),
        "mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk".to_owned(),
        "ls /dev | grep -v -e null -e zero -e full -e random -e tty -e fd -e std -e shm".to_owned(),
    ] {
        let output = run(Sandbox::default(), &script);
        assert!(!output.status.success(), "{script}: {}", said(&output));
        assert!(!dir.path().join("x").exists(), "{script}");
    }
}

#[test]
fn there_is_no_network_and_no_service() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let dir = ground();
    let socket = dir.path().join("socket");
    let _services = UnixListener::bind(&socket).unwrap();
    let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{port}");
    let tcp = ["-c", &connect];
    let bash = |no_network: bool, words: &[&str]| {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        let visible = vec![open(dir.path())];
        let sandbox = Sandbox { no_network, visible, ..Sandbox::default() };
        let _verdict = sandbox.apply(&mut command).unwrap();
        command.output().unwrap()
    };
    assert!(bash(false, &["/bin/bash", tcp[0], tcp[1]]).status.success());
    let output = bash(true, &["/bin/bash", tcp[0], tcp[1]]);
    // By the network namespace, or by Landlock before that.
    let refused = ["unreachable", "Permission denied"];
    assert!(refused.iter().any(|why| said(&output).contains(why)), "{}", said(&output));

    let connect = format!(
        "import socket; socket.socket(socket.AF_UNIX).connect('{}'); print('there')",
        socket.display()
    );
    let python = ["/usr/bin/python3", "-c", &connect];
    if Path::new(python[0]).exists() {
        assert_eq!(said(&bash(false, &python)), "there\n");
        let output = bash(true, &python);
        assert!(said(&output).contains("Permission denied"), "{}", said(&output));
    }
}

#[test]
fn set_id_programs_lend_nothing() {
    use std::os::unix::fs::PermissionsExt;
    if !is_root() {
        return;
    }
    let dir = ground();
    let lent = dir.path().join("id");
    copy_program(Path::new("/usr/bin/id"), &lent);
    fs::set_permissions(&lent, fs::Permissions::from_mode(0o4755)).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let sandbox = |no_new_privs| Sandbox {
        no_new_privs,
        read_only_root: false,
        no_network: false,
        user: Some(65534),
        group: Some(65534),
        ..Sandbox::default()
    };
    let ask = format!("'{}' -u; grep NoNewPrivs /proc/self/status", lent.display());
    assert_eq!(said(&run(sandbox(true), &ask)), "65534\nNoNewPrivs:\t1\n");
    assert_eq!(said(&run(sandbox(false), &ask)), "0\nNoNewPrivs:\t0\n");
}

#[test]
fn the_machine_is_as_it_was() {
    let dir = ground();
    let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let network = fs::read_link("/proc/self/ns/net").unwrap();
    let sandbox = Sandbox { writable: vec![open(dir.path())], ..Sandbox::default() };
    let output = run(sandbox, "grep -c . /proc/self/mountinfo; readlink /proc/self/ns/net");
    assert!(output.status.success(), "{}", said(&output));
    assert!(!said(&output).contains(network.to_str().unwrap()));
    assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
    assert_eq!(fs::read_link("/proc/self/ns/net").unwrap(), network);
    fs::write(dir.path().join("still"), "writable").unwrap();
}

#[test]
fn a_directory_that_was_swapped_is_refused() {
    let dir = ground();
    let (meant, other) = (dir.path().join("meant"), dir.path().join("other"));
    fs::create_dir(&meant).unwrap();
    let sandbox = Sandbox { writable: vec![open(&meant)], ..Sandbox::default() };
    let mut command = Command::new("/bin/true");
    let verdict = sandbox.apply(&mut command).unwrap();
    fs::rename(&meant, &other).unwrap();
    std::os::unix::fs::symlink("/etc", &meant).unwrap();
    let error = command.spawn().unwrap_err();
    drop(command);
    let refused = verdict.refused().unwrap();
    assert_eq!(refused.doing, Doing::Find, "{error}");
    assert!(!refused.is_unsupported());
}

#[test]
fn a_command_writes_to_a_copy() {
    let dir = ground();
    let path = |name: &str| dir.path().join(name);
    for name in ["app", "upper", "work"] {
        fs::create_dir(path(name)).unwrap();
    }
    fs::write(path("app/old"), "old").unwrap();
    let copy = Copy { directory: open(&path("app")), upper: path("upper"), work: path("work") };
    let sandbox = Sandbox { copies: vec![copy], directory: path("app"), ..Sandbox::default() };
    let output = run(sandbox, "echo new > new && rm old && ls");
    assert_eq!(said(&output), "new\n");
    assert_eq!(fs::read_dir(path("app")).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(path("upper/new")).unwrap(), "new\n");
    assert!(path("upper/old").symlink_metadata().is_ok());
}

/// As somebody without privileges: by a user namespace, or with words about why not.
#[test]
fn an_ordinary_user_has_one_too_or_is_told_why_not() {
    if !is_root() {
        return;
    }
    let as_nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    for test in [
        "nothing_is_written_but_where_it_may_be",
        "there_is_no_network_and_no_service",
        "the_machine_is_as_it_was",
        "a_command_writes_to_a_copy",
    ] {
        let said = test_as(&as_nobody, test);
        assert!(said.contains("1 passed") || said.contains("doing: Namespaces"), "{said}");
    }
}

#[test]
fn who_cannot_have_one_is_told_why() {
    if !is_root() {
        return;
    }
    let said = test_as(&["--bounding-set=-all"], "everything_else_is_read_only");
    assert!(said.contains("doing: Namespaces, errno: EPERM"), "{said}");
    let refused = Refused { doing: Doing::Namespaces, errno: nix::errno::Errno::EPERM };
    assert!(refused.is_unsupported());
    let words = refused.to_string();
    assert!(words.contains("refused to give it namespaces of its own (Operation not permitted)"));
    assert!(words.contains("run the agent as root with CAP_SYS_ADMIN, or allow unprivileged"));
}

/// By a process of its own: what this one writes, children of other tests hold open until they have started, and
/// nobody can run it so long.
fn copy_program(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg(from).arg(to).status().unwrap().success());
}

/// Runs one of these tests as somebody else.
fn test_as(who: &[&str], test: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = dir.path().join("tests");
    copy_program(&std::env::current_exe().unwrap(), &program);
    let mut command = Command::new("setpriv");
    command.args(who).arg(&program).args(["--exact", &format!("sandbox::tests::{test}")]);
    said(&command.output().unwrap())
}
