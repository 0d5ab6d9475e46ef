//! JSON files.

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Map, Value};

/// Merges `patch` into a JSON document as RFC 7396 says: an object is merged key by key, `null`
/// takes a key away, and anything else replaces what is there. Keys keep their order and the text
/// its indentation; what is of an unusual layout gets one value a line. A document that says all
/// of it already stays as it is, byte for byte. Whole numbers beyond 64 bits become floats.
///
/// ```
/// use cerebro_recipe::edit::json_merge;
/// use serde_json::json;
///
/// let old = "{\n  \"port\": 80,\n  \"debug\": true\n}\n";
/// let new = json_merge(old, &json!({"port": 8080, "debug": null, "log": {"level": "info"}}));
/// assert_eq!(
///     new.unwrap(),
///     "{\n  \"port\": 8080,\n  \"log\": {\n    \"level\": \"info\"\n  }\n}\n"
/// );
/// ```
pub fn json_merge(text: &str, patch: &Value) -> Result<String, String> {
    let is_blank = text.trim().is_empty();
    let old: Value = match is_blank {
        true => Value::Object(Map::new()),
        false => serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?,
    };
    let new = merged(old.clone(), patch);
    if new == old && !is_blank {
        return Ok(text.to_owned());
    }
    let indent = indentation(text);
    let mut out = Vec::new();
    let formatter = PrettyFormatter::with_indent(indent.as_bytes());
    new.serialize(&mut Serializer::with_formatter(&mut out, formatter))
        .map_err(|error| format!("it cannot be written: {error}"))?;
    let mut out = String::from_utf8(out).map_err(|error| error.to_string())?;
    out.push('\n');
    Ok(super::with_ends_of(text, &out))
}

fn merged(old: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut map = match old {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    for (key, value) in patch {
        match (value, map.get_mut(key)) {
            // In its place: the order is what a person knows the file by.
            (Value::Null, _) => drop(map.shift_remove(key)),
            (value, Some(there)) => *there = merged(there.take(), value),
            (value, None) => drop(map.insert(key.clone(), merged(Value::Null, value))),
        }
    }
    Value::Object(map)
}

/// What the first line that is indented is indented with.
fn indentation(text: &str) -> &str {
    let blanks = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let first = text.lines().find(|line| blanks(line) > 0 && !line.trim().is_empty());
    first.map_or("  ", |line| &line[..blanks(line)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_merges_as_the_rfc_shows() {
        // The examples of RFC 7396, appendix A.
        for (old, patch, new) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a": "foo"}), json!("bar"), json!("bar")),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            assert_eq!(merged(old, &patch), new);
        }
    }

    #[test]
    fn order_indentation_and_end_stay() {
        let old = "{\n\t\"z\": 1,\n\t\"a\": [],\n\t\"m\": {}\n}";
        let new = json_merge(old, &json!({"a": 2, "m": null, "b": "é"})).unwrap();
        assert_eq!(new, "{\n\t\"z\": 1,\n\t\"a\": 2,\n\t\"b\": \"é\"\n}");
        assert_eq!(json_merge(&new, &json!({"a": 2, "m": null})).unwrap(), new);
        let odd = "{ \"a\":1}";
        assert_eq!(json_merge(odd, &json!({"a": 1})).unwrap(), odd);
        assert_eq!(json_merge("{\r\n}\r\n", &json!({"a": 1})).unwrap(), "{\r\n  \"a\": 1\r\n}\r\n");
        assert_eq!(json_merge("", &json!({"a": 1})).unwrap(), "{\n  \"a\": 1\n}\n");
    }

    #[test]
    fn what_is_no_json_is_named_with_its_line() {
        let error = json_merge("{\n  // why\n}", &json!({})).unwrap_err();
        assert!(error.contains("it is no JSON") && error.contains("line 2"), "{error}");
    }
}
