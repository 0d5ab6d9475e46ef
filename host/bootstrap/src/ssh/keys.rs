//! The keys that open a machine, tried in order.

use russh::client::{AuthResult, Handle, Handler};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, load_secret_key};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a private key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// In a file, without a passphrase.
    File(PathBuf),
    /// All those of the ssh-agent that listens on this socket, as `SSH_AUTH_SOCK` names it.
    Agent(PathBuf),
}

/// The keys that `ssh` would try: those of the agent, if there is one, then those in the home directory.
pub fn default_keys(home: Option<&Path>, agent: Option<PathBuf>) -> Vec<Key> {
    let names = ["id_ed25519", "id_ecdsa", "id_rsa"];
    let files = home.into_iter().flat_map(|home| names.map(|name| home.join(".ssh").join(name)));
    let files = files.filter(|file| file.is_file()).map(Key::File);
    agent.map(Key::Agent).into_iter().chain(files).collect()
}

/// A key that did not open the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriedKey {
    /// Which: its file, or what the agent calls it.
    pub key: String,
    /// Why not.
    pub why: String,
}

impl fmt::Display for TriedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.key, self.why)
    }
}

/// Something to try: a key, or why there is none.
pub(super) struct Candidate {
    pub name: String,
    pub with: Result<With, String>,
}

/// How a key signs.
pub(super) enum With {
    /// By itself.
    Own(Arc<PrivateKey>),
    /// By the agent that has it, and that listens on this socket.
    Agent(Box<russh::keys::PublicKey>, PathBuf),
}

/// All keys, in order, as far as they can be read.
pub(super) async fn candidates(keys: &[Key]) -> Vec<Candidate> {
    let mut all = Vec::new();
    for key in keys {
        match key {
            Key::File(path) => {
                let with = load_secret_key(path, None).map(|key| With::Own(Arc::new(key)));
                let with = with.map_err(|error| match error {
                    russh::keys::Error::KeyIsEncrypted => {
                        "it has a passphrase: `ssh-add` it to an ssh-agent".to_owned()
                    }
                    error => format!("it cannot be read: {error}"),
                });
                all.push(Candidate { name: path.display().to_string(), with });
            }
            Key::Agent(socket) => all.extend(of_agent(socket).await),
        }
    }
    all
}

async fn of_agent(socket: &Path) -> Vec<Candidate> {
    let none = |why: String| vec![Candidate { name: "ssh-agent".to_owned(), with: Err(why) }];
    let mut agent = match AgentClient::connect_uds(socket).await {
        Ok(agent) => agent,
        Err(error) => return none(format!("it does not answer: {error}")),
    };
    let identities = match agent.request_identities().await {
        Ok(identities) => identities,
        Err(error) => return none(format!("it does not say which keys it has: {error}")),
    };
    if identities.is_empty() {
        return none("it has no keys".to_owned());
    }
    let candidate = |identity| match identity {
        AgentIdentity::PublicKey { key, comment } => Some(Candidate {
            name: format!("`{comment}` of ssh-agent"),
            with: Ok(With::Agent(Box::new(key), socket.to_owned())),
        }),
        // The key that it belongs to is listed beside it.
        AgentIdentity::Certificate { .. } => None,
    };
    identities.into_iter().filter_map(candidate).collect()
}

/// How a machine took to a key.
pub(super) enum Answer {
    Accepted,
    Refused(String),
    /// The machine has closed the connection: it counts attempts.
    Closed,
}

/// Shows a machine one key.
pub(super) async fn show<H: Handler>(handle: &mut Handle<H>, user: &str, with: &With) -> Answer {
    let is_rsa = match with {
        With::Own(key) => key.algorithm().is_rsa(),
        With::Agent(key, _) => key.algorithm().is_rsa(),
    };
    let hash: Option<HashAlg> = match is_rsa {
        false => None,
        // The machine may not have said what it takes; all that are not too old take this one.
        true => match handle.best_supported_rsa_hash().await {
            Ok(hash) => hash.unwrap_or(Some(HashAlg::Sha256)),
            Err(_) => return Answer::Closed,
        },
    };
    let answer = match with {
        With::Own(key) => {
            let key = PrivateKeyWithHashAlg::new(key.clone(), hash);
            handle.authenticate_publickey(user, key).await.map_err(|_| None)
        }
        With::Agent(key, socket) => match AgentClient::connect_uds(socket).await {
            Ok(mut agent) => {
                let shown = handle
                    .authenticate_publickey_with(user, (**key).clone(), hash, &mut agent)
                    .await;
                shown.map_err(|error| match error {
                    russh::AgentAuthError::Send(_) => None,
                    russh::AgentAuthError::Key(error) => Some(error.to_string()),
                })
            }
            Err(error) => Err(Some(error.to_string())),
        },
    };
    match answer {
        Ok(AuthResult::Success) => Answer::Accepted,
        Ok(AuthResult::Failure { .. }) if handle.is_closed() => Answer::Closed,
        Ok(AuthResult::Failure { partial_success: true, .. }) => {
            Answer::Refused("the machine wants something beside a key".to_owned())
        }
        Ok(AuthResult::Failure { .. }) => {
            Answer::Refused("the machine does not know it".to_owned())
        }
        Err(None) => Answer::Closed,
        Err(Some(why)) => Answer::Refused(format!("the agent does not sign with it: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agents_keys_come_before_those_in_files_that_are_there() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".ssh")).unwrap();
        let rsa = home.path().join(".ssh/id_rsa");
        std::fs::write(&rsa, "").unwrap();
        let agent = || PathBuf::from("/run/agent");
        let both = default_keys(Some(home.path()), Some(agent()));
        assert_eq!(both, [Key::Agent(agent()), Key::File(rsa)]);
        assert_eq!(default_keys(None, None), []);
    }
}
