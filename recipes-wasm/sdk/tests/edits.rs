//! The cases that the edits of each language are held to, of which this crate's are the measure.

use cerebro_recipe::edit;
use serde_json::Value;

const CASES: &str = include_str!("../../../tests/edits.json");

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    function: String,
    text: String,
    arguments: Vec<Value>,
    result: Option<String>,
    /// What the error's words hold.
    error: Option<String>,
}

#[test]
fn each_edit_is_as_the_cases_say() {
    let cases: Vec<Case> = serde_json::from_str(CASES).unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let made = run(&case);
        let is_good = match (&made, &case.result, &case.error) {
            (Ok(text), Some(result), None) => text == result,
            (Err(why), None, Some(error)) => why.contains(error),
            _ => false,
        };
        assert!(is_good, "{case:?}\ngot {made:?}");
    }
}

fn run(Case { function, text, arguments, .. }: &Case) -> Result<String, String> {
    let given = |n: usize| arguments.get(n).and_then(Value::as_str);
    let word = |n: usize| given(n).unwrap_or_default();
    match function.as_str() {
        "line_present" => Ok(edit::line_present(text, word(0))),
        "line_absent" => Ok(edit::line_absent(text, word(0))),
        "line_key" => Ok(edit::line_key(text, word(0), word(1))),
        "block" => Ok(edit::block(text, word(0), word(1), given(2))),
        "ini_set" => Ok(edit::ini_set(text, word(0), word(1), word(2))),
        "ini_remove" => Ok(edit::ini_remove(text, word(0), word(1))),
        "json_merge" => edit::json_merge(text, &arguments[0]),
        "toml_merge" => edit::toml_merge(text, &arguments[0]),
        other => panic!("there is no function {other}"),
    }
}
