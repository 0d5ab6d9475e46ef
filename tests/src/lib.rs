//! A whole cluster of local machines, through the built binaries: what the end-to-end tests, the
//! demo and its drill have in common.

pub mod canary;
mod cluster;
pub mod portal;
pub mod processes;

pub use cerebro_api::CLUSTER_PORT;
pub use cluster::{Cluster, Options, until};

use anyhow::{Result, ensure};
use std::path::PathBuf;

/// The root of the repository.
pub fn root() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    own.parent().map_or(own.clone(), PathBuf::from)
}

/// Where `cargo xtask build` puts what it makes: `bin/` and `components/`.
pub fn built() -> Result<PathBuf> {
    let built = root().join("target/cerebro");
    ensure!(built.join("bin/cerebro").is_file(), "nothing is built yet: run `cargo xtask build`");
    Ok(built)
}

/// A component that `cargo xtask build` made, such as `release`.
pub fn component(name: &str) -> Result<Vec<u8>> {
    let file = built()?.join("components").join(format!("{name}.wasm"));
    ensure!(file.is_file(), "{} is not there: run `cargo xtask build`", file.display());
    Ok(std::fs::read(file)?)
}
