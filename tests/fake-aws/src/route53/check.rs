//! What Route 53 accepts as values.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Why a value is not one of its type, in Route 53's words.
pub(super) fn value(kind: &str, value: &str) -> Result<(), String> {
    let fatal = |problem: &str, what: &str| {
        Err(format!(
            "Invalid Resource Record: FATAL problem: {problem} ({what}) encountered with '{value}'"
        ))
    };
    match kind {
        "A" if value.parse::<Ipv4Addr>().is_err() => {
            fatal("ARRDATAIllegalIPv4Address", "Value is not a valid IPv4 address")
        }
        "AAAA" if value.parse::<Ipv6Addr>().is_err() => {
            fatal("AAAARRDATAIllegalIPv6Address", "Value is not a valid IPv6 address")
        }
        "TXT" => match strings(value) {
            None => fatal("InvalidCharacterString", "Value should be enclosed in quotation marks"),
            Some(longest) if longest > 255 => fatal("CharacterStringTooLong", "Value is too long"),
            Some(_) => Ok(()),
        },
        _ => Ok(()),
    }
}

/// The length of the longest of the quoted strings that a value consists of.
fn strings(value: &str) -> Option<usize> {
    let mut rest = value.trim();
    let mut longest = None;
    while !rest.is_empty() {
        rest = rest.strip_prefix('"')?;
        let mut length = 0;
        let mut characters = rest.char_indices();
        let end = loop {
            match characters.next()? {
                (_, '\\') => {
                    characters.next()?;
                    length += 1;
                }
                (at, '"') => break at,
                _ => length += 1,
            }
        };
        longest = longest.max(Some(length));
        rest = rest[end + 1..].trim_start();
    }
    longest
}

/// Whether a name can be one in DNS, as Route 53 takes them.
pub(super) fn name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_*\\".contains(&it))
    };
    name.len() <= 255 && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_of_their_type() {
        let long = format!("\"{}\"", "x".repeat(255));
        let too_long = format!("\"{}\"", "x".repeat(256));
        for (kind, good) in
            [("A", "10.0.0.1"), ("AAAA", "fd00::1"), ("TXT", "\"a\" \"b\\\"c\""), ("TXT", &long)]
        {
            assert_eq!(value(kind, good), Ok(()), "{kind} {good}");
        }
        let bad = [
            ("A", "10.0.0"),
            ("A", "fd00::1"),
            ("AAAA", "10.0.0.1"),
            ("TXT", "a"),
            ("TXT", "\"a"),
            ("TXT", ""),
            ("TXT", &too_long),
        ];
        for (kind, bad) in bad {
            assert!(value(kind, bad).is_err(), "{kind} {bad}");
        }
        assert!(name("_cerebro.z-1.example.com") && !name("a..b") && !name("a b"));
    }
}
