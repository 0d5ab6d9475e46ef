//! Whom a component may talk to, and those who answer in bad faith.

use crate::ground::{Case, Ground, HANGS_UP, OUT_OF_TIME};
use crate::support::REBOUND;
use serde_json::{Value, json};
use std::time::Duration;

const NEVER: Duration = Duration::from_secs(600);
/// Milliseconds that a server has to answer that does not.
const LITTLE: u64 = 500;
/// What one has that does, however slow the machine is.
const MUCH: u64 = 10_000;
const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";

fn tcp(host: &str, port: u16) -> Value {
    json!({"do": "tcp", "host": host, "port": port, "timeout": 300})
}

fn http(port: u16, timeout: u64) -> Value {
    json!({"do": "http", "host": "127.0.0.1", "port": port, "timeout": timeout, "path": "/"})
}

fn download(ground: &mut Ground, answer: &'static [&'static str]) -> Value {
    let port = ground.serve(answer, Duration::ZERO);
    let url = format!("http://127.0.0.1:{port}/granted/file");
    json!({"do": "download", "url": url, "sha256": "0".repeat(64)})
}

pub fn cases() -> Vec<Case> {
    vec![
        Case::hostile("a server that says nothing", "nothing was said", |ground| {
            let port = ground.serve(&[], Duration::ZERO);
            tcp("127.0.0.1", port)
        }),
        Case::hostile("a server that never answers", "did not answer within", |ground| {
            let port = ground.serve(&["never"], NEVER);
            http(port, LITTLE)
        }),
        Case::hostile("a server that answers drop by drop", "did not answer within", |ground| {
            let port = ground.serve(
                &["H", "T", "T", "P", "/", "1", ".", "1", " ", "2", "0", "0"],
                Duration::from_millis(100),
            );
            http(port, LITTLE)
        }),
        Case::hostile("a page that comes drop by drop", "did not answer within", |ground| {
            let port = ground
                .serve(&[HEAD, "a", "b", "c", "d", "e", "f", "g"], Duration::from_millis(100));
            http(port, LITTLE)
        }),
        Case::hostile("a page that is cut off", "ask for", |ground| {
            let port = ground.serve(&[HEAD, "abc", HANGS_UP], Duration::ZERO);
            http(port, MUCH)
        }),
        Case::hostile("headers without end", "ask for", |ground| {
            static LONG: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
                format!("HTTP/1.1 200 OK\r\n{}", "X: y\r\n".repeat(200_000))
            });
            static PIECES: std::sync::LazyLock<[&str; 1]> =
                std::sync::LazyLock::new(|| [LONG.as_str()]);
            let port = ground.serve(&*PIECES, Duration::ZERO);
            http(port, MUCH)
        }),
        Case::hostile("no HTTP", "ask for", |ground| {
            let port = ground.serve(&["SSH-2.0-OpenSSH_9.2\r\n"], Duration::ZERO);
            http(port, MUCH)
        }),
        Case::hostile("a host that is not granted", "grants.hosts", |_| tcp("192.0.2.1", 22)),
        Case::hostile("the cloud's metadata", "grants.hosts", |_| tcp("169.254.169.254", 80)),
        Case::hostile(
            "a port of this machine's that is not the instance's",
            "grants.hosts",
            |_| tcp("127.0.0.1", 22),
        ),
        Case::hostile(
            "a granted name that leads to this machine",
            "which is this machine itself",
            |_| tcp("0x7f000001", 22),
        ),
        Case::hostile("an address in other words", "grants.hosts", |_| tcp("0x7f.1", 22)),
        Case::hostile("a host that is no name", "grants.hosts", |_| tcp("a b\u{0}c", 22)),
        Case::hostile("a page that is not granted", "grants.urls", |ground| {
            let port = ground.serve(&[HEAD], Duration::ZERO);
            json!({"do": "download", "url": format!("http://127.0.0.1:{port}/secret"), "sha256": "0".repeat(64)})
        }),
        Case::hostile("a page that leads to the metadata", "169.254.169.254", |ground| {
            download(
                ground,
                &[
                    "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/meta-data\r\nContent-Length: 0\r\n\r\n",
                ],
            )
        }),
        Case::hostile("a page that leads to a file", "download", |ground| {
            download(
                ground,
                &[
                    "HTTP/1.1 302 Found\r\nLocation: file:///etc/shadow\r\nContent-Length: 0\r\n\r\n",
                ],
            )
        }),
        Case::hostile("a page that leads to itself", "redirect", |ground| {
            download(
                ground,
                &[
                    "HTTP/1.1 302 Found\r\nLocation: /granted/file\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                ],
            )
        }),
        Case::hostile("a download that is something else", "0000", |ground| {
            download(ground, &["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"])
        }),
        Case::hostile("a download that never ends", OUT_OF_TIME, |ground| {
            download(ground, &["HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"])
        }),
        Case::hostile("a digest that is none", "digest", |ground| {
            let port = ground.serve(&[HEAD], Duration::ZERO);
            json!({"do": "download", "url": format!("http://127.0.0.1:{port}/granted/f"), "sha256": "../../etc/shadow"})
        }),
        Case::hostile(
            "a name that leads elsewhere when it is asked for again",
            r#"["192.0.2.1"], then ["192.0.2.1"]: connect: "#,
            |ground| {
                let port = ground.serve(&["never said"], Duration::ZERO);
                json!({"do": "rebind", "host": REBOUND, "port": port})
            },
        ),
        Case::hostile("sockets without end", "behind 64 sockets", |_| json!({"do": "sockets"})),
        Case::hostile("a socket of its own that listens", "bind", |_| json!({"do": "bind"})),
        Case::hostile("a socket for datagrams", "udp", |_| json!({"do": "udp"})),
        Case::hostile(
            "a socket to what is not granted",
            "connect",
            |_| json!({"do": "connect", "address": "127.0.0.1:22"}),
        ),
    ]
}
