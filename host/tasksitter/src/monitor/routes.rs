//! What is answered to each request.

use super::answer::{Answer, BAD_REQUEST, FAULT, Head, NOT_FOUND, OK, UNAVAILABLE};
use super::cut::Cut;
use super::escape::{OneLine, Url};
use super::follow::{Follow, Source};
use super::logbody::LogBody;
use super::logs::{self, LogEntry};
use super::report::Report;
use super::request::Request;
use super::snapshot::Snapshot;
use super::{date, health, metrics, page};
use crate::begin;
use crate::sitter::Sitter;
use std::fmt::Write;
use std::io;

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

/// What a page is sent as.
enum Form {
    Page,
    Lines,
    Json,
}

/// A request that cannot be answered as it is: what a person can do, as a 400.
struct Wrong(String);

impl Form {
    fn of(request: &Request) -> Result<Self, Wrong> {
        match request.value("format") {
            Some("json") => Ok(Self::Json),
            Some("text") => Ok(Self::Lines),
            Some("html") => Ok(Self::Page),
            Some(other) => Err(Wrong(format!("`format={other}`: expected html, text or json"))),
            None if request.flag("nohtml") => Ok(Self::Lines),
            None => Ok(Self::Page),
        }
    }
}

/// Answers a request from how things are now.
pub fn answer(request: &Request, sitter: &mut Sitter) -> Answer {
    let result = match request.path.as_str() {
        "/" | "/stats" => stats(request, sitter),
        "/logs" => list(request, sitter),
        "/logfile" => log_file(request, sitter),
        "/metrics" => {
            let text = metrics::metrics(&Snapshot::take(sitter, request.flag("pss")));
            Ok(whole(request, metrics::CONTENT_TYPE, &text))
        }
        "/healthz" => Ok(health(request, sitter)),
        other => {
            let detail = format!(
                "there is no `{other}`: there are /, /stats, /logs, /logfile?name=NAME, /metrics \
                 and /healthz"
            );
            return Answer::problem(NOT_FOUND, &detail, request.head_only);
        }
    };
    result.unwrap_or_else(|Wrong(detail)| Answer::problem(BAD_REQUEST, &detail, request.head_only))
}

fn whole(request: &Request, content_type: &str, text: &str) -> Answer {
    let head = Head::new(OK, content_type);
    let head = match content_type {
        HTML => head.with("Content-Security-Policy", page::POLICY),
        _ => head,
    };
    Answer::whole(head, text.as_bytes(), request.head_only)
}

fn stats(request: &Request, sitter: &mut Sitter) -> Result<Answer, Wrong> {
    let form = Form::of(request)?;
    let snapshot = Snapshot::take(sitter, request.flag("pss"));
    let report = Report::new(&snapshot);
    Ok(match form {
        Form::Page => whole(request, HTML, &page::stats(&report, snapshot.spec, snapshot.state)),
        Form::Lines => whole(request, TEXT, &report.flat()),
        // Plain data: it always serializes.
        Form::Json => {
            whole(request, JSON, &(serde_json::to_string(&report).unwrap_or_default() + "\n"))
        }
    })
}

fn health(request: &Request, sitter: &Sitter) -> Answer {
    let (status, line) = match health::problem(&sitter.state) {
        None => (OK, "ok".to_owned()),
        Some(problem) => (UNAVAILABLE, OneLine(&problem).to_string()),
    };
    Answer::whole(Head::new(status, TEXT), format!("{line}\n").as_bytes(), request.head_only)
}

fn entries(sitter: &Sitter) -> Vec<LogEntry> {
    let streams = begin::streams(&sitter.spec, &sitter.dir);
    logs::list(&streams.into_iter().map(|stream| stream.file).collect::<Vec<_>>())
}

fn list(request: &Request, sitter: &Sitter) -> Result<Answer, Wrong> {
    let (form, entries) = (Form::of(request)?, entries(sitter));
    Ok(match form {
        Form::Page => whole(request, HTML, &page::logs(&entries, &sitter.spec, &sitter.state)),
        Form::Lines => {
            let mut text = String::new();
            for entry in &entries {
                let (name, modified) = (OneLine(&entry.name), date::rfc3339(entry.modified));
                // Writing to a string does not fail.
                let _ = writeln!(text, "{name}: {} {modified} {}", entry.bytes, entry.stream);
            }
            whole(request, TEXT, &text)
        }
        Form::Json => {
            let entries = entries.iter().map(|entry| {
                serde_json::json!({
                    "name": entry.name,
                    "stream": entry.stream,
                    "bytes": entry.bytes,
                    "modified": date::rfc3339(entry.modified),
                    "current": entry.current,
                    "url": format!("/logfile?name={}", Url(&entry.name)),
                })
            });
            let list = serde_json::json!({ "files": entries.collect::<Vec<_>>() });
            whole(request, JSON, &format!("{list}\n"))
        }
    })
}

/// Which lines, and whether those to come too.
fn wanted(request: &Request) -> Result<(Cut, bool), Wrong> {
    let lines = |name: &str| {
        let value = request.value(name).filter(|value| !value.is_empty());
        let number = value.map(|value| {
            let wrong = || Wrong(format!("`{name}={value}`: expected a number of lines"));
            value.parse::<u64>().map_err(|_| wrong())
        });
        number.transpose()
    };
    let follow = request.flag("follow");
    match (lines("head")?, lines("tail")?) {
        (Some(_), Some(_)) => Err(Wrong("give either head or tail".to_owned())),
        (Some(_), None) if follow => {
            Err(Wrong("follow goes on from the end: give tail with it, or neither".to_owned()))
        }
        (Some(lines), None) => Ok((Cut::Head(lines), false)),
        (None, Some(lines)) => Ok((Cut::Tail(lines), follow)),
        (None, None) => Ok((Cut::All, follow)),
    }
}

fn log_file(request: &Request, sitter: &Sitter) -> Result<Answer, Wrong> {
    let (cut, follow) = wanted(request)?;
    let entries = entries(sitter);
    let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let known = if names.is_empty() { "none yet".to_owned() } else { names.join(", ") };
    let Some(name) = request.value("name") else {
        return Err(Wrong(format!("give the name of a log file: {known}")));
    };
    let Some(entry) = entries.iter().find(|entry| entry.name == name) else {
        let detail = format!("there is no log file `{name}`: there are {known}");
        return Ok(Answer::problem(NOT_FOUND, &detail, request.head_only));
    };
    let body = match (entry.is_compressed(), cut) {
        _ if follow && !entry.current => {
            return Err(Wrong(format!("nothing is written to `{name}` any more: don't follow it")));
        }
        (true, Cut::Tail(_)) => {
            return Err(Wrong(format!(
                "`{name}` is compressed, and has no tail without being unpacked as a whole: fetch it \
                 all, or give head"
            )));
        }
        (true, Cut::Head(lines)) => unpacked(request, entry, lines),
        (true, Cut::All) => packed(request, entry),
        _ if follow => following(request, entry, cut),
        _ => plain(request, entry, cut),
    };
    Ok(body.map_or_else(|error| unreadable(request, name, &error), Answer::log))
}

fn unreadable(request: &Request, name: &str, error: &io::Error) -> Answer {
    let (status, detail) = match error.kind() {
        io::ErrorKind::NotFound => {
            (NOT_FOUND, format!("`{name}` was removed or compressed just now: see /logs"))
        }
        _ => (FAULT, format!("`{name}` cannot be read: {error}")),
    };
    Answer::problem(status, &detail, request.head_only)
}

fn plain(request: &Request, entry: &LogEntry, cut: Cut) -> io::Result<LogBody> {
    let file = super::follow::open(&entry.path)?;
    LogBody::part(Head::new(OK, TEXT), request.head_only, file, cut)
}

/// As it lies there: for the client to unpack, or to keep.
fn packed(request: &Request, entry: &LogEntry) -> io::Result<LogBody> {
    let file = super::follow::open(&entry.path)?;
    let head = match request.takes_gzip {
        true => Head::new(OK, TEXT).with("Content-Encoding", "gzip"),
        false => {
            let name = format!("attachment; filename*=UTF-8''{}", Url(&entry.name));
            Head::new(OK, "application/gzip").with("Content-Disposition", &name)
        }
    };
    LogBody::part(head.with("Vary", "Accept-Encoding"), request.head_only, file, Cut::All)
}

fn unpacked(request: &Request, entry: &LogEntry, lines: u64) -> io::Result<LogBody> {
    let source = Source::open(&entry.path)?;
    let (head, chunks) = (Head::new(OK, TEXT), request.knows_chunks);
    Ok(LogBody::unpacked(head, request.head_only, chunks, source, lines))
}

fn following(request: &Request, entry: &LogEntry, cut: Cut) -> io::Result<LogBody> {
    let (head, chunks) = (Head::new(OK, TEXT), request.knows_chunks);
    LogBody::following(head, request.head_only, chunks, Follow::begin(&entry.path)?, cut)
}
