//! The line between the starter and the init: each waits for the other's word.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

/// One end of the line.
pub struct Line(BufReader<UnixStream>);

impl Line {
    /// Both ends.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = UnixStream::pair()?;
        Ok((Self(BufReader::new(one)), Self(BufReader::new(other))))
    }

    /// Says one line; the text has no line break.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        self.0.get_mut().write_all(format!("{text}\n").as_bytes())
    }

    /// Waits for the other's next line; an error if the other is gone.
    pub fn hear(&mut self) -> io::Result<String> {
        let mut text = String::new();
        if self.0.read_line(&mut text)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the other process ended"));
        }
        Ok(text.trim_end().to_owned())
    }
}
