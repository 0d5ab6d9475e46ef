//! The engine with real components: ours, and those that misbehave.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod checks;
mod commands;
mod compiling;
mod confined;
mod contained;
mod dnf;
mod downloads;
mod hostile;
mod interfaces;
mod probes;
mod recipes;
mod released;
mod support;
mod system;
mod tools;
mod turns;
