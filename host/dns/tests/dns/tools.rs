//! Others' programs.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// A condition is waited for as long, and then it is a failure.
pub const BOUND: Duration = Duration::from_secs(60);

/// A program of Debian's package, or a sentence on what to install.
pub fn program(path: &'static str, package: &str) -> &'static str {
    assert!(
        Path::new(path).exists(),
        "this test needs `{path}`: install Debian's package `{package}`, as `cargo xtask test` does"
    );
    path
}

/// What a program prints, fed with a text.
pub async fn output(path: &str, arguments: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new(path)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = tokio::time::timeout(BOUND, child.wait_with_output()).await.unwrap().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// What `dig` prints of a server on this host.
pub async fn dig(port: u16, arguments: &[&str]) -> String {
    let dig = program("/usr/bin/dig", "bind9-dnsutils");
    let port = port.to_string();
    let server = ["@127.0.0.1", "-p", &port, "+tries=1", "+time=20"];
    output(dig, &[&server[..], arguments].concat(), "").await.1
}

/// The answers alone, sorted.
pub async fn dig_short(port: u16, arguments: &[&str]) -> Vec<String> {
    let text = dig(port, &[arguments, &["+short"]].concat()).await;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Waits until it holds.
pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let since = Instant::now();
    while !holds().await {
        assert!(since.elapsed() < BOUND, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
