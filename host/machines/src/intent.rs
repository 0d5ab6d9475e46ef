//! By what a provider tells a machine from another one that somebody gave the same name.

use cerebro_model::Digest;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a machine is made by, once for each time that somebody decided to make one of its name. It is told from the join
/// token, which is secret, and does not tell it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Intent(String);

impl Intent {
    /// So many digits of the digest: no two tokens that are drawn have them in common.
    const DIGITS: usize = 32;

    /// That of a join token.
    pub fn of(join_token: &str) -> Self {
        // Each part with its length, so that no two lists of parts are one text.
        let parts = ["intent", join_token].into_iter();
        let framed: Vec<u8> = parts
            .flat_map(|part| [&(part.len() as u64).to_be_bytes()[..], part.as_bytes()].concat())
            .collect();
        Self(Digest::of(&framed).to_string().chars().take(Self::DIGITS).collect())
    }

    /// One that is written down somewhere, such as in a tag.
    pub fn written(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// As it is written down.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Intent;

    #[test]
    fn it_is_of_one_token_and_does_not_tell_it() {
        let intent = Intent::of("secret");
        assert_eq!(intent, Intent::of("secret"));
        assert_ne!(intent, Intent::of("another"));
        assert_eq!(Intent::written(intent.as_str()), intent);
        // It is in the tags of machines that run.
        assert_eq!(intent.as_str(), "31fb43d15edd3441f1e016de659ab2fb");
    }
}
