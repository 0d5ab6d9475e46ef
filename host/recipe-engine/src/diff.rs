//! How a text changes, for people.

use similar::TextDiff;

/// The change from one text to another in the unified form; none if one of them is no text, or larger
/// than `largest` bytes.
pub(crate) fn unified(before: &[u8], after: &[u8], largest: u64) -> Option<String> {
    if before.len().max(after.len()) as u64 > largest || before == after {
        return None;
    }
    let text = |bytes| std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    let (before, after) = (text(before)?, text(after)?);
    let diff = TextDiff::from_lines(before, after);
    Some(diff.unified_diff().context_radius(3).missing_newline_hint(true).to_string())
}

#[cfg(test)]
mod tests {
    use super::unified;

    #[test]
    fn texts_differ_by_lines_and_bytes_not_at_all() {
        let diff = unified(b"a\nb\nc\n", b"a\nx\nc\n", 100).unwrap();
        assert!(diff.contains("\n-b\n+x\n"), "{diff}");
        assert_eq!(unified(b"", b"\xff", 100), None);
        assert_eq!(unified(b"a", b"a", 100), None);
        assert_eq!(unified(b"a", b"longer", 3), None);
    }
}
