//! `*` in patterns.

/// Whether `pattern`, in which `*` stands for any characters, is all of `text`.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    // The earliest place for each piece leaves the most to those behind it.
    for piece in pieces {
        match rest.split_once(piece) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The same for a name or an argument: what begins with `-` is an option, which may mean anything,
/// so only a pattern that begins with `-` too covers it.
pub(super) fn matches_word(pattern: &str, text: &str) -> bool {
    matches(pattern, text) && (!text.starts_with('-') || pattern.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::{matches, matches_word};

    #[test]
    fn a_star_is_any_characters() {
        for (pattern, text) in [
            ("a", "a"),
            ("*", ""),
            ("*", "ab"),
            ("a*", "a"),
            ("*b*", "abc"),
            ("a*b*c", "aXbbXc"),
            ("aa*a", "aaa"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("a", "ab"),
            ("", "a"),
            ("a*a", "a"),
            ("a*b", "abc"),
            ("*ab*ab", "ab"),
            ("a*b*c", "acb"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn an_option_is_never_meant_by_a_star_in_front() {
        assert!(!matches_word("*", "--exec=/bin/sh") && matches_word("-*", "--exec=/bin/sh"));
        assert!(matches_word("*", "x-y"));
    }
}
