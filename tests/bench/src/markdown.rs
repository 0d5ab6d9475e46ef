//! The tables' place in a document: between two comments, so that nothing else is touched.

use crate::table::Table;
use anyhow::{Context, Result};
use std::path::Path;

const BEGIN: &str = "<!-- supervision -->";
const END: &str = "<!-- /supervision -->";

/// An error where [`write`] would have no place for the tables: better before an hour of measuring
/// than after it.
pub fn check(file: &Path) -> Result<()> {
    read(file).and_then(|text| replace(&text, "").map(drop).with_context(|| problem(file)))
}

/// Replaces the tables that are in the file.
pub fn write(file: &Path, conditions: &[String], tables: &[Table]) -> Result<()> {
    let mut text = String::new();
    for line in conditions {
        text.push_str(&format!("{line}  \n"));
    }
    for table in tables {
        text.push_str(&format!("\n{}", table.markdown()));
    }
    let whole = replace(&read(file)?, &text).with_context(|| problem(file))?;
    std::fs::write(file, whole).with_context(|| format!("cannot write {}", file.display()))?;
    println!("\nwritten to {}", file.display());
    Ok(())
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn problem(file: &Path) -> String {
    format!("{} has no place for the tables: a line {BEGIN}, and after it {END}", file.display())
}

fn replace(text: &str, tables: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{tables}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_comments_changes() {
        let text = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let replaced = replace(&text, "new\n").unwrap();
        assert_eq!(replaced, format!("before\n{BEGIN}\nnew\n{END}\nafter\n"));
        assert_eq!(replace(&replaced, "new\n").unwrap(), replaced);
    }

    #[test]
    fn a_document_without_the_comments_is_refused() {
        assert!(replace("text", "new").is_none());
        assert!(replace(&format!("{END} {BEGIN}"), "new").is_none());
    }
}
