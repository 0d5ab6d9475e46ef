//! What went wrong, with what was being done.

use crate::host::types::Error;

/// Adds what was being done to an error of the host.
pub trait Doing<T> {
    /// The value, or `<what>: <why it failed>`.
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, String>;
}

impl<T> Doing<T> for Result<T, Error> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, String> {
        self.map_err(|error| format!("{}: {}", what(), text(&error)))
    }
}

/// So that `?` passes on what the host says: it names what it was asked for.
impl From<Error> for String {
    fn from(error: Error) -> Self {
        text(&error).to_owned()
    }
}

/// What an error says.
pub fn text(error: &Error) -> &str {
    match error {
        Error::Denied(text)
        | Error::NotFound(text)
        | Error::Invalid(text)
        | Error::TimedOut(text)
        | Error::TooLarge(text)
        | Error::Unsupported(text)
        | Error::Failed(text)
        | Error::Other(text) => text,
    }
}
