//! What a job expects of an answer, and whether an answer meets it.

use cerebro_recipe::values::Port;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What a job may say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The port, by name or number; the job's first one by default.
    pub port: Option<Port>,
    /// The host; the instance's own address by default.
    pub host: Option<String>,
    /// The path, in which `{{ name }}` stands for a value.
    #[serde(default = "root")]
    pub path: String,
    /// Headers to send.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The status that is good: a number, or a range such as `200-399`.
    #[serde(default)]
    pub expected_status: Statuses,
    /// A text that the body must hold, in which `{{ name }}` stands for a value.
    pub expected_body: Option<String>,
    /// Seconds for all of it.
    #[serde(default = "two")]
    pub timeout: f64,
}

fn root() -> String {
    "/".to_owned()
}

fn two() -> f64 {
    2.0
}

/// The status codes that are good.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Statuses {
    first: u16,
    last: u16,
}

/// How a job writes them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    One(u16),
    Range(String),
}

impl Default for Statuses {
    fn default() -> Self {
        Self { first: 200, last: 399 }
    }
}

impl TryFrom<Written> for Statuses {
    type Error = String;
    fn try_from(written: Written) -> Result<Self, String> {
        let text = match written {
            Written::One(status) => return Ok(Self { first: status, last: status }),
            Written::Range(text) => text,
        };
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        match (first.trim().parse(), last.trim().parse()) {
            (Ok(first), Ok(last)) if first <= last => Ok(Self { first, last }),
            _ => Err(format!("`{text}` is no status: expected `200` or `200-399`")),
        }
    }
}

/// Whether an answer is good, and why not.
pub fn judge(good: &Statuses, part: Option<&str>, status: u16, body: &[u8]) -> Result<(), String> {
    if !(good.first..=good.last).contains(&status) {
        return Err(match good.first == good.last {
            true => format!("status {status}, expected {}", good.first),
            false => format!("status {status}, expected {} to {}", good.first, good.last),
        });
    }
    let text = String::from_utf8_lossy(body);
    match part {
        Some(part) if !text.contains(part) => {
            let start: String = text.chars().take(80).collect();
            Err(format!("`{part}` is not in the body, which starts with `{}`", start.trim()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_numbers_or_ranges() {
        let parse = |text: &str| Statuses::try_from(Written::Range(text.to_owned()));
        assert_eq!(parse("204").unwrap(), Statuses { first: 204, last: 204 });
        assert_eq!(parse("200-299").unwrap(), Statuses { first: 200, last: 299 });
        for bad in ["", "2xx", "300-200"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_answer_is_judged_by_status_and_body() {
        let good = Statuses::default();
        assert_eq!(judge(&good, None, 302, b""), Ok(()));
        assert_eq!(judge(&good, Some("v2"), 200, b"portal v2"), Ok(()));
        let error = judge(&good, None, 503, b"").unwrap_err();
        assert!(error.contains("503") && error.contains("200 to 399"), "{error}");
        let error = judge(&good, Some("v2"), 200, b"portal v1").unwrap_err();
        assert!(error.contains("`v2`") && error.contains("portal v1"), "{error}");
    }
}
