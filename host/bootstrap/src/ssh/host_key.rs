//! Whether a machine is the one that is meant: its host key, against what is known.

use super::error::SshError;
use russh::keys::known_hosts::{known_host_keys_path, learn_known_hosts_path};
use russh::keys::ssh_key::known_hosts::{KnownHosts, Marker};
use russh::keys::ssh_key::{Fingerprint, PublicKey};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What a machine's host key must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostKey {
    /// One with this fingerprint.
    Pinned(PublicKeyPrint),
    /// One that a `known_hosts` file has for the machine.
    Known {
        /// The file.
        file: PathBuf,
        /// Whether a machine that it does not have is taken at its word, and added.
        accept_new: bool,
    },
}

/// The fingerprint of a key, as `ssh-keygen -l` shows it: `SHA256:…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKeyPrint(Fingerprint);

/// The text is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no host key: expected a fingerprint, `SHA256:…` as `ssh-keygen -lf` shows it, or a public key, `ssh-ed25519 AAAA…`"
)]
pub struct BadFingerprint(String);

impl PublicKeyPrint {
    pub(super) fn of(key: &PublicKey) -> Self {
        Self(key.fingerprint(HashAlg::Sha256))
    }
}

impl FromStr for PublicKeyPrint {
    type Err = BadFingerprint;

    /// Reads a fingerprint, or takes that of a public key.
    fn from_str(text: &str) -> Result<Self, BadFingerprint> {
        let text = text.trim();
        let print = text.parse::<Fingerprint>().ok().filter(|print| print.is_sha256()).map(Self);
        let print = print.or_else(|| PublicKey::from_openssh(text).ok().as_ref().map(Self::of));
        print.ok_or_else(|| BadFingerprint(text.to_owned()))
    }
}

impl fmt::Display for PublicKeyPrint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a key comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the one.
    Trusted,
    /// It is added to what is known.
    Learned,
}

impl HostKey {
    /// The kinds of key to ask the machine for, at one connection after the other until it has one: a machine has
    /// several keys, and only the right kind can be compared.
    pub(super) fn kinds(&self, host: &str, port: u16) -> Result<Vec<Vec<Algorithm>>, SshError> {
        match self {
            Self::Pinned(_) => Ok(families()),
            Self::Known { file, .. } => {
                let known: Vec<_> =
                    keys_of(file, host, port)?.into_iter().map(|key| key.algorithm()).collect();
                let of_known =
                    |family: &&Vec<Algorithm>| known.iter().any(|kind| is_in(kind, family));
                let (first, others): (Vec<_>, Vec<_>) =
                    families().into_iter().partition(|family| of_known(&family));
                Ok(vec![first.into_iter().chain(others).flatten().collect()])
            }
        }
    }

    /// Whether a machine that shows `key` is the one that is meant; what is taken at its word is kept.
    pub(super) fn judge(
        &self,
        host: &str,
        port: u16,
        key: &PublicKey,
    ) -> Result<Verdict, SshError> {
        let offered = PublicKeyPrint::of(key);
        let (file, accept_new) = match self {
            Self::Pinned(expected) if *expected == offered => return Ok(Verdict::Trusted),
            Self::Pinned(expected) => {
                return Err(SshError::HostKeyOther {
                    host: host.to_owned(),
                    expected: expected.to_string(),
                    offered: vec![offered],
                });
            }
            Self::Known { file, accept_new } => (file, *accept_new),
        };
        let (host, known) = (host.to_owned(), file.clone());
        if is_revoked(file, key)? {
            return Err(SshError::HostKeyRevoked { host, offered, known });
        }
        let keys = keys_of(file, &host, port)?;
        if keys.iter().any(|known| known.key_data() == key.key_data()) {
            return Ok(Verdict::Trusted);
        }
        // Also one of another kind: the machine was asked for the kinds that are known first.
        if let Some(other) = keys.first() {
            let entry = if port == 22 { host.clone() } else { format!("[{host}]:{port}") };
            let line = line_of(file, other)?;
            let offered = Box::new(offered);
            return Err(SshError::HostKeyChanged { host, offered, known, line, entry });
        }
        if !accept_new {
            return Err(SshError::HostKeyUnknown { host, offered, known });
        }
        let learned = learn_known_hosts_path(&host, port, key, file);
        learned.map_err(|error| SshError::KnownHosts { file: known, why: error.to_string() })?;
        Ok(Verdict::Learned)
    }
}

/// All kinds of key that are good enough, what is strongest first.
fn families() -> Vec<Vec<Algorithm>> {
    let curves = [EcdsaCurve::NistP256, EcdsaCurve::NistP384, EcdsaCurve::NistP521];
    let hashes = [HashAlg::Sha512, HashAlg::Sha256];
    vec![
        vec![Algorithm::Ed25519],
        curves.into_iter().map(|curve| Algorithm::Ecdsa { curve }).collect(),
        hashes.into_iter().map(|hash| Algorithm::Rsa { hash: Some(hash) }).collect(),
    ]
}

fn is_in(kind: &Algorithm, family: &[Algorithm]) -> bool {
    family.iter().any(|it| it == kind || (it.clone().is_rsa() && kind.clone().is_rsa()))
}

/// What a file has for a machine. A file that is not there has nothing; one that cannot be
/// read is not taken for that.
fn keys_of(file: &Path, host: &str, port: u16) -> Result<Vec<PublicKey>, SshError> {
    let unusable = |why: String| SshError::KnownHosts { file: file.to_owned(), why };
    text_of(file)?;
    let keys = known_host_keys_path(host, port, file);
    let keys = keys.map_err(|error| unusable(error.to_string()))?;
    Ok(keys.into_iter().map(|(_, key)| key).collect())
}

/// The first line that has a key, from 1.
fn line_of(file: &Path, key: &PublicKey) -> Result<usize, SshError> {
    let base64 = key.to_openssh().unwrap_or_default();
    let base64 = base64.split(' ').nth(1).unwrap_or_default();
    let found = text_of(file)?.lines().position(|line| line.contains(base64));
    Ok(found.map_or(1, |index| index + 1))
}

fn text_of(file: &Path) -> Result<String, SshError> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(SshError::KnownHosts { file: file.to_owned(), why: error.to_string() }),
    }
}

/// Whether a file says of a key that its owner gave it up, whoever that was.
fn is_revoked(file: &Path, key: &PublicKey) -> Result<bool, SshError> {
    let text = text_of(file)?;
    // Lines that say something else, or nothing that can be read, are for whoever reads keys.
    let mut entries = KnownHosts::new(&text).flatten();
    Ok(entries.any(|entry| {
        entry.marker() == Some(&Marker::Revoked) && entry.public_key().key_data() == key.key_data()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const OTHER: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA6rWI3G1sz07DnfFlrouTcysQlj2P+jpNSOEWD9OJ3X";

    fn key(text: &str) -> PublicKey {
        PublicKey::from_openssh(text).unwrap()
    }

    fn known(text: &str, accept_new: bool) -> (tempfile::TempDir, HostKey) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known_hosts");
        std::fs::write(&file, text).unwrap();
        (dir, HostKey::Known { file, accept_new })
    }

    #[test]
    fn a_known_key_is_trusted_under_its_name_and_port_only() {
        let (_dir, expected) =
            known(&format!("# mine\nbox,10.0.0.1 {ONE}\n[far]:2222 {ONE}\n"), false);
        for (host, port) in [("box", 22), ("10.0.0.1", 22), ("far", 2222)] {
            assert_eq!(expected.judge(host, port, &key(ONE)).unwrap(), Verdict::Trusted, "{host}");
        }
        for (host, port) in [("box", 2222), ("far", 22), ("other", 22)] {
            let error = expected.judge(host, port, &key(ONE)).unwrap_err();
            assert!(matches!(error, SshError::HostKeyUnknown { .. }), "{error}");
            assert!(error.to_string().contains("SHA256:"), "{error}");
        }
    }

    #[test]
    fn another_key_is_told_loudly_also_where_new_ones_are_accepted() {
        for accept_new in [false, true] {
            let (_dir, expected) = known(&format!("# mine\nbox {ONE}\n"), accept_new);
            let error = expected.judge("box", 22, &key(OTHER)).unwrap_err();
            assert!(matches!(error, SshError::HostKeyChanged { line: 2, .. }), "{error:?}");
            assert!(error.to_string().contains("HAS CHANGED"), "{error}");
        }
    }

    #[test]
    fn a_new_key_is_kept_only_if_that_was_asked_for_and_then_known() {
        let (dir, expected) = known("", true);
        assert_eq!(expected.judge("box", 2200, &key(ONE)).unwrap(), Verdict::Learned);
        assert_eq!(expected.judge("box", 2200, &key(ONE)).unwrap(), Verdict::Trusted);
        let text = std::fs::read_to_string(dir.path().join("known_hosts")).unwrap();
        assert!(text.contains("[box]:2200 ssh-ed25519 "), "{text}");
        assert!(expected.judge("box", 2200, &key(OTHER)).is_err());
    }

    #[test]
    fn a_revoked_key_is_nobodys() {
        let (_dir, expected) = known(&format!("@revoked * {ONE}\nbox {ONE}\n"), true);
        let error = expected.judge("box", 22, &key(ONE)).unwrap_err();
        assert!(matches!(error, SshError::HostKeyRevoked { .. }), "{error:?}");
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let expected = HostKey::Known { file: dir.path().to_owned(), accept_new: true };
        let error = expected.judge("box", 22, &key(ONE)).unwrap_err();
        assert!(matches!(error, SshError::KnownHosts { .. }), "{error:?}");
        let absent = HostKey::Known { file: dir.path().join("none"), accept_new: false };
        let error = absent.judge("box", 22, &key(ONE)).unwrap_err();
        assert!(matches!(error, SshError::HostKeyUnknown { .. }), "{error:?}");
    }

    #[test]
    fn a_pinned_key_is_given_by_its_print_or_as_it_is() {
        let print: PublicKeyPrint = ONE.parse().unwrap();
        assert_eq!(print.to_string().parse::<PublicKeyPrint>().unwrap(), print);
        assert!(print.to_string().starts_with("SHA256:"));
        let expected = HostKey::Pinned(print);
        assert_eq!(expected.judge("box", 22, &key(ONE)).unwrap(), Verdict::Trusted);
        let error = expected.judge("box", 22, &key(OTHER)).unwrap_err();
        assert!(matches!(error, SshError::HostKeyOther { .. }), "{error:?}");
        for bad in ["", "SHA256:", "MD5:aa:bb", "ssh-ed25519", "SHA256:short"] {
            assert!(bad.parse::<PublicKeyPrint>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_kinds_that_are_known_are_asked_for_first() {
        let (_dir, expected) = known(
            "box ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc=\n",
            false,
        );
        let kinds = expected.kinds("box", 22).unwrap();
        assert_eq!(kinds.len(), 1);
        assert!(matches!(kinds[0][0], Algorithm::Ecdsa { .. }), "{kinds:?}");
        assert!(matches!(expected.kinds("other", 22).unwrap()[0][0], Algorithm::Ed25519));
    }
}
