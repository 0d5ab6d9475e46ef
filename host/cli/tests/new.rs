//! `cerebro recipe new`, as it is called.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::{Command, Output};

fn new(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cerebro"));
    command.current_dir(dir).args(["recipe", "new"]).args(arguments).output().unwrap()
}

#[test]
fn a_component_is_written_in_each_language() {
    let dir = tempfile::tempdir().unwrap();
    for (language, source) in [
        ("rust", "src/lib.rs"),
        ("js", "component.js"),
        ("python", "app.py"),
        ("c", "component.c"),
        ("go", "recipe.go"),
    ] {
        let name = format!("my-{language}");
        let done = new(dir.path(), &[&name, "--lang", language]);
        assert!(done.status.success(), "{done:?}");
        let words = String::from_utf8(done.stdout).unwrap();
        assert!(words.contains(&format!("{name}/README.md")), "{words}");
        let text = |path: &str| std::fs::read_to_string(dir.path().join(&name).join(path)).unwrap();
        assert!(text(source).contains(&format!("/opt/{name}")), "{language}");
        assert!(text("test.sh").contains(&format!("cerebro recipe run {name}.wasm")), "{language}");
        assert!(text("grants.json").contains(&format!("/opt/{name}")), "{language}");
        assert!(text("wit/deps/cerebro-recipe/world.wit").contains("world recipe"), "{language}");
    }
}

#[test]
fn a_check_is_written_for_its_own_world() {
    let dir = tempfile::tempdir().unwrap();
    let done = new(dir.path(), &["alive", "--lang", "go", "--kind", "health-check"]);
    assert!(done.status.success(), "{done:?}");
    let text = |path: &str| std::fs::read_to_string(dir.path().join("alive").join(path)).unwrap();
    assert!(text("wit/world.wit").contains("world health-check"));
    assert!(text("build.sh").contains("--world health-check"));
    let adapter = dir.path().join("alive/wasi_snapshot_preview1.reactor.wasm");
    assert!(std::fs::read(adapter).unwrap().starts_with(b"\0asm"));
}

#[test]
fn what_is_there_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("mine")).unwrap();
    std::fs::write(dir.path().join("mine/app.py"), "mine").unwrap();
    let done = new(dir.path(), &["mine", "--lang", "python"]);
    assert_eq!(done.status.code(), Some(4), "{done:?}");
    assert!(String::from_utf8(done.stderr).unwrap().contains("not empty"));
    assert_eq!(std::fs::read_to_string(dir.path().join("mine/app.py")).unwrap(), "mine");
    assert_eq!(std::fs::read_dir(dir.path().join("mine")).unwrap().count(), 1);

    // An empty directory is as good as none.
    std::fs::create_dir(dir.path().join("empty")).unwrap();
    assert!(new(dir.path(), &["empty", "--lang", "python"]).status.success());

    for name in ["../elsewhere", "Name", "a/b", ""] {
        let done = new(dir.path(), &[name, "--lang", "python"]);
        assert_eq!(done.status.code(), Some(2), "{name}: {done:?}");
    }
}
