//! `cerebro recipe run` becomes the machine sitter, with the arguments as they were.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// A program that says what it was called with.
const SAYS: &str = "#!/bin/sh\necho \"$0\"\nprintf '[%s]' \"$@\"\nexit 7\n";

fn put(directory: &Path) {
    let program = directory.join("machinesitter");
    fs::write(&program, SAYS).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
}

fn run(program: &Path, path: &Path, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(["recipe", "run"])
        .args(arguments)
        .env("PATH", path)
        .output()
        .unwrap()
}

#[test]
fn the_machine_sitter_is_found_and_given_everything() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (own, path) =
        (tempfile::tempdir_in(target).unwrap(), tempfile::tempdir_in(target).unwrap());
    // Alone in a directory, since beside the one that was built there may be a machine sitter.
    let cerebro = own.path().join("cerebro");
    fs::hard_link(env!("CARGO_BIN_EXE_cerebro"), &cerebro).unwrap();

    let output = run(&cerebro, path.path(), &["a.wasm"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("cargo xtask build"));

    for (home, arguments, given) in [
        (path.path(), &["a b.wasm", "--root", "/r"][..], "[run-component][a b.wasm][--root][/r]"),
        (own.path(), &["--root", "/r", "x"], "[run-component][--root][/r][x]"),
        (own.path(), &["--help"], "[run-component][--help]"),
        (own.path(), &["--version", "1", "a", "-h"], "[run-component][--version][1][a][-h]"),
        (own.path(), &[], "[run-component]"),
    ] {
        put(home);
        let output = run(&cerebro, path.path(), arguments);
        assert_eq!(output.status.code(), Some(7), "{output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        let (program, said) = said.split_once('\n').unwrap();
        assert_eq!(said, given);
        assert!(program.starts_with(home.to_str().unwrap()), "{program}, not of {home:?}");
    }
}
