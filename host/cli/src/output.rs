//! Answers on standard output: aligned columns, or JSON.

use crate::fault::{ERROR, Fault};
use serde::Serialize;
use std::io::Write;

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Table,
    Json,
}

/// Where answers go.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    format: Format,
}

impl Output {
    pub fn new(format: Format) -> Self {
        Self { format }
    }

    /// Writes `value` as JSON, or as the text that `table` makes of it.
    pub fn show<T: Serialize>(
        self,
        value: &T,
        table: impl FnOnce(&T) -> String,
    ) -> Result<(), Fault> {
        let text = match self.format {
            Format::Json => serde_json::to_string_pretty(value)
                .map_err(|error| Fault::new(ERROR, error.to_string()))?,
            Format::Table => return coloured(&table(value)),
        };
        line(&text)
    }

    /// The same as JSON, whatever was asked for, if `json`.
    pub fn or_json(self, json: bool) -> Self {
        if json { Self { format: Format::Json } } else { self }
    }

    /// The same on one line, for what keeps coming.
    pub fn show_next<T: Serialize>(
        self,
        value: &T,
        words: impl FnOnce(&T) -> String,
    ) -> Result<(), Fault> {
        match self.format {
            Format::Json => line(
                &serde_json::to_string(value)
                    .map_err(|error| Fault::new(ERROR, error.to_string()))?,
            ),
            Format::Table => line(&words(value)),
        }
    }
}

/// One line; a reader that has gone away ends the command, quietly enough.
pub fn line(text: &str) -> Result<(), Fault> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|error| Fault::new(ERROR, format!("cannot write: {error}")))
}

/// The same for text of our own that may hold colours: they go where there is no terminal.
fn coloured(text: &str) -> Result<(), Fault> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|error| Fault::new(ERROR, format!("cannot write: {error}")))
}

/// Columns as wide as what is in them, two spaces apart.
pub fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(heads.get(column).map(|head| head.len())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let render = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let head = render(heads.to_vec());
    let rows = rows.iter().map(|row| render(row.iter().map(String::as_str).collect()));
    std::iter::once(head).chain(rows).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let rows =
            [vec!["é".to_owned(), "long".to_owned()], vec!["abc".to_owned(), "x".to_owned()]];
        assert_eq!(table(&["A", "B"], &rows), "A    B\né    long\nabc  x");
    }
}
