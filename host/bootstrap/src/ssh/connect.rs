//! From a machine that was reached to a shell of root's: keys, then sudo.

use super::door::{Doorman, reached, trusted};
use super::error::SshError;
use super::host_key::HostKey;
use super::keys::{self, Answer, Key, TriedKey};
use super::report::{Outcome, Report, Step};
use super::run::{Input, Shell};
use russh::Disconnect;
use russh::client::Handle;
use std::time::{Duration, Instant};
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
