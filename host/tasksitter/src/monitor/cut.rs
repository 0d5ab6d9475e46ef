//! Where the first or the last lines of a file begin and end, found a piece at a time, so that a
//! large file keeps nobody waiting.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Bytes looked at in one step.
const PIECE: u64 = 64 << 10;

/// Which lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// All.
    All,
    /// So many of the first.
    Head(u64),
    /// So many of the last.
    Tail(u64),
}

/// The search for them.
#[derive(Debug)]
pub struct Seek {
    cut: Cut,
    size: u64,
    /// Up to where it was searched, from the end that it begins at.
    at: u64,
    found: u64,
}

impl Seek {
    /// Begins to search what a file of `size` bytes has now.
    pub fn new(cut: Cut, size: u64) -> Self {
        let at = if matches!(cut, Cut::Tail(_)) { size } else { 0 };
        Self { cut, size, at, found: 0 }
    }

    /// Looks at one more piece; answers the bytes of the lines once they are found. A line that
    /// nobody has ended yet is one all the same.
    pub fn step(&mut self, file: &File) -> io::Result<Option<Range<u64>>> {
        match self.cut {
            Cut::All => Ok(Some(0..self.size)),
            Cut::Head(lines) => self.head(lines, file),
            Cut::Tail(lines) => self.tail(lines, file),
        }
    }

    fn head(&mut self, lines: u64, file: &File) -> io::Result<Option<Range<u64>>> {
        if lines == 0 || self.at >= self.size {
            return Ok(Some(0..if lines == 0 { 0 } else { self.size }));
        }
        let end = self.size.min(self.at + PIECE);
        let piece = read(file, self.at..end)?;
        for (place, _) in piece.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
            self.found += 1;
            if self.found == lines {
                return Ok(Some(0..self.at + place as u64 + 1));
            }
        }
        self.at = end;
        Ok(None)
    }

    fn tail(&mut self, lines: u64, file: &File) -> io::Result<Option<Range<u64>>> {
        if lines == 0 || self.at == 0 {
            return Ok(Some(if lines == 0 { self.size } else { 0 }..self.size));
        }
        let begin = self.at.saturating_sub(PIECE);
        let piece = read(file, begin..self.at)?;
        for (place, _) in piece.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let after = begin + place as u64 + 1;
            // The one at the very end begins no line.
            self.found += u64::from(after < self.size);
            if self.found == lines {
                return Ok(Some(after..self.size));
            }
        }
        self.at = begin;
        Ok(None)
    }
}

fn read(file: &File, range: Range<u64>) -> io::Result<Vec<u8>> {
    let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
    let mut piece = vec![0; length];
    file.read_exact_at(&mut piece, range.start)?;
    Ok(piece)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn cut(text: &str, cut: Cut) -> String {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let mut seek = Seek::new(cut, text.len() as u64);
        loop {
            if let Some(range) = seek.step(&file).unwrap() {
                let place = |at: u64| usize::try_from(at).unwrap();
                return text[place(range.start)..place(range.end)].to_owned();
            }
        }
    }

    #[test]
    fn the_first_and_the_last_lines_are_whole() {
        let text = "one\n\nthree\nfour";
        for (lines, head, tail) in [
            (0, "", ""),
            (1, "one\n", "four"),
            (2, "one\n\n", "three\nfour"),
            (3, "one\n\nthree\n", "\nthree\nfour"),
            (4, text, text),
            (9, text, text),
        ] {
            assert_eq!(cut(text, Cut::Head(lines)), head);
            assert_eq!(cut(text, Cut::Tail(lines)), tail);
        }
        assert_eq!(cut("a\nb\n", Cut::Tail(1)), "b\n");
        assert_eq!(cut("\n", Cut::Tail(1)), "\n");
        assert_eq!(cut("", Cut::Tail(1)), "");
        assert_eq!(cut(text, Cut::All), text);
    }

    #[test]
    fn lines_over_several_pieces_are_found() {
        let long = "x".repeat(usize::try_from(PIECE).unwrap() - 1);
        let text = format!("{long}\n{long}\nlast {long}{long}\n");
        assert_eq!(cut(&text, Cut::Head(2)), format!("{long}\n{long}\n"));
        assert_eq!(cut(&text, Cut::Tail(1)), format!("last {long}{long}\n"));
        assert_eq!(cut(&text, Cut::Tail(2)), format!("{long}\nlast {long}{long}\n"));
    }
}
