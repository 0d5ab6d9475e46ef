//! Stands in for the agent in this crate's tests: a process of its own that joins over HTTP, and lives on.

#![allow(clippy::unwrap_used, reason = "a stand-in that cannot go on should stop there")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--version") {
        println!("machinesitter 0.0.0");
        return;
    }
    let flags: BTreeMap<_, _> =
        words.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    let token = std::fs::read_to_string(&flags["--join-token-file"]).unwrap();
    let (machine, controller) = (&flags["--machine"], &flags["--controller"]);
    let place = controller.strip_prefix("http://").unwrap();
    println!("joins {controller} as {machine}");
    let body = format!("{{\"token\":\"{token}\"}}");
    loop {
        let answer = ask(place, &format!("/v1/machines/{machine}/join"), &body);
        if answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            break;
        }
        println!("{controller} does not answer");
        std::thread::sleep(Duration::from_millis(100));
    }
    std::fs::write(&flags["--token-file"], "own").unwrap();
    println!("joined");
    loop {
        std::thread::park();
    }
}

fn ask(place: &str, path: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(place)?;
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: {place}\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
