//! From a name to a shell: address, connection, host key, keys, root.

use super::error::SshError;
use super::host_key::{HostKey, PublicKeyPrint, Verdict};
use super::keys::{self, Answer, Key, TriedKey};
use super::report::{Outcome, Report, Step};
use super::run::{Input, Shell};
use russh::client::{self, Handle, Handler};
use russh::keys::{Algorithm, PublicKeyOrCertificate};
use russh::{Disconnect, Preferred};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// How long it may take to judge one key; with PAM and remote directories that can be seconds.
const JUDGES_WITHIN: Duration = Duration::from_secs(30);
/// How long a command may take that changes nothing.
const LOOKS_WITHIN: Duration = Duration::from_secs(60);

/// A machine, and how to get in.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name or address.
    pub host: String,
    /// The port of its SSH server.
    pub port: u16,
    /// As whom.
    pub user: String,
    /// The keys to try, in order.
    pub keys: Vec<Key>,
    /// What its host key must be.
    pub host_key: HostKey,
    /// How long it may take to take a connection, and again to agree on how to speak.
    pub answers_within: Duration,
}

impl Target {
    /// How long a machine may take to answer where nobody says otherwise.
    pub const ANSWERS_WITHIN: Duration = Duration::from_secs(15);
}

/// A machine that was reached, and on which root's commands can be run.
pub struct Connection {
    handle: Handle<Doorman>,
    /// The machine, as it was asked for.
    pub(super) host: String,
    is_root: bool,
}

impl Connection {
    /// Reaches a machine, and becomes root there.
    pub async fn open(target: &Target, report: &mut Report<'_>) -> Result<Self, SshError> {
        let handle = authenticated(target, report).await?;
        let mut connection = Self { handle, host: target.host.clone(), is_root: true };
        connection.is_root = connection.become_root(target, report).await?;
        Ok(connection)
    }

    /// Whether root's commands need no sudo.
    async fn become_root(
        &self,
        target: &Target,
        report: &mut Report<'_>,
    ) -> Result<bool, SshError> {
        let what = "become root";
        report.begins(what);
        let begun = Instant::now();
        let who = self.run_plainly("id -u", Input::None, what, LOOKS_WITHIN).await?;
        let is_root = who.out.trim() == "0";
        let (command, ran) = match is_root {
            true => ("id -u", who),
            false => {
                let sudo = "sudo -n true";
                (sudo, self.run_plainly(sudo, Input::None, what, LOOKS_WITHIN).await?)
            }
        };
        let outcome = if ran.is_ok() { Outcome::Found } else { Outcome::Failed };
        report.done(Step {
            what: what.to_owned(),
            command: command.to_owned(),
            outcome,
            code: ran.code,
            output: ran.all.clone(),
            took: begun.elapsed(),
        });
        match outcome {
            Outcome::Failed => Err(SshError::NoSudo {
                host: self.host.clone(),
                user: target.user.clone(),
                said: ran.last_line(),
            }),
            _ => Ok(is_root),
        }
    }

    /// The command that has root's shell run what it is given on standard input, or `script` if that is given.
    pub(super) fn root(&self, shell: Shell<'_>) -> String {
        let sudo = if self.is_root { "" } else { "sudo -n " };
        match shell {
            Shell::FromInput => format!("{sudo}/bin/sh -s"),
            Shell::Script(script) => format!("{sudo}/bin/sh -c {}", crate::quote::shell(script)),
        }
    }

    pub(super) fn handle(&self) -> &Handle<Doorman> {
        &self.handle
    }

    /// Ends the connection, in order.
    pub async fn close(self) {
        // The machine may have been faster.
        let _ = self.handle.disconnect(Disconnect::ByApplication, "", "en").await;
    }
}

/// Judges the host key of whoever answers, before anything is said to it.
pub(super) struct Doorman {
    host: String,
    port: u16,
    expected: HostKey,
    learned: Arc<std::sync::Mutex<Option<PublicKeyPrint>>>,
}

/// Why the door stays shut.
#[derive(Debug)]
pub(super) enum Shut {
    Ssh(russh::Error),
    Key(Box<SshError>),
}

impl From<russh::Error> for Shut {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

impl Handler for Doorman {
    type Error = Shut;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Shut> {
        // Certificates were not asked for.
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else { return Ok(false) };
        let judged = self.expected.judge(&self.host, self.port, key);
        if judged.map_err(|error| Shut::Key(Box::new(error)))? == Verdict::Learned {
            let mut learned =
                self.learned.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *learned = Some(PublicKeyPrint::of(key));
        }
        Ok(true)
    }
}

async fn addresses(target: &Target) -> Result<Vec<SocketAddr>, SshError> {
    let unknown = |source| SshError::Resolve { host: target.host.clone(), source };
    let found = lookup_host((target.host.as_str(), target.port)).await.map_err(unknown)?;
    let found: Vec<_> = found.collect();
    match found.is_empty() {
        true => Err(unknown(io::Error::new(io::ErrorKind::NotFound, "it has no address"))),
        false => Ok(found),
    }
}

/// The first of its addresses that takes a connection.
async fn connected(target: &Target) -> Result<TcpStream, SshError> {
    let within = target.answers_within;
    let mut failed = None;
    for address in addresses(target).await? {
        let host = target.host.clone();
        match timeout(within, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(source)) if source.kind() == io::ErrorKind::TimedOut => {
                failed = Some(SshError::Timeout { host, address, within });
            }
            Ok(Err(source)) => failed = Some(SshError::Connect { host, address, source }),
            Err(_) => failed = Some(SshError::Timeout { host, address, within }),
        }
    }
    // There is an address at least.
    Err(failed.unwrap_or(SshError::Resolve {
        host: target.host.clone(),
        source: io::Error::new(io::ErrorKind::NotFound, "it has no address"),
    }))
}

/// One that has shown the right host key, of one of these kinds.
async fn agreed(
    target: &Target,
    kinds: Vec<Algorithm>,
) -> Result<(Handle<Doorman>, Option<PublicKeyPrint>), SshError> {
    let stream = connected(target).await?;
    let within = target.answers_within;
    let address = stream.peer_addr().ok();
    let config = client::Config {
        preferred: Preferred { key: kinds.into(), ..Preferred::default() },
        keepalive_interval: Some(Duration::from_secs(15)),
        nodelay: true,
        ..client::Config::default()
    };
    let learned = Arc::default();
    let doorman = Doorman {
        host: target.host.clone(),
        port: target.port,
        expected: target.host_key.clone(),
        learned: Arc::clone(&learned),
    };
    let agreeing = client::connect_stream(Arc::new(config), stream, doorman);
    match (timeout(within, agreeing).await, address) {
        (Ok(Ok(handle)), _) => {
            let learned = learned.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            Ok((handle, learned))
        }
        (Ok(Err(Shut::Key(error))), _) => Err(*error),
        (Ok(Err(Shut::Ssh(source))), _) => {
            Err(SshError::Handshake { host: target.host.clone(), source })
        }
        (Err(_), Some(address)) => {
            Err(SshError::Timeout { host: target.host.clone(), address, within })
        }
        (Err(_), None) => Err(SshError::Handshake {
            host: target.host.clone(),
            source: russh::Error::ConnectionTimeout,
        }),
    }
}

/// The same, asking for one kind of key after the other where only its print is known.
async fn trusted(target: &Target) -> Result<(Handle<Doorman>, Option<PublicKeyPrint>), SshError> {
    let mut shown = Vec::new();
    let mut failed = None;
    for kinds in target.host_key.kinds(&target.host, target.port)? {
        match agreed(target, kinds).await {
            Err(SshError::HostKeyOther { offered, .. }) => shown.extend(offered),
            // It has no key of that kind.
            Err(
                error @ SshError::Handshake {
                    source: russh::Error::NoCommonAlgo { kind: russh::AlgorithmKind::Key, .. },
                    ..
                },
            ) => failed = Some(error),
            other => return other,
        }
    }
    match (&target.host_key, failed) {
        (HostKey::Pinned(expected), _) if !shown.is_empty() => Err(SshError::HostKeyOther {
            host: target.host.clone(),
            expected: expected.to_string(),
            offered: shown,
        }),
        (_, Some(error)) => Err(error),
        (_, None) => {
            Err(SshError::Handshake { host: target.host.clone(), source: russh::Error::UnknownKey })
        }
    }
}

/// Reaches a machine, told as one step.
async fn reached(target: &Target, report: &mut Report<'_>) -> Result<Handle<Doorman>, SshError> {
    let what = format!("reach {}, port {}", target.host, target.port);
    report.begins(&what);
    let begun = Instant::now();
    let reached = trusted(target).await;
    let output = match &reached {
        Ok((_, None)) => String::new(),
        Ok((_, Some(print))) => format!("its host key was taken at its word, and kept: {print}"),
        Err(error) => error.to_string(),
    };
    let outcome = if reached.is_ok() { Outcome::Found } else { Outcome::Failed };
    let took = begun.elapsed();
    report.done(Step { what, command: String::new(), outcome, code: None, output, took });
    reached.map(|(handle, _)| handle)
}

/// One that has accepted a key. A machine that counts attempts closes the connection after a few: then the others are
/// tried over another one.
async fn authenticated(
    target: &Target,
    report: &mut Report<'_>,
) -> Result<Handle<Doorman>, SshError> {
    let mut handle = reached(target, report).await?;
    let what = format!("log in as {}", target.user);
    report.begins(&what);
    let begun = Instant::now();
    let step = |outcome, output: String| Step {
        what: what.clone(),
        command: String::new(),
        outcome,
        code: None,
        output,
        took: begun.elapsed(),
    };
    let mut tried = Vec::new();
    for candidate in keys::candidates(&target.keys).await {
        let with = match candidate.with {
            Ok(with) => with,
            Err(why) => {
                tried.push(TriedKey { key: candidate.name, why });
                continue;
            }
        };
        let mut is_new = false;
        loop {
            let shown = timeout(JUDGES_WITHIN, keys::show(&mut handle, &target.user, &with)).await;
            match shown.unwrap_or_else(|_| Answer::Refused("no answer".to_owned())) {
                Answer::Accepted => {
                    report.done(step(Outcome::Found, format!("with {}", candidate.name)));
                    return Ok(handle);
                }
                Answer::Refused(why) => tried.push(TriedKey { key: candidate.name, why }),
                Answer::Closed if is_new => tried.push(TriedKey {
                    key: candidate.name,
                    why: "the machine closed the connection".to_owned(),
                }),
                Answer::Closed => {
                    (handle, is_new) = (trusted(target).await?.0, true);
                    continue;
                }
            }
            break;
        }
    }
    let error =
        SshError::NoKeyAccepted { host: target.host.clone(), user: target.user.clone(), tried };
    report.done(step(Outcome::Failed, error.to_string()));
    Err(error)
}
