//! What a recipe did is written down, planned, taken back and run again. Run by
//! `cargo xtask test rollback replay`: it tries every effect and every record in turn.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../engine/support.rs"]
mod support;

mod drift;
mod killed;
mod media;
mod packages;
mod plan;
mod power;
mod replay;
mod rollback;
mod scenario;

use cerebro_manifest as manifest;
