//! Errors on the wire: `application/problem+json`, RFC 9457.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The media type of a [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// What went wrong, in the form that every error of the API has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Problem {
    /// The HTTP status code.
    pub status: u16,
    /// The sort of problem, the same words each time.
    pub title: String,
    /// What failed, on which job or machine, why, and what to do next.
    pub detail: String,
}

impl Problem {
    /// A problem of the sort that `status` stands for.
    pub fn new(status: u16, detail: impl Into<String>) -> Self {
        let title = match status {
            400 => "Bad request",
            401 => "Not authenticated",
            403 => "Forbidden",
            404 => "Not found",
            405 => "Method not allowed",
            409 => "Conflict",
            412 => "Precondition failed",
            413 => "Too large",
            415 => "Unsupported media type",
            422 => "Invalid",
            503 => "Unavailable",
            504 => "Timed out",
            _ => "Internal error",
        };
        Self { status, title: title.to_owned(), detail: detail.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}
