//! A controller as far as a machine that joins sees it: programs by digest, and a door.

use cerebro_bootstrap::{Program, Source};
use cerebro_model::Digest;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Default)]
struct Seen {
    programs: BTreeMap<String, Vec<u8>>,
    /// Paths that were asked for, and what came with them.
    asked: Vec<(String, String)>,
}

pub struct Controller {
    pub base: String,
    seen: Arc<Mutex<Seen>>,
}

impl Controller {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let shared = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let (mut first, mut length) = (String::new(), 0);
                stream.read_line(&mut first).unwrap();
                loop {
                    let mut line = String::new();
                    if stream.read_line(&mut line).unwrap() == 0 || line.trim().is_empty() {
                        break;
                    }
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                }
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
                let found = {
                    let mut seen = shared.lock().unwrap();
                    seen.asked.push((path.clone(), String::from_utf8(body).unwrap()));
                    seen.programs.get(&path).cloned()
                };
                let (status, bytes) = match found {
                    Some(bytes) => ("200 OK", bytes),
                    None if path.ends_with("/join") => ("200 OK", b"{\"term\":1}".to_vec()),
                    None => ("404 Not Found", Vec::new()),
                };
                let head = format!(
                    "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}",
                    bytes.len()
                );
                // Whoever has no room for it goes away.
                let _ = write!(stream.get_mut(), "{head}\r\n\r\n");
                let _ = stream.get_mut().write_all(&bytes);
            }
        });
        Self { base, seen }
    }

    /// Serves a program; what there is to know of it.
    pub fn serve(&self, name: &str, bytes: &[u8]) -> Program {
        let digest = Digest::of(bytes);
        let path = format!("/v1/agent/{digest}");
        self.seen.lock().unwrap().programs.insert(path.clone(), bytes.to_vec());
        Program {
            name: name.parse().unwrap(),
            digest,
            size: bytes.len() as u64,
            architecture: None,
            source: Source::Url(format!("{}{path}", self.base)),
        }
    }

    /// How often a path was asked for that ends so.
    pub fn asked(&self, end: &str) -> usize {
        self.seen.lock().unwrap().asked.iter().filter(|(path, _)| path.ends_with(end)).count()
    }

    /// The token that a machine joined with.
    pub fn token_of(&self, machine: &str) -> Option<String> {
        let seen = self.seen.lock().unwrap();
        let path = format!("/v1/machines/{machine}/join");
        let (_, body) = seen.asked.iter().find(|(asked, _)| *asked == path)?;
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        Some(body["token"].as_str().unwrap().to_owned())
    }

    /// Until a machine has joined.
    pub async fn joined(&self, machine: &str) {
        while self.token_of(machine).is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
