//! Why an agent did not get onto a machine over SSH: each with what to do next.

use super::facts::OLDEST_KERNEL;
use super::host_key::PublicKeyPrint;
use super::keys::TriedKey;
use crate::setup::{Architecture, ProgramName, Start};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Why an agent did not get onto a machine.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// The name says no address.
    #[error("cannot find the address of `{host}`: check the name, or give the address itself")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        #[source]
        source: io::Error,
    },
    /// Nobody takes the connection.
    #[error(
        "cannot connect to `{host}` at {address}: does its SSH server run there, and is it let through?"
    )]
    Connect {
        /// The machine.
        host: String,
        /// Where.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Nobody answers.
    #[error(
        "`{host}` at {address} did not answer within {} s: is it up, and is the port let through (security group, \
         firewall)?", within.as_secs()
    )]
    Timeout {
        /// The machine.
        host: String,
        /// Where.
        address: SocketAddr,
        /// How long was waited.
        within: Duration,
    },
    /// Whoever answers does not speak SSH as we do.
    #[error("cannot agree with the SSH server of `{host}` on how to speak")]
    Handshake {
        /// The machine.
        host: String,
        /// What went wrong.
        #[source]
        source: russh::Error,
    },
    /// Nobody has said that this is the machine's key.
    #[error(
        "the host key of `{host}` is not known: {offered}. It is not in `{}`. Compare it with what the machine's console \
         shows, then pass it by `--host-key`, or have it kept unseen by `--accept-new`", known.display()
    )]
    HostKeyUnknown {
        /// The machine.
        host: String,
        /// The key that it showed.
        offered: PublicKeyPrint,
        /// Where it was looked for.
        known: PathBuf,
    },
    /// Another key is known for the machine.
    #[error(
        "THE HOST KEY OF `{host}` HAS CHANGED: it showed {offered}, and line {line} of `{}` has another one. Somebody may be \
         listening in between, or the machine was made anew. Nothing was sent to it. If you know why, take the \
         old key out: `ssh-keygen -R '{entry}' -f {}`", known.display(), known.display()
    )]
    HostKeyChanged {
        /// The machine.
        host: String,
        /// The key that it showed.
        offered: Box<PublicKeyPrint>,
        /// Where the other one is.
        known: PathBuf,
        /// In which line, from 1.
        line: usize,
        /// The machine as that file calls it.
        entry: String,
    },
    /// Not the key that was asked for.
    #[error(
        "`{host}` IS NOT THE MACHINE THAT YOU MEAN, or somebody is in between: its host key is not {expected}, but {}. \
         Nothing was sent to it", offered.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    HostKeyOther {
        /// The machine.
        host: String,
        /// What was expected.
        expected: String,
        /// What it showed.
        offered: Vec<PublicKeyPrint>,
    },
    /// The key was given up by its owner.
    #[error(
        "the host key of `{host}` is marked as revoked in `{}`: {offered}. Nothing was sent to it", known.display()
    )]
    HostKeyRevoked {
        /// The machine.
        host: String,
        /// The key that it showed.
        offered: PublicKeyPrint,
        /// Where that is said.
        known: PathBuf,
    },
    /// The file of known keys cannot be used.
    #[error("cannot use the known host keys in `{}`: {why}", file.display())]
    KnownHosts {
        /// The file.
        file: PathBuf,
        /// Why not.
        why: String,
    },
    /// None of the keys opens the machine.
    #[error(
        "`{host}` accepts none of the keys as `{user}`: {}. Its `authorized_keys` must have one of them; `--user` and \
         `--key` try others",
        in_words(tried)
    )]
    NoKeyAccepted {
        /// The machine.
        host: String,
        /// As whom.
        user: String,
        /// Which keys, in order, and why not.
        tried: Vec<TriedKey>,
    },
    /// The user is not root, and may not become it.
    #[error(
        "`{user}` may not become root on `{host}` without a password (sudo says: {said}). Connect as root, or allow it: \
         `{user} ALL=(ALL) NOPASSWD: ALL` in /etc/sudoers.d"
    )]
    NoSudo {
        /// The machine.
        host: String,
        /// As whom.
        user: String,
        /// What was said.
        said: String,
    },
    /// It cannot be one of the cluster's.
    #[error("`{host}` runs {system}, and the agent runs on Linux only")]
    NotLinux {
        /// The machine.
        host: String,
        /// What it runs.
        system: String,
    },
    /// The programs are for other processors.
    #[error(
        "`{host}` is of architecture {found}, and `{program}` is for {built_for}: have the controller serve programs for \
         {found}"
    )]
    WrongArchitecture {
        /// The machine.
        host: String,
        /// What it has.
        found: String,
        /// Which program.
        program: ProgramName,
        /// What that needs.
        built_for: Architecture,
    },
    /// The kernel lacks what tasks are watched with.
    #[error(
        "`{host}` has kernel {found}, and the agent needs {}.{} or later: upgrade it", OLDEST_KERNEL.0, OLDEST_KERNEL.1
    )]
    OldKernel {
        /// The machine.
        host: String,
        /// What it has.
        found: String,
    },
    /// Nothing there would keep the agent running.
    #[error(
        "`{host}` is not run by systemd, but by `{found}`: with `--init none` the agent is started all the same, and \
         is kept running until the machine is started again; after that, start it anew the same way"
    )]
    NoSystemd {
        /// The machine.
        host: String,
        /// Its first process.
        found: String,
    },
    /// The disk is full.
    #[error(
        "`{host}` has {free_mb} MB free for `{path}`, and {needed_mb} MB are needed: make room there"
    )]
    NoRoom {
        /// The machine.
        host: String,
        /// Where.
        path: String,
        /// What is free.
        free_mb: u64,
        /// What is needed.
        needed_mb: u64,
    },
    /// Another agent is there already.
    #[error(
        "`{host}` is machine {} of the cluster at {} already: take it out there first, by `cerebro machine remove {}`",
        there.machine, there.controller, there.machine
    )]
    Taken {
        /// The machine.
        host: String,
        /// Whose it is.
        there: Start,
    },
    /// The machine did not get a program.
    #[error(
        "`{host}` could not fetch `{program}` from {url}: {said}. The machine itself must reach the controller, now and \
         later: check its address as the machine sees it"
    )]
    Download {
        /// The machine.
        host: String,
        /// Which program.
        program: ProgramName,
        /// From where.
        url: String,
        /// What was said.
        said: String,
    },
    /// A program did not arrive whole.
    #[error("`{program}` could not be sent to `{host}`: {said}")]
    Upload {
        /// The machine.
        host: String,
        /// Which program.
        program: ProgramName,
        /// What was said.
        said: String,
    },
    /// A program to be sent cannot be read.
    #[error("cannot read `{}`, which is to be sent to the machine", file.display())]
    Source {
        /// The file.
        file: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The programs are there, and do not start.
    #[error(
        "the agent's program does not run on `{host}`: {said}. If that is a library or its version, the programs are \
         built for a newer system than the machine has"
    )]
    CannotRun {
        /// The machine.
        host: String,
        /// What was said.
        said: String,
    },
    /// It was started, and has ended, more than once.
    #[error("the agent on `{host}` ends as soon as it is started. It said last:\n{log}")]
    AgentDied {
        /// The machine.
        host: String,
        /// Its last lines.
        log: String,
    },
    /// It runs, and its controller does not hear of it.
    #[error(
        "the agent runs on `{host}`, but has not joined within {} s: does the machine reach {controller}? It said \
         last:\n{log}", within.as_secs()
    )]
    NeverJoined {
        /// The machine.
        host: String,
        /// Whom it should have joined.
        controller: String,
        /// How long was waited.
        within: Duration,
        /// Its last lines.
        log: String,
    },
    /// A step failed in a way that nobody has thought of.
    #[error("cannot {doing} on `{host}`: {said}")]
    Step {
        /// The machine.
        host: String,
        /// What was tried.
        doing: String,
        /// What was said.
        said: String,
    },
    /// A step did not come to its end.
    #[error("`{host}` did not {doing} within {} s: look at it, then try again", within.as_secs())]
    Hangs {
        /// The machine.
        host: String,
        /// What was tried.
        doing: String,
        /// How long was waited.
        within: Duration,
    },
    /// The connection is gone.
    #[error(
        "the connection to `{host}` broke off while it was to {doing}: try again, what is done is left as it is"
    )]
    Lost {
        /// The machine.
        host: String,
        /// What was tried.
        doing: String,
        /// What went wrong.
        #[source]
        source: Box<russh::Error>,
    },
}

fn in_words(tried: &[TriedKey]) -> String {
    match tried {
        [] => "there is none to try".to_owned(),
        tried => tried.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
    }
}
