//! The built task sitter among tasks, clients and machines that mean it ill, or do it by mistake.
//!
//! Scripts that need more than a shell are in Perl, which every Debian has.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[path = "../common/mod.rs"]
mod common;

mod clients;
mod clock;
mod limits;
mod logs;
mod policy;
mod processes;
mod starts;
mod state;
mod upgrade;
mod words;
