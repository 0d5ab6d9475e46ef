//! Uploaded components: recipes and health checks.

use crate::{Digest, Grants, RecipeName, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Which of the worlds of `cerebro:recipe` a component was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ComponentKind {
    /// Exports `deploy` and `undeploy`.
    Recipe,
    /// Exports `check`.
    HealthCheck,
}

impl fmt::Display for ComponentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Recipe => "recipe",
            Self::HealthCheck => "health check",
        })
    }
}

/// An uploaded component: a name that points at a digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Recipe {
    /// The name that jobs use.
    pub name: RecipeName,
    /// The component's bytes, by their SHA-256.
    pub digest: Digest,
    /// What it is for.
    pub kind: ComponentKind,
    /// Its size in bytes.
    pub size: u64,
    /// The interfaces that it imports, such as `cerebro:recipe/files@0.1.0`: the most it could
    /// ever use.
    pub imports: Vec<String>,
    /// The language that it was written in, as its own sections tell.
    #[serde(default)]
    pub language: String,
    /// What it declares that it wants to do; none if it declares nothing, and only its job's grants
    /// bind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wants: Option<Grants>,
    /// When it was uploaded.
    pub uploaded_at: Timestamp,
}
