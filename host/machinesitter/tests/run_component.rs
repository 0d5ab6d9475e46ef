//! `machinesitter run-component`, which `cerebro recipe run` becomes: real components, one call.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A root, with what is kept for it beside it.
struct Place(tempfile::TempDir);

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

fn guest(name: &str) -> PathBuf {
    let dir =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../recipes-wasm/target/wasm32-wasip2/release");
    let path = Path::new(dir).join(format!("{name}.wasm"));
    assert!(path.is_file(), "{}: run `cargo xtask build`", path.display());
    path
}

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(place.root().join("opt")).unwrap();
        place
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("root")
    }

    fn state(&self) -> PathBuf {
        self.0.path().join("root.cerebro")
    }

    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    fn command(&self, component: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_machinesitter"));
        command.arg("run-component").arg(guest(component)).arg("--root").arg(self.root());
        command.args(arguments);
        command
    }

    fn run(&self, component: &str, arguments: &[&str]) -> Ran {
        self.command(component, arguments).output().unwrap().into()
    }
}

/// Enough for `misbehave` to be linked.
const LINKED: &str = r#"{"write": ["/opt"], "commands": ["/bin/sleep"]}"#;

#[test]
fn what_is_not_granted_is_named_until_it_is() {
    let place = Place::new();
    let options = r#"{"do": "write", "path": "/opt/a", "text": "hello"}"#;
    let ran = place.run("misbehave", &["--options", options]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("`grants.") && ran.err.contains("hint: --grants"), "{}", ran.err);

    let little = r#"{"write": ["/srv"], "commands": ["/bin/sleep"]}"#;
    let ran = place.run("misbehave", &["--options", options, "--grants", little]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("\"/opt/a\" to `grants.write`"), "{}", ran.err);
    assert!(ran.out.contains("info  about to misbehave"), "{}", ran.out);

    let (options, grants) =
        (place.file("options", options.as_bytes()), place.file("grants", LINKED.as_bytes()));
    let (options, grants) = (format!("@{options}"), format!("@{grants}"));
    let ran = place.run("misbehave", &["--options", &options, "--grants", &grants]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(ran.out, "info  about to misbehave\ninfo  Change::Created\ndeployed\n");
    assert_eq!(fs::read_to_string(place.root().join("opt/a")).unwrap(), "hello");
    assert_eq!(fs::read_dir(place.root()).unwrap().count(), 1, "state is not in its reach");

    let ran = place.run("misbehave", &["--call", "undeploy", "--grants", &grants]);
    assert_eq!((ran.code, &*ran.out), (Some(0), "undeployed\n"), "{}", ran.err);
}

#[test]
fn whatever_a_component_does_ends_in_words_and_code_1() {
    let place = Place::new();
    for (options, arguments, words) in [
        (r#"{"do":"fail"}"#, &[][..], "error: the release is for another planet"),
        (r#"{"do":"panic"}"#, &[], "the recipe lost its head"),
        (r#"{"do":"loop"}"#, &["--timeout", "1"], "ended after 1s"),
        (r#"{"do":"sleep"}"#, &["--timeout", "1"], "ended after 1s"),
        (r#"{"do":"fail"}"#, &["--call", "check"], "is a recipe, which has no `check`"),
    ] {
        let given = ["--grants", LINKED, "--options", options];
        let ran = place.run("misbehave", &[&given, arguments].concat());
        assert_eq!(ran.code, Some(1), "{options}: {}", ran.err);
        assert!(ran.err.contains(words), "{options}: {}", ran.err);
        assert!(!ran.out.contains("deployed"), "{}", ran.out);
    }
    let ran = place.run("misbehave", &["--port", "http"]);
    assert!(ran.code == Some(2) && ran.err.contains("NAME=NUMBER"), "{}", ran.err);
    let ran: Ran = Command::new(env!("CARGO_BIN_EXE_machinesitter"))
        .args(["run-component", "/not/there.wasm", "--root"])
        .arg(place.root())
        .output()
        .unwrap()
        .into();
    assert!(ran.code == Some(1) && ran.err.contains("/not/there.wasm"), "{}", ran.err);
}

#[test]
fn a_check_tells_what_it_found() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("http={}", listener.local_addr().unwrap().port());
    let ran = place.run("tcp_check", &["--port", &port]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let (first, metric) = ran.out.split_once('\n').unwrap();
    assert!(first.starts_with("passing: ") && first.contains("127.0.0.1"), "{first}");
    assert!(metric.starts_with("  time 0.") && metric.ends_with(" s\n"), "{metric}");

    drop(listener);
    let ran = place.run("tcp_check", &["--port", &port]);
    assert_eq!(ran.code, Some(1), "what it found is bad, and it was made: {}", ran.out);
    assert!(ran.out.starts_with("critical: ") && ran.err.is_empty(), "{}{}", ran.out, ran.err);
}

#[test]
fn what_is_kept_is_closed_to_others_out_of_reach_and_used_by_one_at_a_time() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let inside = place.root().join("inside");
    let ran = place.run("tcp_check", &["--state", inside.to_str().unwrap()]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("below the root"), "{}", ran.err);

    let sleeps = ["--grants", LINKED, "--options", r#"{"do":"sleep"}"#, "--timeout", "60"];
    let mut first = place.command("misbehave", &sleeps).stdout(Stdio::piped()).spawn().unwrap();
    // It speaks once it has the place for itself, and ends by itself if nobody ends it.
    let mut said = String::new();
    BufReader::new(first.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let second = place.run("tcp_check", &["--port", "http=1"]);
    let id = nix::unistd::Pid::from_raw(i32::try_from(first.id()).unwrap());
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
    let ended = first.wait().unwrap();
    assert!(said.contains("about to misbehave"), "{said}");
    assert!(second.code == Some(1) && second.err.contains("another run uses"), "{}", second.err);
    // By its own hand, not by the signal.
    assert_eq!(ended.code(), Some(1));
    let mode = fs::metadata(place.state()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_run_is_replayed_without_its_root_to_any_call_and_by_another_component() {
    let place = Place::new();
    let options = r#"{"do": "write", "path": "/opt/a", "text": "hello"}"#;
    let ran = place.run("misbehave", &["--options", options, "--grants", LINKED]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    fs::remove_dir_all(place.root()).unwrap();
    let recording = place.state().join("call/recording");
    let replay = |arguments: &[&str]| -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_machinesitter"));
        command.arg("replay-component").arg(&recording).args(arguments).output().unwrap().into()
    };
    let guest = guest("misbehave");
    let same = guest.to_str().unwrap();
    let ran = replay(&["--quiet", same]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("\nthen: it succeeded\nnow:  the same, after "), "{}", ran.out);
    let ran = replay(&["--quiet", "--until", "1", same]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    // The component was built without names.
    let stopped = "\nnow:  stopped after call #1, as asked\nin:   function ";
    assert!(ran.out.contains(stopped) && ran.out.contains("+0x"), "{}", ran.out);

    // Another one, which does the same: a section of a name that nobody knows is behind it.
    let mut bytes = fs::read(&guest).unwrap();
    bytes.extend([0, 3, 1, b'x', b'y']);
    let other = place.file("other.wasm", &bytes);
    let ran = replay(&[&other]);
    let hint = format!("by `--with {other}`");
    assert!(ran.code == Some(1) && ran.err.contains(&hint), "{}", ran.err);
    let ran = replay(&["--quiet", "--with", &other]);
    assert!(ran.code == Some(0) && ran.out.contains("the same"), "{}{}", ran.out, ran.err);
    assert_eq!(replay(&[]).code, Some(2));
}
