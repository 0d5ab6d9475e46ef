//! Job files: JSON as the original wrote it, YAML or TOML, all of one model.
//!
//! The original's JSON has `#` comments, trailing commas (one even after the last brace) and
//! numbers such as `.5`; [`lenient`] turns it into plain JSON without losing the places.

mod error;
mod lenient;

pub use error::JobFileError;

use cerebro_model::Job;
use serde::de::DeserializeOwned;

/// The formats of a job file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON, with what the original allowed beside.
    Json,
    /// YAML 1.2.
    Yaml,
    /// TOML 1.0.
    Toml,
}

impl Format {
    /// The format that a file's name tells: `.yaml`, `.yml` and `.toml`; JSON otherwise.
    pub fn of(file: &str) -> Self {
        match file.rsplit_once('.').map(|(_, extension)| extension) {
            Some("yaml" | "yml") => Self::Yaml,
            Some("toml") => Self::Toml,
            _ => Self::Json,
        }
    }
}

/// Reads a job from `text`; `file` is its name, for errors and to tell the format.
pub fn parse(file: &str, text: &str) -> Result<Job, JobFileError> {
    read(file, text)
}

/// Reads anything else that people write in one of these formats.
pub fn read<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, JobFileError> {
    match Format::of(file) {
        Format::Json => json(file, text),
        Format::Yaml => serde_saphyr::from_str(text).map_err(|error| {
            let place = error.location().map(|at| (at.line() as usize, at.column() as usize));
            let message = error.without_snippet().to_string();
            JobFileError::new(file, place, without_place(&message))
        }),
        Format::Toml => toml::from_str(text).map_err(|error| {
            let place = error.span().map(|span| error::place_of(text, span.start));
            JobFileError::new(file, place, error.message())
        }),
    }
}

fn json<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, JobFileError> {
    let plain = lenient::to_json(text);
    serde_json::from_str(plain.text()).map_err(|error| {
        let message = error.to_string();
        let place = (error.line() > 0).then(|| plain.original(error.line(), error.column()));
        JobFileError::new(file, place, without_place(&message))
    })
}

/// The parsers put the place behind the message; we put it before.
fn without_place(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(what, _)| what)
}

#[cfg(test)]
mod tests;
