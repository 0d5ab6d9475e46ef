//! What a settings file may say, for editors and for whoever writes one by a program.

use super::file::SettingsFile;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

/// Everything that a settings file is made of.
#[derive(OpenApi)]
#[openapi(components(schemas(SettingsFile)))]
struct Described;

/// Where schemas of an OpenAPI document are; those of a JSON Schema are elsewhere.
const COMPONENTS: &str = "#/components/schemas/";

/// The JSON Schema of a settings file, made from what reads one.
pub fn schema() -> Value {
    let mut described = serde_json::to_value(Described::openapi()).unwrap_or_default();
    let mut all = described["components"]["schemas"].take();
    refer(&mut all);
    let mut schema = Map::new();
    let mut put = |key: &str, value: Value| schema.insert(key.to_owned(), value);
    put("$schema", json!("https://json-schema.org/draft/2020-12/schema"));
    put("title", json!("Settings of a cluster sitter"));
    put("$ref", json!("#/$defs/SettingsFile"));
    put("$defs", all);
    Value::Object(schema)
}

/// Has every reference lead to where its schema is.
fn refer(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                match value {
                    Value::String(to) if key == "$ref" => *to = to.replace(COMPONENTS, "#/$defs/"),
                    other => refer(other),
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(refer),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys of each thing, as `Thing.key`.
    fn keys(schema: &Value) -> Vec<String> {
        let all = schema["$defs"].as_object().unwrap();
        let of = |(name, it): (&String, &Value)| {
            let keys = it["properties"].as_object().cloned().unwrap_or_default();
            keys.keys().map(|key| format!("{name}.{key}")).collect::<Vec<_>>()
        };
        all.iter().flat_map(of).collect()
    }

    #[test]
    fn every_reference_leads_somewhere_and_nothing_unknown_is_let_through() {
        let schema = schema();
        let text = schema.to_string();
        for to in text.split("\"$ref\":\"").skip(1).filter_map(|it| it.split('"').next()) {
            let name = to.strip_prefix("#/$defs/").unwrap();
            assert!(schema["$defs"][name].is_object(), "{to}");
        }
        for (name, it) in schema["$defs"].as_object().unwrap() {
            if it["properties"].is_object() {
                assert_eq!(it["additionalProperties"], json!(false), "{name}");
            }
        }
        let keys = keys(&schema);
        for key in ["SettingsFile.listen", "Ec2ZoneSettings.image", "HostedZone.private"] {
            assert!(keys.iter().any(|it| it == key), "{key} is not among {keys:?}");
        }
    }

    #[test]
    fn every_key_has_words_and_is_in_the_guide() {
        let schema = schema();
        let guide = include_str!("../../../../docs/settings.md");
        for (name, it) in schema["$defs"].as_object().unwrap() {
            for (key, about) in it["properties"].as_object().into_iter().flatten() {
                let words = [&about["description"], &about["oneOf"][0]["description"]];
                let has_words = words.into_iter().any(Value::is_string);
                assert!(has_words, "{name}.{key} is not described: {about}");
                assert!(guide.contains(&format!("`{key}`")), "docs/settings.md lacks `{key}`");
            }
        }
    }
}
