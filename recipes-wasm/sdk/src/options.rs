//! The options that a job gives to a component.

use crate::Host;
use serde::de::DeserializeOwned;

/// This component's options as a `T`.
pub fn get<T: DeserializeOwned>(host: &impl Host) -> Result<T, String> {
    parse(&host.options())
}

/// Options from JSON.
fn parse<T: DeserializeOwned>(json: &str) -> Result<T, String> {
    serde_json::from_str(json).map_err(|error| format!("the options don't fit: {error}"))
}

/// Milliseconds of a time that an option gives in seconds. A time of nothing is a mistake: nothing
/// gets done in it.
pub fn millis(option: &str, seconds: f64) -> Result<u32, String> {
    let millis = seconds * 1000.0;
    match (1.0..=f64::from(u32::MAX)).contains(&millis) {
        true => Ok(millis as u32),
        false => Err(format!("`{option}`: {seconds} is no time in seconds")),
    }
}

#[cfg(test)]
mod tests {
    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only its parsing matters")]
    struct Options {
        dir: String,
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let missing = super::parse::<Options>("{}").unwrap_err();
        assert!(missing.contains("`dir`"), "{missing}");
        let unknown = super::parse::<Options>(r#"{"dri": "/a"}"#).unwrap_err();
        assert!(unknown.contains("`dri`") && unknown.contains("`dir`"), "{unknown}");
    }

    #[test]
    fn a_time_is_one_in_which_something_can_be_done() {
        assert_eq!(super::millis("timeout", 0.25), Ok(250));
        for bad in [0.0, -1.0, 1e-9, f64::INFINITY] {
            let error = super::millis("timeout", bad).unwrap_err();
            assert!(error.starts_with("`timeout`: ") && error.contains("no time"), "{error}");
        }
    }
}
