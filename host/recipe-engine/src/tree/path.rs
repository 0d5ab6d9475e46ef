//! Paths as components write them.

use crate::bindings::interfaces::types::Error;
use std::fmt;

/// Bytes of a path: PATH_MAX of the kernel.
const LONGEST: usize = 4096;

/// An absolute path without `.`, `..` and empty parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plain(Vec<String>);

impl Plain {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || {
            Error::Invalid(format!(
                "`{text}` is not a plain path: expected an absolute path without `.`, `..`, empty \
                 parts and a `/` at its end"
            ))
        };
        let rest = text.strip_prefix('/').ok_or_else(wrong)?;
        if rest.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let bad = |part: &str| matches!(part, "" | "." | "..") || part.contains('\0');
        if text.len() > LONGEST {
            let (start, length) = (&text[..text.floor_char_boundary(64)], text.len());
            return Err(Error::Invalid(format!(
                "the path `{start}…` is too long: {length} bytes, of {LONGEST} that it may have"
            )));
        }
        if rest.split('/').any(bad) {
            return Err(wrong());
        }
        Ok(Self(rest.split('/').map(str::to_owned).collect()))
    }

    /// `/`.
    pub(super) fn root() -> Self {
        Self(Vec::new())
    }

    /// The path of `name` in this directory.
    pub(super) fn join(&self, name: &str) -> Self {
        Self(self.0.iter().cloned().chain([name.to_owned()]).collect())
    }

    /// Whether this is somewhere in `other`.
    pub(super) fn is_below(&self, other: &Self) -> bool {
        self.0.len() > other.0.len() && self.0.starts_with(&other.0)
    }

    /// The directory that this is in.
    pub(super) fn above(&self) -> Self {
        Self(self.0.iter().take(self.0.len().saturating_sub(1)).cloned().collect())
    }

    pub(super) fn parts(&self) -> &[String] {
        &self.0
    }

    /// The path to part `at`, and no further.
    pub(super) fn up_to(&self, at: usize) -> Self {
        Self(self.0.iter().take(at + 1).cloned().collect())
    }

    /// This path once the link at part `at` was replaced by its target. Like the kernel in a
    /// changed root, `..` stays at the root.
    pub(super) fn redirect(&self, at: usize, target: &str) -> Self {
        let mut parts: Vec<String> = match target.starts_with('/') {
            true => Vec::new(),
            false => self.0.iter().take(at).cloned().collect(),
        };
        for part in target.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                name => parts.push(name.to_owned()),
            }
        }
        parts.extend(self.0.iter().skip(at + 1).cloned());
        Self(parts)
    }
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::Plain;

    #[test]
    fn only_plain_paths_are_taken() {
        for good in ["/", "/a", "/a/b c/ü"] {
            assert_eq!(Plain::parse(good).unwrap().to_string(), good);
        }
        for bad in ["", "a", "a/b", "//", "/a/", "/a//b", "/a/../b", "/.", "/a/./b", "/a\0"] {
            assert!(Plain::parse(bad).is_err(), "{bad}");
        }
        assert!(Plain::parse(&"/a".repeat(3000)).is_err());
    }

    #[test]
    fn a_link_leads_where_the_kernel_would_go() {
        let path = Plain::parse("/opt/app/current/etc/x").unwrap();
        let to = |target| path.redirect(2, target).to_string();
        assert_eq!(to("1.2"), "/opt/app/1.2/etc/x");
        assert_eq!(to("../other/./2"), "/opt/other/2/etc/x");
        assert_eq!(to("/srv"), "/srv/etc/x");
        assert_eq!(to("../../../../.."), "/etc/x");
    }
}
