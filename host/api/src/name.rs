//! Bodies about the names that are published.

use cerebro_model::{JobName, Publication};
use serde::{Deserialize, Serialize};

/// What is published of a job in a zone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NameView {
    /// `<zone>.<basename>`; its instances are at `<n>.<zone>.<basename>`.
    pub name: String,
    /// What is recorded of it.
    pub publication: Publication,
    /// Whether that is known to be answered.
    pub is_answered: bool,
}

/// What is at a job's own name, which Cerebro never touches, and what should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NameAdvice {
    /// The job, whose name is meant.
    pub job: JobName,
    /// Whether nothing is to be done.
    pub is_right: bool,
    /// How it stands, and what to do.
    pub words: String,
    /// Records for a zone file; where there are several, one is to be chosen unless the words say otherwise.
    pub records: Vec<String>,
}
