//! Trees.

use serde::{Deserialize, Serialize};

/// An absolute path, which covers itself and everything below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String)]
pub struct PathPattern(String);

impl PathPattern {
    /// Whether this is `path` or a directory above it.
    pub fn covers(&self, path: &str) -> bool {
        is_at_or_below(path, &self.0)
    }

    /// The path, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `path` is `tree` or lies below it.
pub(super) fn is_at_or_below(path: &str, tree: &str) -> bool {
    match path.strip_prefix(tree) {
        Some(rest) => tree == "/" || rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

/// Whether these are the parts of a plain path: none of them empty, `.` or `..`.
pub(super) fn is_plain<'a>(mut parts: impl Iterator<Item = &'a str>) -> bool {
    parts.all(|part| !matches!(part, "" | "." | "..") && !part.contains('\0'))
}

impl TryFrom<String> for PathPattern {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let stem = text.strip_suffix("/**").unwrap_or(&text);
        let trimmed = stem.trim_end_matches('/');
        let is_plain = is_plain(trimmed.split('/').skip(1));
        if !text.starts_with('/') || !is_plain || trimmed.contains('*') {
            return Err(format!(
                "`{text}` is not a path to grant: expected an absolute path without `.`, `..` and `*`"
            ));
        }
        Ok(Self(if trimmed.is_empty() { "/".to_owned() } else { trimmed.to_owned() }))
    }
}

impl From<PathPattern> for String {
    fn from(pattern: PathPattern) -> String {
        pattern.0
    }
}
