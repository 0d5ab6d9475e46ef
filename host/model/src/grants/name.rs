//! Names of packages, services, users and tasks.

use super::glob::matches_word;
use serde::{Deserialize, Serialize};

/// A name, in which `*` stands for any characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String)]
pub struct NamePattern(String);

impl NamePattern {
    /// Whether `name` is meant. What begins with `-` never is.
    pub fn covers(&self, name: &str) -> bool {
        matches_word(&self.0, name)
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for NamePattern {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        // The letters of the names of packages (`libstdc++6:amd64`, `@core`), units
        // (`getty@tty1.service`, `a\x2db`), users and tasks.
        let valid = |b: u8| b.is_ascii_alphanumeric() || b"._+-:@~\\*".contains(&b);
        if !(1..=256).contains(&text.len()) || !text.bytes().all(valid) || text.starts_with('-') {
            return Err(format!(
                "`{text}` is not a name to grant: expected letters, digits and `._+-:@~`, with `*` for any of them"
            ));
        }
        Ok(Self(text))
    }
}

impl From<NamePattern> for String {
    fn from(pattern: NamePattern) -> String {
        pattern.0
    }
}
