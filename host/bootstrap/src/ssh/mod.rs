//! The agent onto a machine that exists, over SSH.
//!
//! [`Connection::open`] reaches the machine: its host key is one that was expected ([`HostKey`]), or nothing is said
//! to it; the keys are tried in order ([`Key`]). [`Connection::look`] finds out what the machine is, [`install`]
//! makes of it what [`Setup`](crate::Setup) says, and waits until the agent has joined.
//!
//! Each step is kept in a [`Report`] and shown as it goes. Each makes true what should be and leaves alone what is,
//! so that all of it can be done again. What fails is told apart by [`SshError`].

mod bring;
mod connect;
mod door;
mod error;
mod facts;
mod host_key;
mod init;
mod install;
mod keys;
mod report;
mod run;

pub use connect::{Connection, Target};
pub use error::SshError;
pub use facts::{Facts, OLDEST_KERNEL};
pub use host_key::{BadFingerprint, HostKey, PublicKeyPrint};
pub use init::Init;
pub use install::{Installed, Order, install};
pub use keys::{Key, TriedKey, default_keys};
pub use report::{Outcome, Progress, Report, Step};
