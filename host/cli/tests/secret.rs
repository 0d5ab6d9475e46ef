//! `cerebro secret` as a user calls it, against a controller that keeps what it is sent.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;

const ANSWER: &str = r#"{"name":"a","size":7,"created_at":"2026-01-01T00:00:00Z",
    "changed_at":"2026-01-01T00:00:00Z","jobs":["shop.startup.com"]}"#;

/// Answers one request with `body`; what it was comes back, head and body.
fn controller(body: String) -> (String, JoinHandle<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let serve = move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = receive(&mut stream);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
        write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        request
    };
    (base, std::thread::spawn(serve))
}

fn receive(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).unwrap();
        bytes.extend_from_slice(&piece[..read]);
        let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") else {
            assert!(read > 0, "the request broke off");
            continue;
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let length = head.lines().find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok()
        });
        if bytes.len() >= end + 4 + length.unwrap_or(0) {
            return (head, bytes[end + 4..].to_vec());
        }
        assert!(read > 0, "the body broke off");
    }
}

fn cerebro(server: &str, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cerebro"))
        .args(["--server", server])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may not want all of it.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

#[test]
fn a_secret_is_sent_as_it_is_unless_it_is_to_be_trimmed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, b"\0from a file\n\n").unwrap();
    let file = file.to_str().unwrap();
    for (arguments, input, sent) in [
        (&["secret", "set", "a"][..], &b"hunter2\n"[..], &b"hunter2\n"[..]),
        (&["secret", "set", "a", "--trim"], b"\nhunter2 \r\n\n", b"\nhunter2 "),
        (&["secret", "set", "a", "--file", file], b"", b"\0from a file\n\n"),
        (&["secret", "set", "a", "--trim", "--file", file], b"", b"\0from a file"),
    ] {
        let (base, served) = controller(ANSWER.to_owned());
        let output = cerebro(&base, arguments, input);
        assert!(output.status.success(), "{output:?}");
        let (head, body) = served.join().unwrap();
        assert!(head.starts_with("PUT /v1/secrets/a HTTP/1.1"), "{head}");
        assert_eq!(body, sent, "{arguments:?}");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains("7 bytes, for shop.startup.com"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn what_cannot_be_a_secret_is_not_even_sent() {
    // Nobody listens there.
    let nowhere = "http://127.0.0.1:1";
    let large = vec![b'x'; 65537];
    for (input, code, words) in [
        (&b""[..], 1, "1 to 65536 bytes, and this has 0"),
        (&large, 1, "1 to 65536 bytes, and this has 65537"),
    ] {
        let output = cerebro(nowhere, &["secret", "set", "a"], input);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(words), "{said}");
    }
    let output = cerebro(nowhere, &["secret", "set", "a", "--trim"], b"\r\n\n");
    assert_eq!(output.status.code(), Some(1));
    // As an argument it would be seen by everyone.
    let output = cerebro(nowhere, &["secret", "set", "a", "hunter2"], b"");
    assert_eq!(output.status.code(), Some(2));
    let output = cerebro(nowhere, &["secret", "set", "no/name"], b"x");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn secrets_are_listed_with_the_jobs_that_are_granted_them() {
    let (base, served) = controller(format!("[{ANSWER}]"));
    let output = cerebro(&base, &["secret", "list"], b"");
    let (head, _) = served.join().unwrap();
    assert!(head.starts_with("GET /v1/secrets HTTP/1.1"), "{head}");
    let text = String::from_utf8(output.stdout).unwrap();
    let row: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((row[0], row[1], row[3]), ("a", "7", "shop.startup.com"), "{text}");
}
