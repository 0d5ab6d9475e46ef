//! What updates are signed with: TSIG, RFC 8945.

use crate::wire;
use cerebro_model::{Secret, SecretSizeError};
use data_encoding::BASE64;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::{Name, TSigner};
use std::fmt;
use std::str::FromStr;

/// As far apart may the clocks of server and controller be, in seconds: RFC 8945, section 10.
const FUDGE: u16 = 300;

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// What `tsig-keygen` makes by default.
    #[default]
    HmacSha256,
    /// With SHA-384.
    HmacSha384,
    /// With SHA-512.
    HmacSha512,
}

impl Algorithm {
    const ALL: [Self; 3] = [Self::HmacSha256, Self::HmacSha384, Self::HmacSha512];

    fn tsig(self) -> TsigAlgorithm {
        match self {
            Self::HmacSha256 => TsigAlgorithm::HmacSha256,
            Self::HmacSha384 => TsigAlgorithm::HmacSha384,
            Self::HmacSha512 => TsigAlgorithm::HmacSha512,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
        })
    }
}

impl FromStr for Algorithm {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let named = Self::ALL.into_iter().find(|algorithm| algorithm.to_string() == text);
        named.ok_or_else(|| KeyError::Algorithm(text.to_owned()))
    }
}

/// Why something is no key. None of these shows the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Its name is none.
    #[error(
        "`{0}` is no name of a key: expected a DNS name, such as `cerebro`, as in the server's configuration"
    )]
    Name(String),
    /// It signs in a way that is not known.
    #[error("`{0}` is no algorithm of a key: expected hmac-sha256, hmac-sha384 or hmac-sha512")]
    Algorithm(String),
    /// Its secret cannot be read.
    #[error(
        "the key's secret is not in base64: copy all that stands between the quotes after `secret`"
    )]
    Secret,
    /// Its secret has no size that one can have.
    #[error(transparent)]
    Size(#[from] SecretSizeError),
}

/// A key that the server knows as well.
#[derive(Debug, Clone)]
pub struct TsigKey {
    name: Name,
    algorithm: Algorithm,
    secret: Secret,
}

impl TsigKey {
    /// As it stands in the server's configuration: its name, how it signs, and its secret in base64.
    pub fn new(name: &str, algorithm: Algorithm, secret: &str) -> Result<Self, KeyError> {
        let wrong = || KeyError::Name(name.to_owned());
        let parsed = wire::name(name).map_err(|_| wrong())?;
        if parsed.is_root() {
            return Err(wrong());
        }
        let bytes = BASE64.decode(secret.trim().as_bytes()).map_err(|_| KeyError::Secret)?;
        Ok(Self { name: parsed, algorithm, secret: Secret::try_from(bytes)? })
    }

    /// What signs with it. The library keeps a copy of the secret.
    pub(super) fn signer(&self) -> Option<TSigner> {
        let secret = self.secret.reveal().to_vec();
        TSigner::new(secret, self.algorithm.tsig(), self.name.clone(), FUDGE).ok()
    }
}

impl fmt::Display for TsigKey {
    /// Its name and how it signs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({})", self.name.to_ascii().trim_end_matches('.'), self.algorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_and_never_shown() {
        let key =
            TsigKey::new("cerebro.", Algorithm::HmacSha512, " c2VjcmV0LXNlY3JldA==\n").unwrap();
        assert_eq!(key.to_string(), "`cerebro` (hmac-sha512)");
        assert_eq!(key.secret.reveal(), b"secret-secret");
        let shown = format!("{key:?}");
        assert!(!shown.contains("secret-secret") && !shown.contains("c2Vj"), "{shown}");
        assert!(key.signer().is_some());
    }

    #[test]
    fn what_is_no_key_is_told_without_its_secret() {
        let key = |name: &str, secret: &str| TsigKey::new(name, Algorithm::HmacSha256, secret);
        assert_eq!(key("", "c2Vj").unwrap_err(), KeyError::Name(String::new()));
        assert!(matches!(key("a..b", "c2Vj"), Err(KeyError::Name(_))));
        assert_eq!(key("k", "not base64!").unwrap_err(), KeyError::Secret);
        assert!(matches!(key("k", ""), Err(KeyError::Size(_))));
        assert_eq!("hmac-sha384".parse(), Ok(Algorithm::HmacSha384));
        assert!(matches!("hmac-md5".parse::<Algorithm>(), Err(KeyError::Algorithm(_))));
    }
}
