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
}
