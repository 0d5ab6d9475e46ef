//! TOML files.

use serde_json::Value as Json;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

/// Merges `patch` into a TOML document as RFC 7396 says for JSON: an object is merged into a table
/// key by key, `null` takes a key away, and anything else replaces what is there. Comments, order
/// and spelling of all that is not named stay, and so does the comment behind a value. A document
/// that says all of it already stays as it is, byte for byte.
///
/// ```
/// use cerebro_recipe::edit::toml_merge;
/// use serde_json::json;
///
/// let old = "# The server.\n[server]\nport = 80 # public\n";
/// let new = toml_merge(old, &json!({"server": {"port": 8080, "host": "::"}}));
/// assert_eq!(new.unwrap(), "# The server.\n[server]\nport = 8080 # public\nhost = \"::\"\n");
/// ```
pub fn toml_merge(text: &str, patch: &Json) -> Result<String, String> {
    let mut document: DocumentMut =
        text.parse().map_err(|error| format!("it is no TOML: {error}"))?;
    let Json::Object(patch) = patch else {
        return Err("a TOML document is a table: expected an object to merge".to_owned());
    };
    match merge(document.as_table_mut(), patch, false)? {
        true => Ok(super::with_ends_of(text, &document.to_string())),
        false => Ok(text.to_owned()),
    }
}

/// Merges into a table; whether that changed it.
fn merge(
    table: &mut dyn TableLike,
    patch: &serde_json::Map<String, Json>,
    inline: bool,
) -> Result<bool, String> {
    let mut changed = false;
    for (key, wanted) in patch {
        let within = |why: String| format!("`{key}`: {why}");
        match wanted {
            Json::Null => changed |= table.remove(key).is_some(),
            Json::Object(inner) => {
                let is_table = table.get(key).is_some_and(Item::is_table_like);
                if !is_table {
                    let new = match inline {
                        true => Item::Value(InlineTable::new().into()),
                        false => Item::Table(Table::new()),
                    };
                    table.insert(key, new);
                    changed = true;
                }
                let there = table.get_mut(key);
                let inline = there.as_ref().is_some_and(|item| item.is_inline_table());
                if let Some(there) = there.and_then(Item::as_table_like_mut) {
                    changed |= merge(there, inner, inline).map_err(within)?;
                }
            }
            wanted => {
                let mut new = value(wanted).map_err(within)?;
                match table.get_mut(key) {
                    Some(Item::Value(there)) if same(there, &new) => continue,
                    Some(Item::Value(there)) => {
                        *new.decor_mut() = there.decor().clone();
                        *there = new;
                    }
                    _ => drop(table.insert(key, Item::Value(new))),
                }
                changed = true;
            }
        }
    }
    Ok(changed)
}

fn value(json: &Json) -> Result<Value, String> {
    Ok(match json {
        Json::Null => return Err("TOML knows no null within a list".to_owned()),
        Json::Bool(flag) => (*flag).into(),
        Json::String(text) => text.as_str().into(),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            // As JSON spells it: with an exponent where it is long.
            (None, Some(_)) if number.is_f64() => spelled(&number.to_string())?,
            _ => return Err(format!("TOML knows no number as large as {number}")),
        },
        Json::Array(items) => {
            items.iter().map(value).collect::<Result<Array, _>>().map(Value::Array)?
        }
        Json::Object(map) => {
            let mut table = InlineTable::new();
            for (key, json) in map {
                table.insert(key, value(json).map_err(|why| format!("`{key}`: {why}"))?);
            }
            table.into()
        }
    })
}

fn spelled(value: &str) -> Result<Value, String> {
    value.parse().map_err(|error| format!("TOML knows no number {value}: {error}"))
}

/// Whether two values are the same, however they are spelled.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a.value() == b.value(),
        (Value::Integer(a), Value::Integer(b)) => a.value() == b.value(),
        (Value::Float(a), Value::Float(b)) => a.value() == b.value(),
        (Value::Boolean(a), Value::Boolean(b)) => a.value() == b.value(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::InlineTable(a), Value::InlineTable(b)) => {
            let is_same = |(key, a): (&str, &Value)| b.get(key).is_some_and(|b| same(a, b));
            a.len() == b.len() && a.iter().all(is_same)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const OLD: &str = "# top\nname = 'app'  # its name\nlist = [ 1, 2 ]\n\n[a.b]\n# why\nx = 1\n\n[[c]]\ny = 1\n\n[d]\npoint = { x = 1, y = 2 }\n";

    #[test]
    fn what_is_named_changes_and_all_else_stays() {
        let set = |patch: Json| toml_merge(OLD, &patch).unwrap();
        assert_eq!(set(json!({"name": "new"})), OLD.replace("'app'", "\"new\""));
        assert_eq!(set(json!({"a": {"b": {"x": 2}}})), OLD.replace("x = 1\n\n", "x = 2\n\n"));
        assert_eq!(set(json!({"d": {"point": {"y": 3}}})), OLD.replace("y = 2", "y = 3"));
        assert_eq!(set(json!({"list": null})), OLD.replace("list = [ 1, 2 ]\n", ""));
        assert_eq!(set(json!({"e": {"f": true}})), format!("{OLD}\n[e]\nf = true\n"));
        assert_eq!(set(json!({"list": ["a"]})), OLD.replace("[ 1, 2 ]", "[\"a\"]"));
        let once = set(json!({"c": [{"y": 2}], "g": 0.5}));
        assert_eq!(toml_merge(&once, &json!({"c": [{"y": 2}], "g": 0.5})).unwrap(), once);
    }

    #[test]
    fn what_is_said_already_changes_nothing() {
        let patch = json!({"name": "app", "list": [1, 2], "d": {"point": {"x": 1}}, "z": null});
        for text in [OLD.to_owned(), OLD.replace('\n', "\r\n")] {
            assert_eq!(toml_merge(&text, &patch).unwrap(), text);
        }
        assert_eq!(toml_merge("", &json!({"a": 1})).unwrap(), "a = 1\n");
    }

    #[test]
    fn the_ends_of_lines_stay() {
        let old = "a = 1\r\n# why\r\n[t]\r\nb = 2 # two\r\n";
        let new = toml_merge(old, &json!({"t": {"b": 3, "c": 4}})).unwrap();
        assert_eq!(toml_merge("a = 1", &json!({"b": 2})).unwrap(), "a = 1\nb = 2");
        assert_eq!(new, "a = 1\r\n# why\r\n[t]\r\nb = 3 # two\r\nc = 4\r\n");
    }

    #[test]
    fn what_toml_cannot_say_is_refused_with_its_key() {
        for (text, patch, why) in [
            ("a = \n", json!({}), "it is no TOML"),
            ("", json!([1]), "expected an object"),
            ("", json!({"a": {"b": [null]}}), "`a`: `b`: TOML knows no null"),
            ("", json!({"a": u64::MAX}), "`a`: TOML knows no number as large"),
        ] {
            let error = toml_merge(text, &patch).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
