//! Lines, and blocks between markers.

use super::Lines;

/// Has `line` be in the text, at its end if it is not there.
pub fn line_present(text: &str, line: &str) -> String {
    let mut lines = Lines::of(text);
    if !lines.lines.iter().any(|(there, _)| there == line) {
        lines.insert(lines.lines.len(), line);
    }
    lines.text()
}

/// Has `line` not be in the text.
pub fn line_absent(text: &str, line: &str) -> String {
    let mut lines = Lines::of(text);
    lines.lines.retain(|(there, _)| there != line);
    lines.text()
}

/// Has exactly one line that starts with `prefix`, blanks before it aside, and that it be `line`:
/// in place of the first such line, or at the end. `line` must start with `prefix` itself; it is
/// found again otherwise by its whole text.
pub fn line_key(text: &str, prefix: &str, line: &str) -> String {
    let mut lines = Lines::of(text);
    let is_one = |there: &str| there == line || there.trim_start().starts_with(prefix);
    match lines.lines.iter().position(|(there, _)| is_one(there)) {
        None => lines.insert(lines.lines.len(), line),
        Some(first) => {
            lines.lines[first].0 = line.to_owned();
            let mut n = 0;
            lines.lines.retain(|(there, _)| {
                n += 1;
                n - 1 <= first || !is_one(there)
            });
        }
    }
    lines.text()
}

/// Has the lines of `content` be between a line `begin` and a line `end`: in place of what is there
/// between them, or at the end of the text. Without content, the markers go too. A `begin` that is
/// not closed is taken for an ordinary line.
pub fn block(text: &str, begin: &str, end: &str, content: Option<&str>) -> String {
    let mut lines = Lines::of(text);
    let mut place = None;
    // Of several blocks the first one counts, and the others go.
    while let Some((from, to)) = find(&lines, begin, end) {
        place.get_or_insert(from);
        lines.lines.drain(from..=to);
    }
    if let Some(content) = content {
        let at = place.unwrap_or(lines.lines.len());
        let inner = content.lines();
        for (n, line) in [begin].into_iter().chain(inner).chain([end]).enumerate() {
            lines.insert(at + n, line);
        }
    }
    lines.text()
}

/// The first block: from the last `begin` before the first `end` that closes one.
fn find(lines: &Lines, begin: &str, end: &str) -> Option<(usize, usize)> {
    let mut from = None;
    for (n, (line, _)) in lines.lines.iter().enumerate() {
        if line == begin {
            from = Some(n);
        } else if let (true, Some(from)) = (line == end, from) {
            return Some((from, n));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_and_go_with_the_ends_that_are_there() {
        assert_eq!(line_present("", "a"), "a\n");
        assert_eq!(line_present("x\r\n", "a"), "x\r\na\r\n");
        assert_eq!(line_present("x", "a"), "x\na");
        assert_eq!(line_absent("a\nb\na\n", "a"), "b\n");
    }

    #[test]
    fn a_key_is_set_once_in_its_place() {
        assert_eq!(line_key("x\n a=1\ny\na=3\n", "a=", "a=2"), "x\na=2\ny\n");
        assert_eq!(line_key("x\n", "a=", "a=2"), "x\na=2\n");
    }

    #[test]
    fn a_block_keeps_its_place() {
        let old = "x\n# B\nold\n# E\ny\n";
        assert_eq!(block(old, "# B", "# E", Some("1\n2")), "x\n# B\n1\n2\n# E\ny\n");
        assert_eq!(block(old, "# B", "# E", None), "x\ny\n");
        assert_eq!(block("x\n# B\n", "# B", "# E", None), "x\n# B\n");
    }
}
