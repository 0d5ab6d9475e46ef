//! The key of the secrets, in a file of its own, and what it seals: ChaCha20-Poly1305 (RFC 8439).

use cerebro_model::Secret;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::error::Unspecified;
use ring::rand::{SecureRandom, SystemRandom};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Bytes of a key.
const KEY_LEN: usize = 32;
/// The first byte of all that is sealed: how it was done.
const FORM: u8 = 1;

/// Why secrets can be neither read nor kept.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There are secrets, and no key for them.
    #[error(
        "`{}`, the key of the cluster's secrets, is not there, and without it they cannot be read: \
         restore it, or remove every secret and set it again", .path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It is another store's.
    #[error(
        "`{}` is not the key that the cluster's secrets were encrypted with: restore that one, or \
         remove every secret and set it again", .path.display()
    )]
    Wrong {
        /// The file.
        path: PathBuf,
    },
    /// Others can read it.
    #[error(
        "`{}`, the key of the cluster's secrets, is open to other users (mode {mode:o}): \
         `chmod 600` it, and if they may have read it, change the secrets", .path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is no key.
    #[error(
        "`{}` has not the {KEY_LEN} bytes of a key: restore it, or remove every secret and the \
         file", .path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read or made.
    #[error("cannot {doing} `{}`, the key of the cluster's secrets: {why}", .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: io::Error,
    },
    /// This one secret is not as it was written.
    #[error("the secret `{key}` is damaged in the store: set it again")]
    Damaged {
        /// Under which key.
        key: String,
    },
    /// The system gave no random bytes.
    #[error("cannot encrypt the secret: the system gives no random bytes")]
    Unsealed,
}

/// A key.
pub(crate) struct Key(LessSafeKey);

impl Key {
    /// The key in the file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self, KeyError> {
        let io = |why: io::Error| match why.kind() {
            io::ErrorKind::NotFound => KeyError::Missing { path: path.to_owned() },
            _ => KeyError::Io { doing: "read", path: path.to_owned(), why },
        };
        let file = File::open(path).map_err(io)?;
        let mode = file.metadata().map_err(io)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Open { path: path.to_owned(), mode });
        }
        let mut bytes = Vec::with_capacity(KEY_LEN + 1);
        file.take(KEY_LEN as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
        Self::new(&bytes).map_err(|Unspecified| KeyError::Malformed { path: path.to_owned() })
    }

    /// The same; where there is no file, it is made.
    pub(crate) fn read_or_make(path: &Path) -> Result<Self, KeyError> {
        match Self::read(path) {
            Err(KeyError::Missing { .. }) => Self::make(path),
            found => found,
        }
    }

    fn make(path: &Path) -> Result<Self, KeyError> {
        let mut bytes = [0; KEY_LEN];
        SystemRandom::new().fill(&mut bytes).map_err(|Unspecified| KeyError::Unsealed)?;
        let io = |why| KeyError::Io { doing: "make", path: path.to_owned(), why };
        write_whole(path, &bytes).map_err(io)?;
        // As it lies there, so that what is sealed next can be opened after a crash.
        Self::read(path)
    }

    fn new(bytes: &[u8]) -> Result<Self, Unspecified> {
        Ok(Self(LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, bytes)?)))
    }

    /// `secret`, to be kept under `name` and opened under no other: the form, a nonce, and the
    /// ciphertext with its tag.
    pub(crate) fn seal(&self, name: &str, secret: &Secret) -> Result<Vec<u8>, KeyError> {
        let unsealed = |Unspecified| KeyError::Unsealed;
        // By chance the same one twice: not before some billions of secrets were set.
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(unsealed)?;
        let mut sealed = secret.reveal().to_vec();
        let (nonce, about) = (Nonce::assume_unique_for_key(nonce), Aad::from(name));
        let head = [&[FORM], nonce.as_ref().as_slice()].concat();
        self.0.seal_in_place_append_tag(nonce, about, &mut sealed).map_err(unsealed)?;
        Ok([head, sealed].concat())
    }

    /// What was sealed under `name`; none if it was sealed by another key or under another name, or
    /// was changed since.
    pub(crate) fn open(&self, name: &str, sealed: Vec<u8>) -> Option<Secret> {
        let (form, rest) = sealed.split_first()?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE_LEN)?;
        if *form != FORM {
            return None;
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut opened = ciphertext.to_vec();
        let length = self.0.open_in_place(nonce, Aad::from(name), &mut opened).ok()?.len();
        opened.truncate(length);
        Secret::try_from(opened).ok()
    }
}

/// Whole or not at all, durable, and closed to others from its first moment.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::try_from(text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_under_its_name_and_as_it_was_only() {
        let (key, other) = (Key::new(&[1; KEY_LEN]).unwrap(), Key::new(&[2; KEY_LEN]).unwrap());
        let sealed = key.seal("a", &secret("hunter2")).unwrap();
        assert_eq!(key.open("a", sealed.clone()), Some(secret("hunter2")));
        assert!(
            key.open("b", sealed.clone()).is_none() && other.open("a", sealed.clone()).is_none()
        );
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open("a", changed).is_none(), "byte {at}");
            assert!(key.open("a", sealed[..at].to_vec()).is_none(), "{at} bytes");
        }
        assert_ne!(sealed, key.seal("a", &secret("hunter2")).unwrap(), "a nonce is used once");
    }

    #[test]
    fn a_key_is_made_once_and_for_its_user_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets.key");
        assert!(matches!(Key::read(&path), Err(KeyError::Missing { .. })));
        let sealed = Key::read_or_make(&path).unwrap().seal("a", &secret("x")).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(Key::read_or_make(&path).unwrap().open("a", sealed).is_some());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Key::read_or_make(&path), Err(KeyError::Open { mode: 0o640, .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for size in [0, KEY_LEN - 1, KEY_LEN + 1] {
            fs::write(&path, vec![0; size]).unwrap();
            assert!(matches!(Key::read_or_make(&path), Err(KeyError::Malformed { .. })), "{size}");
        }
    }
}
