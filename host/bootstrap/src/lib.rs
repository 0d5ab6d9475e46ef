//! How the agent gets onto a machine that is not of the controller's host.
//!
//! A [`Setup`] says what is to be there; two ways put it there:
//! - [`cloud_init::user_data`] writes what a cloud gives to an instance that is made, which then sets itself up. Pure.
//! - [`ssh`] does it over SSH on a machine that exists, step by step, and tells of each one.
//!
//! Both leave the same files (`files.rs`): the programs below `/opt/cerebro/bin`, a script that says with which
//! arguments the agent is started, and what keeps it running. Both give the agent a token that is good for
//! joining once, soon. What it shows later it makes itself, so that nothing that lasts is in user data.

pub mod cloud_init;
#[cfg_attr(not(feature = "ssh"), allow(dead_code, reason = "part of it is for SSH alone"))]
mod files;
mod quote;
mod setup;
#[cfg(feature = "ssh")]
pub mod ssh;

pub use files::{BIN, LOG, SERVICE, START, data};
pub use setup::{
    Architecture, JoinToken, Program, ProgramName, Setup, SetupError, Source, Start,
    UnknownArchitecture,
};
