//! Texts and names as Route 53 writes them.

/// How long one string of a TXT record may be (RFC 1035, section 3.3.14).
const LONGEST: usize = 255;

/// A text as the value of a TXT record: in strings that are short enough, each in quotation marks.
pub fn quoted(text: &str) -> String {
    let mut strings = vec![String::new()];
    let mut length = 0;
    for character in text.chars() {
        if length + character.len_utf8() > LONGEST {
            strings.push(String::new());
            length = 0;
        }
        length += character.len_utf8();
        if let Some(last) = strings.last_mut() {
            if matches!(character, '"' | '\\') {
                last.push('\\');
            }
            last.push(character);
        }
    }
    let strings: Vec<String> = strings.into_iter().map(|it| format!("\"{it}\"")).collect();
    strings.join(" ")
}

/// The text that a value of a TXT record holds; nothing, if it is not well formed.
pub fn unquoted(value: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = value.trim();
    while !rest.is_empty() {
        rest = rest.strip_prefix('"')?;
        loop {
            let mut characters = rest.chars();
            let character = characters.next()?;
            rest = characters.as_str();
            match character {
                '"' => break,
                '\\' => {
                    let (byte, after) = escaped(rest)?;
                    bytes.extend(byte);
                    rest = after;
                }
                other => bytes.extend(other.to_string().bytes()),
            }
        }
        rest = rest.trim_start();
    }
    String::from_utf8(bytes).ok()
}

/// What stands behind a backslash: three octal digits, or the character itself.
fn escaped(rest: &str) -> Option<(Vec<u8>, &str)> {
    let digits = rest.get(..3).filter(|it| it.bytes().all(|it| it.is_ascii_digit()));
    if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
        return Some((vec![byte], &rest[3..]));
    }
    let mut characters = rest.chars();
    let character = characters.next()?;
    Some((character.to_string().into_bytes(), characters.as_str()))
}

/// A name as we write it: in lower case, without its final dot, and without escapes. One with bytes that are no text is
/// nobody's of ours, and stays as it is.
pub fn name(theirs: &str) -> String {
    let theirs = theirs.trim_end_matches('.').to_ascii_lowercase();
    let (mut bytes, mut rest) = (Vec::new(), theirs.as_str());
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend(before.bytes());
        let Some((byte, after)) = escaped(after) else { return theirs };
        bytes.extend(byte);
        rest = after;
    }
    bytes.extend(rest.bytes());
    String::from_utf8(bytes).unwrap_or(theirs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_long_text_is_several_strings() {
        let long = "x".repeat(300);
        let value = quoted(&long);
        assert_eq!(value, format!("\"{}\" \"{}\"", "x".repeat(255), "x".repeat(45)));
        assert_eq!(unquoted(&value), Some(long));
    }

    #[test]
    fn what_is_not_well_formed_is_no_text() {
        for bad in ["a", "\"a", "\"a\\", "\"a\" b"] {
            assert_eq!(unquoted(bad), None, "{bad}");
        }
        assert_eq!(unquoted("\"a\\\"b\" \"\\143\""), Some("a\"bc".to_owned()));
    }

    #[test]
    fn names_are_in_lower_case_and_without_escapes() {
        assert_eq!(name("_Cerebro.Z-1.example.com."), "_cerebro.z-1.example.com");
        assert_eq!(name("\\052.example.com."), "*.example.com");
    }

    proptest! {
        #[test]
        fn a_text_is_read_as_it_was_written(text in "\\PC{0,600}") {
            // A backslash before digits would be an escape: it is one, doubled.
            prop_assert_eq!(unquoted(&quoted(&text)), Some(text));
        }
    }
}
