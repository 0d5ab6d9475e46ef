//! Holds the examples in each language to `examples/SPEC.md`: the same calls must leave the same
//! files, write the same log and fail with the same words.
//!
//! `cargo xtask test conformance` builds the components and runs the tests. Each test makes one
//! [`Machine`] per [`Language`], does the same there, and enters what it saw into a [`Table`], which
//! prints itself and fails if two languages differ.
#![allow(clippy::unwrap_used, reason = "a harness of tests")]

mod journaled;
mod language;
mod machine;
mod server;
mod table;

pub use journaled::{Made, planned, replay};
pub use language::{Language, component, edited, languages, new_component};
pub use machine::{Machine, release};
pub use server::{Answer, Server};
pub use table::{Seen, Table};
