//! The tables' place in a document: between two comments, so that nothing else is touched.

use crate::table::Table;
use anyhow::{Context, Result};
use std::path::Path;

/// The comments around the tables of this name.
fn comments(name: &str) -> (String, String) {
    (format!("<!-- {name} -->"), format!("<!-- /{name} -->"))
}

/// An error where [`write`] would have no place for the tables: better before an hour of measuring
/// than after it.
pub fn check(file: &Path, name: &str) -> Result<()> {
    let replaced = |text: String| replace(&text, name, "").map(drop);
    read(file).and_then(|text| replaced(text).with_context(|| problem(file, name)))
}

/// Replaces the tables that are in the file.
pub fn write(file: &Path, name: &str, conditions: &[String], tables: &[Table]) -> Result<()> {
    let mut text = String::new();
    for line in conditions {
        text.push_str(&format!("{line}  \n"));
    }
    for table in tables {
        text.push_str(&format!("\n{}", table.markdown()));
    }
    let whole = replace(&read(file)?, name, &text).with_context(|| problem(file, name))?;
    std::fs::write(file, whole).with_context(|| format!("cannot write {}", file.display()))?;
    println!("\nwritten to {}", file.display());
    Ok(())
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn problem(file: &Path, name: &str) -> String {
    let (begin, end) = comments(name);
    format!("{} has no place for the tables: a line {begin}, and after it {end}", file.display())
}

fn replace(text: &str, name: &str, tables: &str) -> Option<String> {
    let (begin, end) = comments(name);
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{tables}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_comments_changes() {
        let (begin, end) = comments("x");
        let text = format!("before\n{begin}\nold\n{end}\nafter\n");
        let replaced = replace(&text, "x", "new\n").unwrap();
        assert_eq!(replaced, format!("before\n{begin}\nnew\n{end}\nafter\n"));
        assert_eq!(replace(&replaced, "x", "new\n").unwrap(), replaced);
    }

    #[test]
    fn a_document_without_the_comments_is_refused() {
        let (begin, end) = comments("x");
        assert!(replace("text", "x", "new").is_none());
        assert!(replace(&format!("{end} {begin}"), "x", "new").is_none());
    }
}
