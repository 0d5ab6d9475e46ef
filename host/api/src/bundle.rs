//! What is taken away from a cluster to be looked at elsewhere: sealed, so that only who has its key
//! can read it, and to be opened until a certain time only.
//!
//! A file of three parts: a line that says what it is; a line of JSON, [`About`], that everybody may
//! read and nobody can change; and the content, by ChaCha20-Poly1305 (RFC 8439) under a key that is
//! used for nothing else, so that its nonce is always zero.

use cerebro_model::{DeploymentId, InstanceId, Timestamp};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The first line.
const FIRST: &[u8] = b"cerebro bundle 1\n";
/// Bytes of a key.
const KEY: usize = 32;

/// What a bundle holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The deployment whose recipe was recorded.
    pub deployment: DeploymentId,
    /// The instance for which it ran.
    pub instance: InstanceId,
    /// When it was sealed.
    pub made: Timestamp,
    /// Until when it can be opened.
    pub expires: Timestamp,
}

/// What opens one bundle.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; KEY]);

/// A bundle cannot be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// It is none.
    #[error("this is no bundle of Cerebro's, or not all of it")]
    Foreign,
    /// Its time is over.
    #[error(
        "it could be opened until {0}: record it again, if the machine that it was made on still has it"
    )]
    Expired(Timestamp),
    /// It is another's key, or the bundle was changed.
    #[error("this key does not open it: it is another's, or the bundle was changed")]
    Locked,
    /// A text is no key.
    #[error("this is no key: expected {} hexadecimal digits", KEY * 2)]
    Key,
    /// The system has no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

impl Key {
    fn new() -> Result<Self, BundleError> {
        let mut bytes = [0; KEY];
        SystemRandom::new().fill(&mut bytes).map_err(|_| BundleError::Random)?;
        Ok(Self(bytes))
    }

    fn cipher(&self) -> Result<LessSafeKey, BundleError> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &self.0).map_err(|_| BundleError::Locked)?;
        Ok(LessSafeKey::new(key))
    }
}

/// As it is given to people.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// It is a secret.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl FromStr for Key {
    type Err = BundleError;

    fn from_str(text: &str) -> Result<Self, BundleError> {
        let text = text.trim().as_bytes();
        let mut bytes = [0; KEY];
        if text.len() != KEY * 2 {
            return Err(BundleError::Key);
        }
        for (byte, digits) in bytes.iter_mut().zip(text.chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| BundleError::Key)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| BundleError::Key)?;
        }
        Ok(Self(bytes))
    }
}

/// Whether these bytes begin as a bundle does.
pub fn is_bundle(bytes: &[u8]) -> bool {
    bytes.starts_with(FIRST)
}

/// Seals `content` under a new key.
pub fn seal(about: &About, mut content: Vec<u8>) -> Result<(Vec<u8>, Key), BundleError> {
    let key = Key::new()?;
    let mut bytes = FIRST.to_vec();
    // It consists of texts and times.
    bytes.extend(serde_json::to_vec(about).map_err(|_| BundleError::Foreign)?);
    bytes.push(b'\n');
    key.cipher()?
        .seal_in_place_append_tag(nonce(), Aad::from(&bytes), &mut content)
        .map_err(|_| BundleError::Locked)?;
    bytes.extend(content);
    Ok((bytes, key))
}

/// What a bundle holds, and the content, if it is not too late.
pub fn open(bytes: &[u8], key: &Key, now: Timestamp) -> Result<(About, Vec<u8>), BundleError> {
    let rest = bytes.strip_prefix(FIRST).ok_or(BundleError::Foreign)?;
    let end = rest.iter().position(|byte| *byte == b'\n').ok_or(BundleError::Foreign)?;
    let (line, sealed) = rest.split_at(end);
    let about: About = serde_json::from_slice(line).map_err(|_| BundleError::Foreign)?;
    let sealed = sealed.strip_prefix(b"\n").ok_or(BundleError::Foreign)?;
    let head = &bytes[..bytes.len() - sealed.len()];
    let mut content = sealed.to_vec();
    let length = key
        .cipher()?
        .open_in_place(nonce(), Aad::from(head), &mut content)
        .map_err(|_| BundleError::Locked)?
        .len();
    content.truncate(length);
    // Only now is it sure that nobody has changed the time.
    match now > about.expires {
        true => Err(BundleError::Expired(about.expires)),
        false => Ok((about, content)),
    }
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> About {
        About {
            deployment: "d-7".parse().unwrap(),
            instance: "0.z-1.portal.startup.com".parse().unwrap(),
            made: Timestamp::from_millis(1000),
            expires: Timestamp::from_millis(2000),
        }
    }

    #[test]
    fn what_was_sealed_is_opened_by_its_key_in_its_time() {
        let (bytes, key) = seal(&about(), b"what happened".to_vec()).unwrap();
        assert!(is_bundle(&bytes) && !bytes.windows(8).any(|part| part == b"happened"));
        let key: Key = format!("{key}\n").parse().unwrap();
        let opened = open(&bytes, &key, Timestamp::from_millis(2000)).unwrap();
        assert_eq!(opened, (about(), b"what happened".to_vec()));
        let late = open(&bytes, &key, Timestamp::from_millis(2001));
        assert_eq!(late, Err(BundleError::Expired(about().expires)));
        let (_, other) = seal(&about(), Vec::new()).unwrap();
        assert_eq!(open(&bytes, &other, about().made), Err(BundleError::Locked));
        assert_eq!(format!("{key:?}"), "Key(..)");
    }

    #[test]
    fn no_byte_of_it_can_be_changed_or_left_out() {
        let (bytes, key) = seal(&about(), b"abc".to_vec()).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(open(&changed, &key, about().made).is_err(), "byte {at}");
            assert!(open(&bytes[..at], &key, about().made).is_err(), "{at} bytes");
        }
        for text in ["", "00", &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(text.parse::<Key>(), Err(BundleError::Key), "{text}");
        }
    }
}
