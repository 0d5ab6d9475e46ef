//! Values of any kind as one word of the shell, and as one scalar of YAML.

use std::fmt::Write;

/// As one word of a POSIX shell. A NUL, which no word can hold, is left out.
pub fn shell(text: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"/.:_-@%+=,".contains(&b);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\0', "").replace('\'', r"'\''"))
}

/// As a double-quoted scalar, in ASCII: what readers of YAML 1.1 and 1.2 take for line breaks, or do not
/// take at all, is escaped with everything else that is not plain.
pub fn yaml(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        // Writing to a string cannot fail.
        let _ = match c {
            '"' | '\\' => write!(quoted, "\\{c}"),
            '\n' => write!(quoted, "\\n"),
            '\t' => write!(quoted, "\\t"),
            ' '..='~' => write!(quoted, "{c}"),
            c => match u32::from(c) {
                code @ ..=0xff => write!(quoted, "\\x{code:02x}"),
                code @ ..=0xffff => write!(quoted, "\\u{code:04x}"),
                code => write!(quoted, "\\U{code:08x}"),
            },
        };
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    /// What `sh` makes of words: each with a line break behind it, which none of them is without.
    fn by_shell(words: &[String]) -> String {
        let quoted: Vec<String> = words.iter().map(|word| shell(word)).collect();
        let script = format!("printf '%s\\n' {}", quoted.join(" "));
        let output = Command::new("/bin/sh").arg("-c").arg(script).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn a_word_of_the_shell_is_what_it_was() {
        for word in [
            "", "a", "-n", "a b", "'", "''", "\\", "$(id)", "`id`", "!", "\n", "\"", "~", "é", "*",
            "#", "a;b",
        ] {
            assert_eq!(by_shell(&[word.to_owned()]), format!("{word}\n"), "{word:?}");
        }
        assert_eq!(shell("/opt/a-b_c.1"), "/opt/a-b_c.1");
        assert_eq!(shell("a\0b"), "'ab'");
    }

    proptest! {
        #[test]
        fn any_text_is_one_scalar_of_yaml(text in any::<String>()) {
            let written = format!("- {}\n", yaml(&text));
            prop_assert!(written.is_ascii() && written.lines().count() == 1);
            let read: Vec<String> = serde_saphyr::from_str(&written).unwrap();
            prop_assert_eq!(read, [text]);
        }

        #[test]
        fn any_text_is_one_word_of_the_shell(words in proptest::collection::vec("[^\0]{0,12}", 1..20)) {
            let expected: String = words.iter().map(|word| format!("{word}\n")).collect();
            prop_assert_eq!(by_shell(&words), expected);
        }
    }
}
