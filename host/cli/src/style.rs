//! Colours for a terminal, and text of others that must not command one.

use std::fmt::Write;

/// What a colour stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Something comes.
    Added,
    /// Something changes.
    Changed,
    /// Something goes, or failed.
    Removed,
    /// Nobody knows.
    Unknown,
    /// What matters least.
    Faint,
    /// A heading.
    Strong,
}

/// `text` in its tone; what is written to no terminal loses it again.
pub fn paint(tone: Tone, text: &str) -> String {
    let code = match tone {
        Tone::Added => "32",
        Tone::Changed => "33",
        Tone::Removed => "31",
        Tone::Unknown => "35",
        Tone::Faint => "2",
        Tone::Strong => "1",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Text from a machine on one line, with whatever could command a terminal made visible.
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => safe.push(c),
            // Beside control characters, those that turn the direction of what follows.
            c if c.is_control()
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                // Writing to a string cannot fail.
                let _ = write!(safe, "{}", c.escape_default());
            }
            c => safe.push(c),
        }
    }
    safe
}

/// The same for text of several lines, which it keeps.
pub fn lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// A unified diff, each line indented by `indent`.
pub fn diff(text: &str, indent: &str) -> String {
    // What stands before the first hunk names the files, which the line above has said.
    let hunks = text.lines().skip_while(|line| line.starts_with("---") || line.starts_with("+++"));
    let line = |line: &str| {
        let shown = printable(line);
        let shown = match line.as_bytes().first() {
            Some(b'+') => paint(Tone::Added, &shown),
            Some(b'-') => paint(Tone::Removed, &shown),
            Some(b'@') => paint(Tone::Faint, &shown),
            _ => shown,
        };
        format!("\n{indent}{shown}")
    };
    hunks.map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_a_machine_commands_the_terminal() {
        assert_eq!(
            printable("a\x1b[2Jb\r\nü\tx\u{9b}\u{202e}"),
            "a\\u{1b}[2Jb\\r\\nü\tx\\u{9b}\\u{202e}"
        );
        assert_eq!(lines("a\x1b\nb\n"), "a\\u{1b}\nb");
        let shown = diff("--- /a\n@@ -1 +1 @@\n--- a\x1b[2J\n+b\n", "  ");
        assert!(shown.contains("\x1b[31m--- a\\u{1b}[2J"), "{shown}");
        assert!(!shown.contains("/a") && shown.contains("\x1b[32m+b"), "{shown}");
    }
}
