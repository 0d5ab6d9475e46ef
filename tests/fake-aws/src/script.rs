//! Which calls fail.

use crate::api::{ApiError, Params};

/// Has some calls of one action fail.
#[derive(Debug, Clone)]
pub struct Rule {
    action: String,
    with: Vec<(String, String)>,
    skip: u32,
    times: u32,
    error: ApiError,
}

impl Rule {
    /// The next call of this action fails.
    pub fn fail(action: &str, error: ApiError) -> Self {
        Self { action: action.to_owned(), with: Vec::new(), skip: 0, times: 1, error }
    }

    /// Only those with this parameter.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.with.push((name.to_owned(), value.to_owned()));
        self
    }

    /// So many go through before.
    pub fn skip(mut self, calls: u32) -> Self {
        self.skip = calls;
        self
    }

    /// So many in a row.
    pub fn times(mut self, calls: u32) -> Self {
        self.times = calls;
        self
    }

    /// All of them.
    pub fn always(self) -> Self {
        self.times(u32::MAX)
    }

    fn is_about(&self, action: &str, params: &Params) -> bool {
        let is_given = |(name, value): &(String, String)| params.get(name) == Some(value);
        self.action == action && self.with.iter().all(is_given)
    }
}

/// Rules, of which the first that is about a call decides.
#[derive(Debug, Default)]
pub struct Script(Vec<Rule>);

impl Script {
    /// Adds a rule behind the others.
    pub fn add(&mut self, rule: Rule) {
        self.0.push(rule);
    }

    /// From now on nothing fails by a rule.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn error(&mut self, action: &str, params: &Params) -> Option<ApiError> {
        for rule in &mut self.0 {
            if rule.times == 0 || !rule.is_about(action, params) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                return None;
            }
            if rule.times != u32::MAX {
                rule.times -= 1;
            }
            return Some(rule.error.clone());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_for_some_calls_and_then_used_up() {
        let mut script = Script::default();
        script.add(Rule::fail("Run", ApiError::quota()).with("Type", "big").skip(1).times(2));
        let params = |kind: &str| Params([("Type".to_owned(), kind.to_owned())].into());
        assert_eq!(script.error("Run", &params("small")), None);
        assert_eq!(script.error("Describe", &params("big")), None);
        let errors: Vec<bool> =
            (0..4).map(|_| script.error("Run", &params("big")).is_some()).collect();
        assert_eq!(errors, [false, true, true, false]);
        script.add(Rule::fail("Run", ApiError::quota()).always());
        assert!((0..9).all(|_| script.error("Run", &params("small")).is_some()));
    }
}
