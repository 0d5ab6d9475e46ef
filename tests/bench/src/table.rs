//! A table, for a terminal and for a document.

/// What one scenario found.
#[derive(Debug, Clone)]
pub struct Table {
    title: String,
    /// What was done, and under which conditions.
    words: String,
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    /// What to know about single rows.
    notes: Vec<String>,
}

impl Table {
    /// A table without rows. The first column is the contender's name.
    pub fn new(title: &str, words: String, columns: &[&'static str]) -> Self {
        Self {
            title: title.to_owned(),
            words,
            columns: columns.to_vec(),
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a contender's figures; columns that it has none for are left as a dash.
    pub fn row(&mut self, name: &str, mut cells: Vec<String>) {
        cells.insert(0, name.to_owned());
        cells.resize(self.columns.len(), "-".to_owned());
        self.rows.push(cells);
    }

    /// Adds a word about a contender, printed below.
    pub fn note(&mut self, words: impl Into<String>) {
        self.notes.push(words.into());
    }

    /// Aligned, for a terminal.
    pub fn text(&self) -> String {
        let header: Vec<String> = self.columns.iter().map(|&column| column.to_owned()).collect();
        let lines: Vec<&Vec<String>> = std::iter::once(&header).chain(&self.rows).collect();
        let width_of = |column: usize| {
            lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max()
        };
        let widths: Vec<usize> =
            (0..self.columns.len()).map(|column| width_of(column).unwrap_or(0)).collect();
        let mut text = format!("{}\n{}\n\n", self.title, wrapped(&self.words));
        for line in lines {
            let mut cells = line.iter().zip(&widths);
            if let Some((name, width)) = cells.next() {
                text.push_str(&format!("  {name:<width$}"));
            }
            for (cell, width) in cells {
                text.push_str(&format!("  {cell:>width$}"));
            }
            text.push('\n');
        }
        for note in &self.notes {
            text.push_str(&format!("  note: {note}\n"));
        }
        text
    }

    /// For a document.
    pub fn markdown(&self) -> String {
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let cells: Vec<String> = cells.map(|cell| cell.replace('|', "\\|")).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let mut text = format!("### {}\n\n{}\n\n", self.title, self.words);
        text.push_str(&line(&mut self.columns.iter().copied()));
        let rule = (0..self.columns.len()).map(|column| if column == 0 { "---" } else { "---:" });
        text.push_str(&line(&mut rule.into_iter()));
        for row in &self.rows {
            text.push_str(&line(&mut row.iter().map(String::as_str)));
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        for note in &self.notes {
            text.push_str(&format!("- {note}\n"));
        }
        text
    }
}

/// Words in lines of at most 96 characters, each after two spaces.
fn wrapped(words: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= 98 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("  {word}")),
        }
    }
    lines.join("\n")
}

/// A figure with so many decimals, or a dash.
pub fn figure(value: Option<f64>, decimals: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.decimals$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new("Rest", "100 tasks.".to_owned(), &["contender", "KB", "×"]);
        table.row("floor", vec!["13".to_owned(), "1.0".to_owned()]);
        table.row("a|b", vec!["1300".to_owned()]);
        table.note("a|b is slow");
        table
    }

    #[test]
    fn text_is_aligned() {
        assert_eq!(
            table().text(),
            "Rest\n  100 tasks.\n\n  contender    KB    ×\n  floor        13  1.0\n  \
             a|b        1300    -\n  note: a|b is slow\n"
        );
    }

    #[test]
    fn words_are_wrapped_and_none_is_lost() {
        let words = ["word"; 50].join(" ");
        let text = wrapped(&words);
        assert!(text.lines().count() > 1 && text.lines().all(|line| line.len() <= 98));
        assert_eq!(text.split_whitespace().count(), 50);
    }

    #[test]
    fn markdown_escapes_bars() {
        assert_eq!(
            table().markdown(),
            "### Rest\n\n100 tasks.\n\n| contender | KB | × |\n| --- | ---: | ---: |\n\
             | floor | 13 | 1.0 |\n| a\\|b | 1300 | - |\n\n- a|b is slow\n"
        );
    }
}
