//! Network interfaces, by the `ip` command of iproute2: it is on every Debian and Ubuntu that has
//! not been stripped, and says what went wrong better than a netlink number does.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};

/// The name of a machine's interface inside its namespace.
pub const INNER: &str = "eth0";

/// The prefix length of the networks that we make.
const PREFIX: u8 = 24;

/// Why an interface could not be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// `ip` could not be run.
    #[error("cannot run `ip`; install the package `iproute2`")]
    Missing(#[source] io::Error),
    /// `ip` refused.
    #[error("`ip {command}` failed: {said}")]
    Refused {
        /// Its arguments.
        command: String,
        /// What it wrote to its standard error.
        said: String,
    },
}

/// Whether `ip` can be run at all.
pub fn is_available() -> bool {
    let mut command = Command::new("ip");
    command.arg("-V").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn ip(arguments: &[&str]) -> Result<(), NetError> {
    let mut command = Command::new("ip");
    let output =
        command.args(arguments).stdin(Stdio::null()).output().map_err(NetError::Missing)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(NetError::Refused { command: arguments.join(" "), said })
}

/// Whether this network namespace has an interface of that name.
pub fn exists(name: &str) -> bool {
    Path::new("/sys/class/net").join(name).exists()
}

/// Makes a bridge that is up and has `address`; one that is there already is kept.
pub fn make_bridge(name: &str, address: Ipv4Addr) -> Result<(), NetError> {
    if !exists(name) {
        ip(&["link", "add", name, "type", "bridge"])?;
    }
    ip(&["address", "replace", &format!("{address}/{PREFIX}"), "dev", name])?;
    ip(&["link", "set", name, "up"])
}

/// Makes a pair of interfaces: `outer` on `bridge`, its peer [`INNER`] in the network namespace of
/// process `pid`.
pub fn make_pair(outer: &str, bridge: &str, pid: i32) -> Result<(), NetError> {
    // By path: a bare pid would be looked up in the pid namespace that children of ours are in.
    let namespace = format!("/proc/{pid}/ns/net");
    ip(&[
        "link", "add", outer, "master", bridge, "type", "veth", "peer", "name", INNER, "netns",
        &namespace,
    ])?;
    ip(&["link", "set", outer, "up"])
}

/// Brings up the loopback and [`INNER`] in the caller's namespace.
pub fn bring_up(address: Ipv4Addr, gateway: Ipv4Addr) -> Result<(), NetError> {
    ip(&["link", "set", "lo", "up"])?;
    ip(&["address", "replace", &format!("{address}/{PREFIX}"), "dev", INNER])?;
    ip(&["link", "set", INNER, "up"])?;
    ip(&["route", "replace", "default", "via", &gateway.to_string()])
}

/// Sets an interface up or down.
pub fn set_up(name: &str, up: bool) -> Result<(), NetError> {
    ip(&["link", "set", name, if up { "up" } else { "down" }])
}

/// Removes an interface; that it is gone already is no error.
pub fn remove(name: &str) -> Result<(), NetError> {
    if !exists(name) {
        return Ok(());
    }
    match ip(&["link", "delete", name]) {
        // It may go on its own, with its namespace, while we ask.
        Err(NetError::Refused { .. }) if !exists(name) => Ok(()),
        result => result,
    }
}
