//! Secrets: bytes that only those who need them may see.

use std::fmt;

/// What only the jobs that are granted it may know. It cannot be printed or serialized: whoever
/// wants the bytes says so by [`reveal`](Self::reveal).
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// Bytes that cannot be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret has 1 to {} bytes, and this has {size}", Secret::LARGEST)]
pub struct SecretSizeError {
    size: usize,
}

impl Secret {
    /// The most bytes that a secret may have.
    pub const LARGEST: usize = 64 << 10;

    /// The bytes themselves.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }

    /// The bytes themselves, to keep.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl TryFrom<Vec<u8>> for Secret {
    type Error = SecretSizeError;
    fn try_from(bytes: Vec<u8>) -> Result<Self, SecretSizeError> {
        match (1..=Self::LARGEST).contains(&bytes.len()) {
            true => Ok(Self(bytes)),
            false => Err(SecretSizeError { size: bytes.len() }),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_its_size_and_nothing_else() {
        let secret = Secret::try_from(b"hunter2".to_vec()).unwrap();
        assert_eq!(
            format!("{secret:?} {:?}", Some(&secret)),
            "Secret(7 bytes) Some(Secret(7 bytes))"
        );
        assert_eq!(secret.reveal(), b"hunter2");
    }

    #[test]
    fn nothing_and_too_much_are_no_secrets() {
        assert!(Secret::try_from(vec![0; Secret::LARGEST]).is_ok());
        for size in [0, Secret::LARGEST + 1] {
            let error = Secret::try_from(vec![0; size]).unwrap_err().to_string();
            assert!(error.contains("65536") && error.contains(&size.to_string()), "{error}");
        }
    }
}
