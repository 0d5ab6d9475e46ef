//! Settings through the binary: what counts before what, and how refusals end.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::path::Path;
use std::process::{Command, Output};

fn clustersitter(environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clustersitter"));
    command.env_clear().envs(environment.iter().copied()).args(arguments).output().unwrap()
}

fn file(dir: &Path, text: &str) -> String {
    let path = dir.join("settings.toml");
    std::fs::write(&path, text).unwrap();
    path.to_string_lossy().into_owned()
}

#[test]
fn the_command_line_counts_before_the_environment_and_that_before_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file =
        file(dir.path(), "listen = \"127.0.0.1:1\"\ncluster = \"file\"\nobserve_only = true\n");
    let environment = [
        ("CEREBRO_LISTEN", "127.0.0.1:2"),
        ("CEREBRO_DATA", "d"),
        ("CEREBRO_OBSERVE_ONLY", "false"),
    ];
    let line = ["--data", "e", "settings", "show", &file];
    let shown = clustersitter(&environment, &line);
    assert!(shown.status.success(), "{shown:?}");
    let shown = String::from_utf8(shown.stdout).unwrap();
    for counts in [
        "listen = \"127.0.0.1:2\"",
        "data = \"e\"",
        "cluster = \"file\"",
        "observe_only = false",
        "machines = \"local\"",
    ] {
        assert!(shown.contains(counts), "no `{counts}` in:\n{shown}");
    }
    let named = [("CEREBRO_SETTINGS", file.as_str())];
    let shown = clustersitter(&named, &["settings", "show"]);
    assert!(String::from_utf8(shown.stdout).unwrap().contains("127.0.0.1:1"));
}

#[test]
fn what_is_refused_ends_with_words_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let text = format!("data = \"{}\"\n[zones.z-1]\nmim = 1\n", data.display());
    let file = file(dir.path(), &text);
    for line in [["--settings", file.as_str()].as_slice(), &["settings", "check", &file]] {
        let refused = clustersitter(&[], line);
        let words = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{words}");
        assert!(words.contains("settings.toml:3:1: ") && words.contains("`min`?"), "{words}");
    }
    assert!(!data.exists());
}

#[test]
fn a_schema_is_printed_as_json() {
    let printed = clustersitter(&[], &["settings", "schema"]).stdout;
    let schema: serde_json::Value = serde_json::from_slice(&printed).unwrap();
    assert_eq!(schema["$ref"], "#/$defs/SettingsFile");
}
