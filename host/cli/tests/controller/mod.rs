//! A controller that answers by heart.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

/// Answers each `METHOD path` with its JSON, as often as it is asked; anything else is not found.
pub fn controller(answers: Vec<(&str, Value)>) -> String {
    let answers: BTreeMap<String, String> = answers
        .into_iter()
        .map(|(request, answer)| (request.to_owned(), answer.to_string()))
        .collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
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
            stream.read_exact(&mut vec![0; length]).unwrap();
            let wanted = first.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
            let (status, kind, body) = match answers.get(&wanted) {
                Some(body) => ("200 OK", "application/json", body.clone()),
                None => {
                    let problem = json!({ "status": 404, "title": "Not found", "detail": wanted });
                    ("404 Not Found", "application/problem+json", problem.to_string())
                }
            };
            let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nconnection: close");
            let length = body.len();
            let _ = write!(stream.get_mut(), "{head}\r\ncontent-length: {length}\r\n\r\n{body}");
        }
    });
    base
}
