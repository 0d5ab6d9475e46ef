//! Answers: their heads, problems, and how they get to a client piece by piece.

use super::date;
use super::logbody::{LogBody, Step};
use super::request::Refused;
use crate::clock;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;

/// Steps that one answer may take before the others have their turn.
const TURN: usize = 8;

/// A status line's number and words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u16, pub &'static str);

pub const OK: Status = Status(200, "OK");
pub const BAD_REQUEST: Status = Status(400, "Bad Request");
pub const NOT_FOUND: Status = Status(404, "Not Found");
pub const NOT_ALLOWED: Status = Status(405, "Method Not Allowed");
pub const TOO_LONG: Status = Status(431, "Request Header Fields Too Large");
pub const FAULT: Status = Status(500, "Internal Server Error");
pub const UNAVAILABLE: Status = Status(503, "Service Unavailable");

/// How a client knows where the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// It is told beforehand.
    Length(u64),
    /// By chunks.
    Chunks,
    /// By the end of the connection, as HTTP/1.0 has it.
    Close,
}

/// The head of an answer.
#[derive(Debug, Clone)]
pub struct Head(String);

impl Head {
    /// What every answer has. Pages change by themselves: nobody keeps them.
    pub fn new(status: Status, content_type: &str) -> Self {
        let date = date::http(clock::wall_micros() / 1_000_000);
        Self(format!(
            "HTTP/1.1 {} {}\r\nDate: {date}\r\nContent-Type: {content_type}\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n",
            status.0, status.1
        ))
    }

    /// A further line. The value is our own, without control characters.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        // Writing to a string does not fail.
        let _ = write!(self.0, "{name}: {value}\r\n");
        self
    }

    /// The bytes, up to the body.
    pub fn finish(self, framing: Framing) -> Vec<u8> {
        let head = match framing {
            Framing::Length(length) => self.with("Content-Length", &length.to_string()),
            Framing::Chunks => self.with("Transfer-Encoding", "chunked"),
            Framing::Close => self,
        };
        (head.0 + "\r\n").into_bytes()
    }
}

/// An answer on its way.
pub struct Answer {
    pending: Vec<u8>,
    sent: usize,
    log: Option<Box<LogBody>>,
}

/// How far an answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All of it is sent.
    Done,
    /// There is more, after the others' turn.
    Again,
    /// The client takes no more for now.
    Full,
    /// The log that it follows has no more for now.
    Waiting,
}

impl Answer {
    /// With a body that is there.
    pub fn whole(head: Head, body: &[u8], head_only: bool) -> Self {
        let mut pending = head.finish(Framing::Length(body.len() as u64));
        if !head_only {
            pending.extend_from_slice(body);
        }
        Self { pending, sent: 0, log: None }
    }

    /// With a log, which says its head by itself.
    pub fn log(log: LogBody) -> Self {
        Self { pending: Vec::new(), sent: 0, log: Some(Box::new(log)) }
    }

    /// A problem (RFC 9457). `detail` says what a person can do.
    pub fn problem(status: Status, detail: &str, head_only: bool) -> Self {
        let body = serde_json::json!({
            "type": "about:blank", "title": status.1, "status": status.0, "detail": detail,
        });
        let head = Head::new(status, "application/problem+json");
        let head = if status == NOT_ALLOWED { head.with("Allow", "GET, HEAD") } else { head };
        Self::whole(head, format!("{body}\n").as_bytes(), head_only)
    }

    /// What is said to a request that is refused.
    pub fn refusal(refused: &Refused) -> Self {
        let status = match refused {
            Refused::Malformed(_) => BAD_REQUEST,
            Refused::TooLong => TOO_LONG,
            Refused::Method(_) => NOT_ALLOWED,
        };
        Self::problem(status, &refused.to_string(), false)
    }

    /// The log that it follows has ended for good.
    pub fn stop_following(&mut self) {
        if let Some(log) = &mut self.log {
            log.stop_following();
        }
    }

    /// Sends what the client takes, but not more than its turn; answers too whether anything moved.
    /// Never waits.
    pub fn advance(&mut self, stream: &TcpStream) -> io::Result<(Progress, bool)> {
        let mut moved = false;
        for _ in 0..TURN {
            let step = match (self.pending.is_empty(), &mut self.log) {
                (false, _) => self.send_pending(stream)?,
                (true, None) => Step::Done,
                (true, Some(log)) => log.step(stream, &mut self.pending)?,
            };
            match step {
                Step::Moved => moved = true,
                Step::Full => return Ok((Progress::Full, moved)),
                Step::Waiting => return Ok((Progress::Waiting, moved)),
                Step::Done if self.pending.is_empty() => return Ok((Progress::Done, moved)),
                Step::Done => self.log = None,
            }
        }
        Ok((Progress::Again, moved))
    }

    fn send_pending(&mut self, mut stream: &TcpStream) -> io::Result<Step> {
        match stream.write(&self.pending[self.sent..]) {
            Ok(0) => Err(ErrorKind::WriteZero.into()),
            Ok(sent) => {
                self.sent += sent;
                if self.sent == self.pending.len() {
                    (self.pending, self.sent) = (Vec::new(), 0);
                }
                Ok(Step::Moved)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Step::Full),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Step::Moved),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_before_its_body_and_says_how_that_ends() {
        let text =
            |framing| String::from_utf8(Head::new(OK, "text/plain").finish(framing)).unwrap();
        for framing in [Framing::Length(7), Framing::Chunks, Framing::Close] {
            let head = text(framing);
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"));
            assert_eq!(head.matches("\r\n\r\n").count(), 1);
            assert_eq!(head.contains("Content-Length: 7\r\n"), framing == Framing::Length(7));
            assert_eq!(head.contains("chunked"), framing == Framing::Chunks);
        }
    }

    #[test]
    fn a_problem_says_what_to_do_and_a_head_has_no_body() {
        let said = |answer: Answer| String::from_utf8(answer.pending).unwrap();
        let refusal = said(Answer::refusal(&Refused::Method("PUT".to_owned())));
        let (head, body) = refusal.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("\r\nAllow: GET, HEAD\r\n") && head.contains("problem+json"));
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(problem["status"], 405);
        assert!(problem["detail"].as_str().unwrap().contains("PUT"));
        assert!(head.ends_with(&format!("\r\nContent-Length: {}", body.len())));
        assert!(said(Answer::problem(NOT_FOUND, "no", true)).ends_with("\r\n\r\n"));
    }
}
