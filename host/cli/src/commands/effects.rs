//! Effects in words: what changed of a path beside its text.

use crate::style::printable;
use cerebro_model::{Action, Effect, Form, Seen};

/// What an effect does.
pub fn action(effect: &Effect) -> String {
    printable(&effect.action.to_string())
}

/// What more is known of it: mode, owner, size and target, before and after; the names of secrets.
pub fn details(effect: &Effect, has_diff: bool) -> String {
    let mut parts = match (&effect.before, &effect.after) {
        (None, Some(after)) => fresh(after),
        (Some(before), Some(after)) => changes(before, after, has_diff),
        _ => Vec::new(),
    };
    if let Action::Write { secrets, .. } = &effect.action {
        parts.extend(secrets.iter().map(|name| format!("<secret {}>", printable(name))));
    }
    parts.join(", ")
}

/// Of something new.
fn fresh(after: &Seen) -> Vec<String> {
    let mut parts = Vec::new();
    if let Some(target) = &after.target {
        parts.push(format!("to {}", printable(target)));
    }
    if after.form != Form::Link {
        parts.push(format!("{:04o}", after.mode));
    }
    if (after.uid, after.gid) != (0, 0) {
        parts.push(format!("owner {}", after.owner()));
    }
    parts.extend(after.size.map(bytes));
    parts
}

/// Of something that was there.
fn changes(before: &Seen, after: &Seen, has_diff: bool) -> Vec<String> {
    let mut parts = Vec::new();
    let mut differs = |what: &str, one: String, other: String| {
        if one != other {
            parts.push(format!("{what}{one} → {other}"));
        }
    };
    differs("", form(before).to_owned(), form(after).to_owned());
    let target = |seen: &Seen| seen.target.as_deref().map_or_else(String::new, printable);
    differs("", target(before), target(after));
    differs("", format!("{:04o}", before.mode), format!("{:04o}", after.mode));
    differs("owner ", before.owner(), after.owner());
    if let (false, Some(one), Some(other)) = (has_diff, &before.digest, &after.digest) {
        // No text: what can be told of its content is how much it is, and that it is another.
        let short = |digest: &str| digest.get(..12).unwrap_or(digest).to_owned();
        if let (Some(one), Some(other)) = (before.size, after.size) {
            differs("", bytes(one), bytes(other));
        }
        differs("sha256 ", short(one), short(other));
    }
    parts
}

fn form(seen: &Seen) -> &'static str {
    match seen.form {
        Form::File => "file",
        Form::Directory => "directory",
        Form::Link => "link",
        Form::Special => "special file",
    }
}

/// A size for a person.
fn bytes(size: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "a digit after the point is told")]
    let of = |unit: u64, name: &str| format!("{:.1} {name}", size as f64 / unit as f64);
    match size {
        0..1_000 => format!("{size} B"),
        1_000..1_000_000 => of(1_000, "kB"),
        1_000_000..1_000_000_000 => of(1_000_000, "MB"),
        _ => of(1_000_000_000, "GB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_told_and_what_did_not_is_not() {
        let seen = |mode, size| Seen {
            form: Form::File,
            mode,
            uid: 0,
            gid: 0,
            size: Some(size),
            digest: Some(size.to_string().repeat(32)),
            target: None,
        };
        let write = Action::Write { path: "/a\x1b".to_owned(), secrets: vec!["db".to_owned()] };
        let mut effect = Effect { action: write, before: None, after: Some(seen(0o644, 1234)) };
        assert_eq!(details(&effect, false), "0644, 1.2 kB, <secret db>");
        assert_eq!(action(&effect), "write /a\\u{1b}");
        effect.before = Some(seen(0o600, 1234));
        assert_eq!(details(&effect, true), "0600 → 0644, <secret db>");
        effect.after = Some(seen(0o600, 7));
        let told = details(&effect, false);
        assert!(told.starts_with("1.2 kB → 7 B, sha256 123412341234 → 777777777777"), "{told}");
    }
}
