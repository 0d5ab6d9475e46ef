//! The commands, one file per group.

pub mod become_program;
pub mod brakes;
pub mod deploy;
pub mod deployment;
pub mod dev;
mod effects;
pub mod events;
pub mod explain;
mod follow;
pub mod job;
mod join;
pub mod login;
pub mod machine;
pub mod name;
mod names;
mod plan;
pub mod recipe;
pub mod recipe_inspect;
mod recipe_new;
pub mod rollback;
pub mod secret;
pub mod task;
pub mod zone;

use crate::fault::{ERROR, Fault};
use std::path::Path;

/// A file's bytes, or which file could not be read and why.
pub fn read(file: &Path) -> Result<Vec<u8>, Fault> {
    std::fs::read(file)
        .map_err(|error| Fault::new(ERROR, format!("cannot read {}: {error}", file.display())))
}
