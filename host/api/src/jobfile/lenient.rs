//! The original's JSON to plain JSON: comments, trailing commas and bare decimal points.

/// Plain JSON that remembers where its characters came from.
pub(super) struct Plain {
    text: String,
    /// Places (line, column of the plain text, from 1) before which a character was put in.
    inserted: Vec<(usize, usize)>,
}

impl Plain {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The place in the original text of a place in the plain one.
    pub(super) fn original(&self, line: usize, column: usize) -> (usize, usize) {
        let before = self.inserted.iter().filter(|(l, c)| *l == line && *c < column).count();
        (line, column.saturating_sub(before).max(1))
    }
}

/// Blanks comments and trailing commas with spaces, and puts a zero before a bare decimal point,
/// so that every other character keeps its line and column.
pub(super) fn to_json(source: &str) -> Plain {
    let mut plain = Plain { text: String::with_capacity(source.len()), inserted: Vec::new() };
    // Where in `plain.text` a comma stands that nothing but space has followed yet.
    let mut open_comma: Option<usize> = None;
    let (mut line, mut line_start) = (1, 0);
    let mut chars = source.chars().peekable();
    let mut in_number = false;
    while let Some(c) = chars.next() {
        let out = &mut plain.text;
        match c {
            '"' => {
                open_comma = None;
                out.push(c);
                copy_string(&mut chars, out);
            }
            '#' => {
                out.push(' ');
                while let Some(skipped) = chars.next_if(|&c| c != '\n') {
                    // As many bytes as before: serde_json counts columns in bytes.
                    out.extend(std::iter::repeat_n(' ', skipped.len_utf8()));
                }
            }
            '\n' => {
                out.push(c);
                line += 1;
                line_start = out.len();
            }
            ',' => {
                open_comma = Some(out.len());
                out.push(c);
            }
            ']' | '}' => {
                blank(out, open_comma.take());
                out.push(c);
            }
            '.' if !in_number && chars.peek().is_some_and(char::is_ascii_digit) => {
                open_comma = None;
                plain.inserted.push((line, out.len() - line_start + 1));
                out.push_str("0.");
            }
            _ => {
                if !c.is_whitespace() {
                    open_comma = None;
                }
                out.push(c);
            }
        }
        in_number = c.is_ascii_digit();
    }
    blank(&mut plain.text, open_comma);
    plain
}

fn copy_string(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    while let Some(c) = chars.next() {
        out.push(c);
        match c {
            '\\' => out.extend(chars.next()),
            '"' => return,
            _ => {}
        }
    }
}

fn blank(out: &mut String, comma: Option<usize>) {
    if let Some(at) = comma {
        out.replace_range(at..=at, " ");
    }
}
