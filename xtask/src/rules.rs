//! The rules of the house that a machine can check: who may depend on what.

use crate::shell::output;
use anyhow::{Result, ensure};

/// Packages whose trees must not hold what matches: (package, prefix, why).
const FORBIDDEN: [(&str, &str, &str); 10] = [
    ("cerebro-tasksitter", "tokio", "the task sitter has no async runtime"),
    ("cerebro-tasksitter", "tracing-subscriber", "the task sitter is tiny"),
    ("cerebro-tasksitter", "wasmtime", "the task sitter runs no components"),
    ("cerebro-tasksitter", "cerebro-model", "the task sitter knows nothing of clusters"),
    ("cerebro-planner", "tokio", "the planners are pure"),
    ("cerebro-supervise", "nix", "the watch is pure"),
    ("cerebro-model", "tokio", "the model does no I/O"),
    ("cerebro-clustersitter", "wasmtime", "the controller runs no components"),
    ("cerebro-clustersitter", "russh", "the controller logs in to no machine"),
    ("cerebro-cli", "cerebro-machines", "the command line speaks to the API only"),
];

pub fn check() -> Result<()> {
    for (package, forbidden, why) in FORBIDDEN {
        let tree = output(
            "cargo",
            &["tree", "-p", package, "-e", "normal", "--prefix", "none", "--format", "{p}"],
        )?;
        let found = tree
            .lines()
            .filter_map(|line| line.split(' ').next())
            .find(|name| name.starts_with(forbidden));
        ensure!(found.is_none(), "{package} depends on {}: {why}", found.unwrap_or_default());
    }
    let whole = output(
        "cargo",
        &["tree", "--workspace", "-e", "normal", "--prefix", "none", "--format", "{p}"],
    )?;
    ensure!(
        !whole.lines().any(|line| line.starts_with("aws-")),
        "the AWS SDK is not for the default build"
    );
    eprintln!("{} rules of dependency hold", FORBIDDEN.len() + 1);
    Ok(())
}
