//! What is dropped when it cannot be kept: whole lines.

/// A line longer than this is handed on in pieces, of which some may be dropped.
const LONGEST: usize = 64 << 10;

/// Cuts a stream into pieces of whole lines, each of which is kept or dropped as one.
#[derive(Debug, Default)]
pub struct Dropper {
    /// The beginning of a line.
    begun: Vec<u8>,
}

impl Dropper {
    /// Offers what is whole by now to `keep`, which answers whether it took it. Answers how many
    /// bytes were dropped.
    pub fn offer(&mut self, piece: &[u8], keep: impl FnOnce(Vec<u8>) -> bool) -> u64 {
        let whole = piece.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let (lines, rest) = piece.split_at(whole);
        let mut offered = Vec::new();
        if !lines.is_empty() || self.begun.len() + rest.len() > LONGEST {
            offered = std::mem::take(&mut self.begun);
            offered.extend_from_slice(lines);
        }
        self.begun.extend_from_slice(rest);
        let length = offered.len() as u64;
        if length == 0 || keep(offered) { 0 } else { length }
    }

    /// The beginning of a line that nobody will end.
    pub fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn what_is_dropped_is_whole_lines() {
        let (mut dropper, kept) = (Dropper::default(), RefCell::new(Vec::new()));
        let keep = |bytes: Vec<u8>| {
            kept.borrow_mut().extend(bytes);
            true
        };
        assert_eq!(dropper.offer(b"one\ntw", keep), 0);
        // The disk is slow for a moment.
        assert_eq!(dropper.offer(b"o\nthree\nfo", |_| false), 10);
        assert_eq!(dropper.offer(b"ur\nfive", keep), 0);
        keep(dropper.rest());
        assert_eq!(kept.into_inner(), b"one\nfour\nfive");
    }

    #[test]
    fn a_line_without_end_does_not_fill_the_memory() {
        let mut dropper = Dropper::default();
        for _ in 0..100 {
            dropper.offer(&[b'x'; 10_000], |_| true);
            assert!(dropper.begun.len() <= LONGEST);
        }
    }
}
