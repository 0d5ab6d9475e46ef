//! What an agent proves itself with.

use cerebro_model::Digest;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// What proves an agent to be a machine's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AgentToken {
    /// The token. It is part of the intent to make the machine, so that creation can be repeated, unless the agent has brought
    /// one of its own.
    Known(String),
    /// What the provider of a machine that is taken over has kept of it, until the agent shows it.
    Kept {
        /// Of the token.
        digest: Digest,
    },
}

impl AgentToken {
    /// Whether this is what was shown.
    pub fn is(&self, shown: &str) -> bool {
        match self {
            // The time that this takes says nothing of the token.
            Self::Known(token) => token.as_bytes().ct_eq(shown.as_bytes()).into(),
            Self::Kept { digest } => *digest == Digest::of(shown.as_bytes()),
        }
    }

    /// The token, if it is known.
    pub fn known(&self) -> Option<&str> {
        match self {
            Self::Known(token) => Some(token),
            Self::Kept { .. } => None,
        }
    }

    /// Its digest, which tells it to nobody.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Known(token) => Digest::of(token.as_bytes()),
            Self::Kept { digest } => *digest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AgentToken;

    #[test]
    fn a_token_is_known_by_itself_and_by_what_was_kept_of_it() {
        let known = AgentToken::Known("secret".to_owned());
        let kept = AgentToken::Kept { digest: known.digest() };
        for token in [&known, &kept] {
            assert!(token.is("secret") && !token.is("another") && !token.is(""));
            assert_eq!(token.digest(), known.digest());
            let text = serde_json::to_string(token).unwrap();
            assert_eq!(serde_json::from_str::<AgentToken>(&text).unwrap(), *token);
        }
        assert_eq!((known.known(), kept.known()), (Some("secret"), None));
        assert!(!kept.is(&kept.digest().to_string()), "what was kept is no token");
        // As it stands in stores from before.
        assert_eq!(serde_json::from_str::<AgentToken>("\"secret\"").unwrap(), known);
    }
}
