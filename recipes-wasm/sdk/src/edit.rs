//! Edits of configuration files, as pure functions from the old text to the new one, for
//! [`File::edit`](crate::File::edit).
//!
//! To apply one twice changes nothing more. Lines keep their ends (`\n` or `\r\n`), new ones get
//! that of the first line, and a file without a final newline stays without one (so blank
//! lines that would become its last go).

mod ini;
mod json;
mod line;
mod toml;

pub use ini::{ini_remove, ini_set};
pub use json::json_merge;
pub use line::{block, line_absent, line_key, line_present};
pub use toml::toml_merge;

/// `new`, which ends its lines with `\n`, with the ends of lines that the first line of `old` has,
/// and without one at the end of the text if `old` has none there.
fn with_ends_of(old: &str, new: &str) -> String {
    let new = match old.is_empty() || old.ends_with('\n') {
        true => new,
        false => new.strip_suffix('\n').unwrap_or(new),
    };
    match old.split_inclusive('\n').next().is_some_and(|first| first.ends_with("\r\n")) {
        true => new.replace("\r\n", "\n").replace('\n', "\r\n"),
        false => new.to_owned(),
    }
}

/// A text as lines without their ends, and what is needed to put them together again.
struct Lines {
    lines: Vec<(String, &'static str)>,
    end: &'static str,
    closed: bool,
}

impl Lines {
    fn of(text: &str) -> Self {
        let mut lines = Vec::new();
        for piece in text.split_inclusive('\n') {
            let (line, end) = match piece.strip_suffix('\n') {
                None => (piece, ""),
                Some(line) => match line.strip_suffix('\r') {
                    Some(line) => (line, "\r\n"),
                    None => (line, "\n"),
                },
            };
            lines.push((line.to_owned(), end));
        }
        let end = match lines.first() {
            Some((_, "\r\n")) => "\r\n",
            _ => "\n",
        };
        Self { lines, end, closed: text.is_empty() || text.ends_with('\n') }
    }

    fn insert(&mut self, at: usize, line: &str) {
        self.lines.insert(at, (line.to_owned(), self.end));
    }

    fn text(&self) -> String {
        let mut out = String::new();
        let mut lines = self.lines.as_slice();
        // A blank line without an end could not be told from none.
        while let (false, Some(((line, _), before))) = (self.closed, lines.split_last())
            && line.is_empty()
        {
            lines = before;
        }
        for (n, (line, end)) in lines.iter().enumerate() {
            out.push_str(line);
            let last = n + 1 == lines.len();
            match (last, self.closed) {
                (true, false) => {}
                // What was the last line, without an end, may be in the midst now.
                _ => out.push_str(if end.is_empty() { self.end } else { end }),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts from a small alphabet, of which each length up to five is tried.
    fn texts() -> Vec<String> {
        let pieces = ["a=1", "a", "[s]", "# BEGIN", "# END", "\n", "\r\n"];
        let mut all = vec![String::new()];
        let mut last = all.clone();
        for _ in 0..5 {
            last = last
                .iter()
                .flat_map(|text| pieces.iter().map(move |piece| format!("{text}{piece}")))
                .collect();
            all.extend(last.iter().cloned());
        }
        all
    }

    #[test]
    fn to_edit_twice_is_to_edit_once() {
        type Edit = fn(&str) -> String;
        let edits: [(&str, Edit); 7] = [
            ("present", |text| line_present(text, "b")),
            ("absent", |text| line_absent(text, "a")),
            ("key", |text| line_key(text, "a=", "a=2")),
            ("block", |text| block(text, "# BEGIN", "# END", Some("x\ny"))),
            ("no block", |text| block(text, "# BEGIN", "# END", None)),
            ("set", |text| ini_set(text, "s", "a", "2")),
            ("remove", |text| ini_remove(text, "s", "a")),
        ];
        for text in texts() {
            for (name, edit) in &edits {
                let once = edit(&text);
                assert_eq!(edit(&once), once, "{name} of {text:?}");
                if !text.is_empty() && !once.is_empty() {
                    assert_eq!(once.ends_with('\n'), text.ends_with('\n'), "{name} of {text:?}");
                }
            }
        }
    }

    #[test]
    fn a_text_is_put_together_as_it_was() {
        for text in texts() {
            assert_eq!(Lines::of(&text).text(), text);
        }
    }
}
