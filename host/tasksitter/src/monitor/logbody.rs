//! A log on its way to a client: the lines that were asked for, or all of them and those to come.
//!
//! A plain file goes from the page cache to the socket by sendfile(2): nothing of it is held here,
//! and what a client does not take is taken from the file later.

use super::answer::{Framing, Head};
use super::cut::{Cut, Seek};
use super::follow::{Follow, Source};
use nix::errno::Errno;
use nix::sys::sendfile::sendfile64;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;

/// Bytes sent in one step.
const PIECE: usize = 64 << 10;

/// What one step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Something was done.
    Moved,
    /// The client takes no more for now.
    Full,
    /// There is no more for now.
    Waiting,
    /// There is no more.
    Done,
}

/// A log, and how far it is sent.
pub struct LogBody {
    /// Until it is sent.
    head: Option<Head>,
    head_only: bool,
    framing: Framing,
    source: Source,
    /// While it searches for the lines that were asked for.
    seek: Option<Seek>,
    /// Bytes of the present chunk, or of all, that are still to be sent from a plain file.
    run: u64,
    /// Lines that are still to be sent from a compressed one; none for all.
    lines: Option<u64>,
    follow: Option<Follow>,
    /// What it follows has ended.
    ended: bool,
}

impl LogBody {
    /// The lines that `cut` says of a plain file.
    pub fn part(head: Head, head_only: bool, file: File, cut: Cut) -> io::Result<Self> {
        let seek = Some(Seek::new(cut, file.metadata()?.len()));
        let source = Source::Plain(file, 0);
        Ok(Self { seek, ..Self::new(head, head_only, Framing::Length(0), source) })
    }

    /// The first lines of a compressed file, as text.
    pub fn unpacked(head: Head, head_only: bool, chunks: bool, source: Source, lines: u64) -> Self {
        Self { lines: Some(lines), ..Self::new(head, head_only, endless(chunks), source) }
    }

    /// The lines of a log that `cut` says, and all that come after, file after file.
    pub fn following(
        head: Head,
        head_only: bool,
        chunks: bool,
        (follow, source): (Follow, Source),
        cut: Cut,
    ) -> io::Result<Self> {
        let seek = match &source {
            Source::Plain(file, _) => Some(Seek::new(cut, file.metadata()?.len())),
            // It was set aside and compressed just now.
            Source::Gzip(_) => None,
        };
        let follow = Some(follow);
        Ok(Self { seek, follow, ..Self::new(head, head_only, endless(chunks), source) })
    }

    fn new(head: Head, head_only: bool, framing: Framing, source: Source) -> Self {
        let head = Some(head);
        let (seek, run, lines, follow, ended) = (None, 0, None, None, false);
        Self { head, head_only, framing, source, seek, run, lines, follow, ended }
    }

    /// No more will come than is there.
    pub fn stop_following(&mut self) {
        self.ended = true;
    }

    /// Goes on by one piece. What is not in a file is left in `pending`, to be sent before the next
    /// step.
    pub fn step(&mut self, stream: &TcpStream, pending: &mut Vec<u8>) -> io::Result<Step> {
        if !self.found_lines()? {
            return Ok(Step::Moved);
        }
        if let Some(head) = self.head.take() {
            *pending = head.finish(self.framing);
            return Ok(if self.head_only { Step::Done } else { Step::Moved });
        }
        match &mut self.source {
            Source::Plain(file, at) if self.run > 0 => {
                let most = usize::try_from(self.run).map_or(PIECE, |run| run.min(PIECE));
                let mut offset = i64::try_from(*at).map_err(io::Error::other)?;
                let sent = match sendfile64(stream, file, Some(&mut offset), most) {
                    // Someone cut it short: what was announced cannot be sent.
                    Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                    Ok(sent) => sent as u64,
                    Err(Errno::EAGAIN) => return Ok(Step::Full),
                    Err(Errno::EINTR) => return Ok(Step::Moved),
                    Err(error) => return Err(error.into()),
                };
                *at += sent;
                self.run -= sent;
                if self.run == 0 && self.framing == Framing::Chunks {
                    pending.extend_from_slice(b"\r\n");
                }
                Ok(Step::Moved)
            }
            Source::Plain(..) if self.follow.is_none() => Ok(Step::Done),
            Source::Plain(..) => self.look_for_more(pending),
            Source::Gzip(_) => self.unpack(pending),
        }
    }

    /// Goes on to search; answers whether there is nothing to search for any more.
    fn found_lines(&mut self) -> io::Result<bool> {
        let (Some(seek), Source::Plain(file, at)) = (&mut self.seek, &mut self.source) else {
            return Ok(true);
        };
        let Some(range) = seek.step(file)? else { return Ok(false) };
        *at = range.start;
        if self.follow.is_none() {
            self.run = range.end - range.start;
            self.framing = Framing::Length(self.run);
        }
        self.seek = None;
        Ok(true)
    }

    /// What was written since, or the next file.
    fn look_for_more(&mut self, pending: &mut Vec<u8>) -> io::Result<Step> {
        let (Source::Plain(file, at), Some(follow)) = (&mut self.source, &mut self.follow) else {
            return Ok(Step::Done);
        };
        // In this order: what was written before it was set aside is there when it is.
        let is_set_aside = follow.is_set_aside(file)?;
        let size = file.metadata()?.len();
        if size < *at {
            // Someone emptied it.
            *at = 0;
        }
        if size > *at {
            self.run = (size - *at).min(PIECE as u64);
            if self.framing == Framing::Chunks {
                pending.extend(format!("{:x}\r\n", self.run).into_bytes());
            }
            return Ok(Step::Moved);
        }
        if is_set_aside {
            self.source = follow.next()?;
            return Ok(Step::Moved);
        }
        match self.ended {
            true => Ok(self.finish(pending)),
            false => Ok(Step::Waiting),
        }
    }

    /// The next piece of a compressed file.
    fn unpack(&mut self, pending: &mut Vec<u8>) -> io::Result<Step> {
        let Source::Gzip(file) = &mut self.source else { return Ok(Step::Done) };
        if self.lines == Some(0) {
            return Ok(self.finish(pending));
        }
        let mut piece = vec![0; PIECE];
        let read = match file.read(&mut piece) {
            Ok(0) => match &mut self.follow {
                Some(follow) => {
                    self.source = follow.next()?;
                    return Ok(Step::Moved);
                }
                None => return Ok(self.finish(pending)),
            },
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(Step::Moved),
            Err(error) => return Err(error),
        };
        piece.truncate(read);
        if let Some(lines) = &mut self.lines {
            let mut ends = piece.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
            let last = usize::try_from(*lines - 1).ok().and_then(|skipped| ends.nth(skipped));
            match last.map(|(place, _)| place) {
                Some(place) => {
                    piece.truncate(place + 1);
                    *lines = 0;
                }
                None => *lines -= piece.iter().filter(|byte| **byte == b'\n').count() as u64,
            }
        }
        if self.framing == Framing::Chunks {
            pending.extend(format!("{:x}\r\n", piece.len()).into_bytes());
            piece.extend_from_slice(b"\r\n");
        }
        pending.append(&mut piece);
        Ok(Step::Moved)
    }

    fn finish(&self, pending: &mut Vec<u8>) -> Step {
        if self.framing == Framing::Chunks {
            pending.extend_from_slice(b"0\r\n\r\n");
        }
        Step::Done
    }
}

/// How the end of what has no known length is told.
fn endless(chunks: bool) -> Framing {
    if chunks { Framing::Chunks } else { Framing::Close }
}
