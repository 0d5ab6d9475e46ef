//! What the page of grants shows can be written in a job file.
#![allow(clippy::unwrap_used, reason = "a test")]

use cerebro_model::Grants;

const PAGE: &str = include_str!("../../../docs/grants.md");

#[test]
fn the_example_is_grants() {
    let (_, rest) = PAGE.split_once("```json\n").unwrap();
    let grants: Grants = serde_json::from_str(rest.split_once("```").unwrap().0).unwrap();
    assert_eq!(grants.commands.len(), 2);
    assert_eq!(grants.unbounded().len(), 1, "psql runs a script that the recipe can write");
}

#[test]
fn each_value_in_a_table_is_taken() {
    let mut taken = 0;
    let mut keys: Vec<&str> = Vec::new();
    for line in PAGE.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            keys = heading.split(", ").map(|key| key.trim_matches('`')).collect();
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let (key, values) = match cells[..] {
            ["", values, _, ""] if (1..=2).contains(&keys.len()) => (keys[0], values),
            ["", key, values, _, ""] => (key.trim_matches('`'), values),
            _ => continue,
        };
        for value in values.split("`, `").map(|value| value.trim_matches('`')) {
            let Ok(value) = serde_json::from_str::<serde_json::Value>(value) else { continue };
            let text = serde_json::json!({ key: [value] }).to_string();
            serde_json::from_str::<Grants>(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            taken += 1;
        }
    }
    assert_eq!(taken, 28, "a value in a table is not read as one");
}
