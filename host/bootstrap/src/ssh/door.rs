//! From a name to a machine that has shown the right host key: address, connection, agreement.

use super::connect::Target;
use super::error::SshError;
use super::host_key::{HostKey, PublicKeyPrint, Verdict};
use super::report::{Outcome, Report, Step};
use russh::Preferred;
use russh::client::{self, Handle, Handler};
use russh::keys::{Algorithm, PublicKeyOrCertificate};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// Judges the host key of whoever answers, before anything is said to it.
pub(super) struct Doorman {
    host: String,
    port: u16,
    expected: HostKey,
    learned: Arc<Mutex<Option<PublicKeyPrint>>>,
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
            let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
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
            let learned = learned.lock().unwrap_or_else(PoisonError::into_inner).take();
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
pub(super) async fn trusted(
    target: &Target,
) -> Result<(Handle<Doorman>, Option<PublicKeyPrint>), SshError> {
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
pub(super) async fn reached(
    target: &Target,
    report: &mut Report<'_>,
) -> Result<Handle<Doorman>, SshError> {
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
