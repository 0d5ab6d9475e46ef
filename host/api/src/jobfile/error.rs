//! Why a job file was refused, and where.

use std::fmt;

/// A job file that was refused: the place, and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFileError {
    file: String,
    place: Option<(usize, usize)>,
    message: String,
}

impl JobFileError {
    pub(super) fn new(file: &str, place: Option<(usize, usize)>, message: &str) -> Self {
        let message = with_nearest(message.trim_end());
        Self { file: file.to_owned(), place, message }
    }

    /// Line and column of the fault, from 1, where the format tells.
    pub fn place(&self) -> Option<(usize, usize)> {
        self.place
    }
}

impl fmt::Display for JobFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(f, "{}:{line}:{column}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

impl std::error::Error for JobFileError {}

/// Line and column, from 1, of byte `offset` of `text`.
pub(super) fn place_of(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Adds the nearest known key to serde's "unknown field `x`, expected one of `a`, `b`", which
/// some formats print without the later backquotes.
fn with_nearest(message: &str) -> String {
    let unknown = ["unknown field `", "unknown variant `"]
        .iter()
        .find_map(|start| message.split_once(start)?.1.split_once('`'));
    let Some((unknown, known)) = unknown else {
        return message.to_owned();
    };
    let nearest = known
        .split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-')
        .filter(|word| !word.is_empty())
        .map(|known| (strsim::damerau_levenshtein(unknown, known), known))
        .filter(|(distance, known)| *distance <= known.len().max(3) / 2)
        .min();
    match nearest {
        Some((_, known)) => format!("{message}\n\nhint: did you mean `{known}`?"),
        None => message.to_owned(),
    }
}
