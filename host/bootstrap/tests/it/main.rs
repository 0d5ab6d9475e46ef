//! Machines that exist, with Debian's `sshd`, and what Debian's cloud-init says of user data.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod agents;
mod cloud;
mod controller;
mod doors;
mod installs;
mod machine;
mod systemd;

use std::path::Path;

/// Fails with what to do if a program of Debian's is missing.
fn need(file: &str, package: &str) {
    assert!(Path::new(file).exists(), "`{file}` is missing: `apt-get install {package}`");
}
