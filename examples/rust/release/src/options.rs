//! What a job may say.

use serde_json::Value;

/// The options.
pub struct Options {
    /// The directory of all releases.
    pub base: String,
    /// The SHA-256 of the release.
    pub artifact: String,
    /// A value for the template.
    pub greeting: String,
    /// How many releases stay.
    pub keep: u32,
}

impl Options {
    /// Options from JSON.
    pub fn parse(json: &str) -> Result<Self, String> {
        let options = serde_json::from_str(json).map_err(|error| error.to_string())?;
        Ok(Self {
            base: text(&options, "base", None)?,
            artifact: text(&options, "artifact", None)?,
            greeting: text(&options, "greeting", Some("hello"))?,
            keep: number(&options, "keep", 2)?,
        })
    }
}

fn text(options: &Value, name: &str, default: Option<&str>) -> Result<String, String> {
    match (options.get(name), default) {
        (Some(Value::String(text)), _) => Ok(text.clone()),
        (Some(_), _) => Err(format!("the option {name} is not a text")),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(format!("the option {name} is missing")),
    }
}

fn number(options: &Value, name: &str, default: u32) -> Result<u32, String> {
    let Some(value) = options.get(name) else { return Ok(default) };
    let is_whole = |number: &f64| number.fract() == 0.0 && (0.0..=u32::MAX.into()).contains(number);
    let number = value.as_f64().filter(is_whole).map(|number| number as u32);
    number.ok_or_else(|| format!("the option {name} is not a whole number"))
}
