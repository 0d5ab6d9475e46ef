//! The wire: what users, agents and the controller say to each other over HTTP.
//!
//! [`paths`] names every path once, [`body`] holds the bodies that are not `cerebro-model` types
//! themselves, [`Problem`] is the one form of an error (RFC 9457), [`jobfile`] reads job files in
//! their three formats, [`bundle`] seals what leaves a cluster, and [`Client`] is the typed client of the controller's API.

pub mod body;
pub mod bundle;
pub mod call;
mod client;
pub mod deployment;
pub mod explain;
pub mod jobfile;
pub mod join;
pub mod look;
pub mod machine;
pub mod name;
pub mod paths;
mod plan_group;
mod problem;

pub use client::{Client, ClientError, EventStream, Lines, choose_cryptography};
pub use problem::{PROBLEM_JSON, Problem};

/// The port that the cluster sitter listens on, as the original's did.
pub const CLUSTER_PORT: u16 = 30_000;
/// The port that a machine sitter listens on, as the original's did.
pub const MACHINE_PORT: u16 = 40_000;
/// The largest component or artifact that the cluster's store takes, in bytes.
pub const MAX_UPLOAD: u64 = 256 << 20;
