//! Filters of listings.

use crate::api::{ApiError, Params};

/// Those of a call: all must hold, each by one of its values.
#[derive(Debug, Default)]
pub(super) struct Filters(Vec<(String, Vec<String>)>);

impl Filters {
    pub(super) fn read(params: &Params) -> Result<Self, ApiError> {
        let mut all = Vec::new();
        for n in 1.. {
            let Some(name) = params.get(&format!("Filter.{n}.Name")) else { break };
            let values: Vec<String> =
                params.list(&format!("Filter.{n}.Value")).into_iter().map(str::to_owned).collect();
            if values.is_empty() {
                let message = format!("The filter '{name}' has no values");
                return Err(ApiError::new(400, "InvalidParameterValue", message));
            }
            all.push((name.to_owned(), values));
        }
        Ok(Self(all))
    }

    /// Whether something passes, of which `of` says what it has by a filter's name; nothing for a name that is no filter.
    pub(super) fn pass(&self, of: impl Fn(&str) -> Option<Vec<String>>) -> Result<bool, ApiError> {
        for (name, values) in &self.0 {
            let Some(has) = of(name) else {
                let message = format!("The filter '{name}' is invalid");
                return Err(ApiError::new(400, "InvalidParameterValue", message));
            };
            if !values.iter().any(|value| has.iter().any(|it| is_like(value, it))) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether a text is like a pattern, in which `*` is anything and `?` one character.
fn is_like(pattern: &str, text: &str) -> bool {
    let mut pattern_rest = pattern.chars();
    match pattern_rest.next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = pattern_rest.as_str();
            let mut starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            starts.any(|at| is_like(rest, &text[at..]))
        }
        Some(wanted) => {
            let mut text_rest = text.chars();
            text_rest.next().is_some_and(|found| {
                (wanted == '?' || wanted == found)
                    && is_like(pattern_rest.as_str(), text_rest.as_str())
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text) in
            [("m7i.*", "m7i.large"), ("*", ""), ("t?.small", "t3.small"), ("a*b*c", "aXbYc")]
        {
            assert!(is_like(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("m7i.*", "m7g.large"), ("", "a"), ("t?.small", "t3a.small"), ("a*b", "abc")]
        {
            assert!(!is_like(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn all_filters_hold_and_what_is_none_is_refused() {
        let params = [
            ("Filter.1.Name", "tag:a"),
            ("Filter.1.Value.1", "x"),
            ("Filter.1.Value.2", "y"),
            ("Filter.2.Name", "zone"),
            ("Filter.2.Value.1", "z"),
        ];
        let params = params.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let filters = Filters::read(&Params(params.into())).unwrap();
        let has = |tag: &'static str| {
            move |name: &str| match name {
                "tag:a" => Some(vec![tag.to_owned()]),
                "zone" => Some(vec!["z".to_owned()]),
                _ => None,
            }
        };
        assert_eq!(filters.pass(has("y")), Ok(true));
        assert_eq!(filters.pass(has("w")), Ok(false));
        assert_eq!(filters.pass(|_| None).unwrap_err().code, "InvalidParameterValue");
    }
}
