//! The log of one call: bounded, with its end at hand.

use crate::secrets::Secrets;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Lines kept for an error.
const TAIL: usize = 20;
/// Bytes of a line before the rest is cut off.
const LONGEST_LINE: usize = 8 << 10;

/// A line of a component's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: LogLevel,
    /// What it says, without a line break.
    pub message: String,
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        })
    }
}

/// Where lines go. It must not block.
pub trait LogSink: Send + Sync {
    /// Takes a line.
    fn line(&self, line: LogLine);
}

impl<F: Fn(LogLine) + Send + Sync> LogSink for F {
    fn line(&self, line: LogLine) {
        self(line);
    }
}

/// Passes lines on until the call has written its share, and remembers the last ones.
pub(crate) struct Logbook {
    sink: Arc<dyn LogSink>,
    secrets: Arc<Secrets>,
    state: Mutex<State>,
}

struct State {
    bytes_left: usize,
    lines_left: usize,
    full: bool,
    tail: VecDeque<LogLine>,
}

impl Logbook {
    pub(crate) fn new(
        sink: Arc<dyn LogSink>,
        bytes: usize,
        lines: usize,
        secrets: Arc<Secrets>,
    ) -> Self {
        let state =
            State { bytes_left: bytes, lines_left: lines, full: false, tail: VecDeque::new() };
        Self { sink, secrets, state: Mutex::new(state) }
    }

    pub(crate) fn write(&self, level: LogLevel, message: &str) {
        for line in message.trim_end_matches('\n').split('\n') {
            // Before it is cut: half a secret would not be known as one.
            let blotted = self.secrets.blot(line);
            let line = blotted.as_deref().unwrap_or(line).trim_end_matches('\r');
            // What a terminal would be left with, where progress is written over and over.
            let line = line.rsplit('\r').next().unwrap_or_default();
            self.write_line(level, cut(line, LONGEST_LINE).into_owned());
        }
    }

    fn write_line(&self, level: LogLevel, message: String) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.tail.len() == TAIL {
            state.tail.pop_front();
        }
        // Spelled out when it is asked for: most lines of a flood never are.
        state.tail.push_back(LogLine { level, message });
        let Some(LogLine { message, .. }) = state.tail.back().filter(|_| !state.full) else {
            return;
        };
        let line = LogLine { level, message: plain(message, |_| false).into_owned() };
        if state.lines_left == 0 || state.bytes_left < line.message.len() {
            state.full = true;
            let message = "the log of this call is full: what follows is dropped".to_owned();
            self.sink.line(LogLine { level: LogLevel::Warn, message });
            return;
        }
        state.lines_left -= 1;
        state.bytes_left -= line.message.len();
        self.sink.line(line);
    }

    /// The last lines, oldest first.
    pub(crate) fn tail(&self) -> Vec<LogLine> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let line = |LogLine { level, message }: &LogLine| LogLine {
            level: *level,
            message: plain(message, |_| false).into_owned(),
        };
        state.tail.iter().map(line).collect()
    }
}

/// The first `most` bytes of a text.
pub(crate) fn cut(text: &str, most: usize) -> Cow<'_, str> {
    match text.len() <= most {
        true => Cow::Borrowed(text),
        false => Cow::Owned(format!("{}…", &text[..text.floor_char_boundary(most)])),
    }
}

/// A text that does nothing to the terminal that shows it: control characters, and those that turn
/// the direction of what follows, are spelled out, but for tabs and what `but` names.
pub(crate) fn plain(text: &str, but: impl Fn(char) -> bool) -> Cow<'_, str> {
    let turns = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_bad = |c: char| (c.is_control() && c != '\t' && !but(c)) || turns(c);
    if !text.contains(is_bad) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_bad(c) {
            true => plain.extend(c.escape_default()),
            false => plain.push(c),
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logbook(bytes: usize, lines: usize) -> (Logbook, Arc<Mutex<Vec<String>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = seen.clone();
        let sink = move |line: LogLine| sink.lock().unwrap().push(line.message);
        (Logbook::new(Arc::new(sink), bytes, lines, Arc::default()), seen)
    }

    #[test]
    fn a_full_log_says_so_once_and_keeps_its_end() {
        for (bytes, lines) in [(1000, 2), (4, 1000)] {
            let (log, seen) = logbook(bytes, lines);
            (0..100).for_each(|n| log.write(LogLevel::Info, &format!("{n:02}")));
            let seen = seen.lock().unwrap();
            assert_eq!(seen[..2], ["00", "01"]);
            assert!(seen.len() == 3 && seen[2].contains("full"), "{seen:?}");
            let tail = log.tail();
            assert_eq!((tail.len(), tail[TAIL - 1].message.as_str()), (TAIL, "99"));
        }
    }

    #[test]
    fn lines_are_split_and_cut() {
        let (log, seen) = logbook(1 << 20, 10);
        log.write(LogLevel::Info, "one\r\n1%\r99%\rtwo\n");
        log.write(LogLevel::Info, &"é".repeat(LONGEST_LINE));
        log.write(LogLevel::Info, "a\u{7}");
        assert_eq!(log.tail().last().unwrap().message, "a\\u{7}");
        let seen = seen.lock().unwrap();
        assert_eq!(seen[..2], ["one", "two"]);
        assert_eq!(plain("a\tb\u{1b}[2J\u{202e}\n", |_| false), "a\tb\\u{1b}[2J\\u{202e}\\n");
        assert!(seen[2].len() <= LONGEST_LINE + '…'.len_utf8());
    }
}
