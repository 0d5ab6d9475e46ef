//! Text of the task's, of its logs' or of a client's, put where it can mean nothing but itself.

use std::fmt::{self, Display, Formatter, Write};

/// Text in HTML, between tags or within a quoted attribute.
pub struct Html<'a>(pub &'a str);

impl Display for Html<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// Text in a URL's query: all but RFC 3986's unreserved characters by their bytes.
pub struct Url<'a>(pub &'a str);

impl Display for Url<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    f.write_char(char::from(byte))?;
                }
                other => write!(f, "%{other:02X}")?,
            }
        }
        Ok(())
    }
}

/// Text that stays in its line: control characters as Rust writes them.
pub struct OneLine<'a>(pub &'a str);

impl Display for OneLine<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            if letter.is_control() {
                write!(f, "{}", letter.escape_default())?;
            } else {
                f.write_char(letter)?;
            }
        }
        Ok(())
    }
}

/// The value of a label in Prometheus' text format.
pub struct Label<'a>(pub &'a str);

impl Display for Label<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// What a part of a query says; none if it is no text.
pub fn decode(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, others @ ..] = rest {
        rest = others;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (digits, others) = rest.split_at_checked(2)?;
                let digit = |at: usize| char::from(digits[at]).to_digit(16);
                bytes.push(u8::try_from(digit(0)? * 16 + digit(1)?).ok()?);
                rest = others;
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 5] =
        ["", "plain.log", "a b&c=d+%2f", "<script>alert(\"'x'\")</script>\n", "Grüße\0\\"];

    #[test]
    fn html_has_no_way_out_of_text_or_attribute() {
        assert_eq!(
            Html("<script a='b' c=\"d\">&amp;").to_string(),
            "&lt;script a=&#39;b&#39; c=&quot;d&quot;&gt;&amp;amp;"
        );
    }

    #[test]
    fn what_a_query_is_given_it_says() {
        for text in TEXTS {
            let encoded = Url(text).to_string();
            assert!(encoded.bytes().all(|b| b.is_ascii_graphic() && !b"&=<>\"'#".contains(&b)));
            assert_eq!(decode(&encoded).as_deref(), Some(text));
        }
        for wrong in ["%", "%4", "%zz", "%+1", "%ff"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_line_stays_one() {
        assert_eq!(OneLine("a\nb: c\r\u{1b}[0m\u{85}").to_string(), "a\\nb: c\\r\\u{1b}[0m\\u{85}");
        assert_eq!(Label("a\\b\"c\nd").to_string(), "a\\\\b\\\"c\\nd");
    }
}
