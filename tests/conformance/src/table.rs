//! What was seen of each case in each language, side by side.

use crate::Language;
use std::fmt::Write;
use std::time::Duration;

/// What came of a call.
#[derive(Debug, Clone)]
pub struct Seen {
    /// How long it took; no two are alike.
    pub took: Duration,
    /// What was answered.
    pub ended: String,
    /// The lines of its log that matter.
    pub log: Vec<String>,
    /// What is on the machine.
    pub tree: Vec<String>,
}

impl Seen {
    fn text(&self) -> String {
        let Self { took: _, ended, log, tree } = self;
        format!("{ended}\n  log:\n    {}\n  tree:\n    {}", log.join("\n    "), tree.join("\n    "))
    }
}

/// One row per case, one column per language.
pub struct Table {
    name: &'static str,
    languages: Vec<Language>,
    rows: Vec<(&'static str, Vec<Seen>)>,
    notes: Vec<(&'static str, Vec<String>)>,
}

impl Table {
    /// An empty table of a component's cases.
    pub fn new(name: &'static str, languages: &[Language]) -> Self {
        Self { name, languages: languages.to_vec(), rows: Vec::new(), notes: Vec::new() }
    }

    /// Enters what was seen of a case in the next language.
    pub fn enter(&mut self, case: &'static str, seen: Seen) {
        match self.rows.iter_mut().find(|(name, _)| *name == case) {
            Some((_, row)) => row.push(seen),
            None => self.rows.push((case, vec![seen])),
        }
    }

    /// Enters something of the next language that is not compared.
    pub fn note(&mut self, what: &'static str, text: String) {
        match self.notes.iter_mut().find(|(name, _)| *name == what) {
            Some((_, row)) => row.push(text),
            None => self.notes.push((what, vec![text])),
        }
    }

    /// What was seen of a case, which is the same in all languages.
    ///
    /// # Panics
    /// If there is no such case, or a language differs from the first one, with both.
    pub fn agreed(&self, case: &str) -> &Seen {
        let (_, row) = self.rows.iter().find(|(name, _)| *name == case).unwrap();
        assert_eq!(row.len(), self.languages.len(), "{case}: not every language was asked");
        for (seen, language) in row.iter().zip(&self.languages).skip(1) {
            assert!(
                seen.text() == row[0].text(),
                "{case}: {} and {language} differ\n{}: {}\n{language}: {}",
                self.languages[0],
                self.languages[0],
                row[0].text(),
                seen.text()
            );
        }
        &row[0]
    }

    /// Prints the table: the milliseconds that each call took, marked where a language differs from
    /// the first one.
    pub fn print(&self) {
        let mut text = format!("\n{:28}", self.name);
        for language in &self.languages {
            write!(text, "{language:>10}").unwrap();
        }
        for (what, row) in &self.notes {
            write!(text, "\n{what:28}").unwrap();
            row.iter().for_each(|cell| write!(text, "{cell:>10}").unwrap());
        }
        for (case, row) in &self.rows {
            write!(text, "\n{case:28}").unwrap();
            for seen in row {
                let differs = if seen.text() == row[0].text() { "" } else { "≠ " };
                let cell = format!("{differs}{:.1} ms", seen.took.as_secs_f64() * 1000.0);
                write!(text, "{cell:>10}").unwrap();
            }
        }
        println!("{text}\n");
    }
}
