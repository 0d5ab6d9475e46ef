//! The cases that the edits of each language are held to, of which this crate's are the measure.

use cerebro_recipe::edit;
use serde_json::{Value, json};

const CASES: &str = include_str!("../../../tests/edits.json");

#[test]
fn each_edit_is_as_the_cases_say() {
    let cases: Vec<Value> = serde_json::from_str(CASES).unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let made = run(&case);
        let is_good = match (&made, case["error"].as_str()) {
            (Ok(text), None) => case["result"] == json!(text),
            (Err(why), Some(error)) => why.contains(error),
            _ => false,
        };
        assert!(is_good, "{case}\ngot {made:?}");
    }
}

fn run(case: &Value) -> Result<String, String> {
    let text = case["text"].as_str().unwrap();
    let patch = &case["arguments"][0];
    let given = |n: usize| case["arguments"][n].as_str();
    let word = |n: usize| given(n).unwrap();
    match case["function"].as_str().unwrap() {
        "line_present" => Ok(edit::line_present(text, word(0))),
        "line_absent" => Ok(edit::line_absent(text, word(0))),
        "line_key" => Ok(edit::line_key(text, word(0), word(1))),
        "block" => Ok(edit::block(text, word(0), word(1), given(2))),
        "ini_set" => Ok(edit::ini_set(text, word(0), word(1), word(2))),
        "ini_remove" => Ok(edit::ini_remove(text, word(0), word(1))),
        "json_merge" => edit::json_merge(text, patch),
        "toml_merge" => edit::toml_merge(text, patch),
        other => panic!("there is no function {other}"),
    }
}
