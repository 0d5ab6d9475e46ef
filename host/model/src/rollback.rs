//! What came of taking a recipe's effects back.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why an effect was not taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kept {
    /// Somebody has changed it since.
    Conflict(String),
    /// Nobody knows what it did, and it brought nothing that undoes it.
    Opaque,
    /// What was done before something irreversible stays.
    Barrier,
    /// It went wrong.
    Failed(String),
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict(why) => f.write_str(why),
            Self::Opaque => {
                f.write_str("nobody knows what it did, and nothing was given to undo it")
            }
            Self::Barrier => f.write_str("it was done before something irreversible"),
            Self::Failed(why) => write!(f, "undoing it failed: {why}"),
        }
    }
}

/// What came of taking a call back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Rollback {
    /// Effects that are no more.
    pub undone: usize,
    /// Effects that stay: each with its number, what it is, and why.
    pub kept: Vec<(u32, String, Kept)>,
    /// What is wrong with the journal, if it is not whole.
    pub torn: Option<String>,
}

impl Rollback {
    /// Whether all is as it was before the call.
    pub fn is_complete(&self) -> bool {
        self.kept.is_empty() && self.torn.is_none()
    }
}

impl fmt::Display for Rollback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.undone, self.kept.is_empty()) {
            (0, true) => write!(f, "nothing was to be rolled back")?,
            (_, true) => write!(f, "rolled back")?,
            (_, false) => {
                write!(f, "rolled back except")?;
                for (at, (n, action, kept)) in self.kept.iter().enumerate() {
                    let between = if at == 0 { ":" } else { ";" };
                    write!(f, "{between} #{n} {action} ({kept})")?;
                }
            }
        }
        match &self.torn {
            Some(why) => {
                write!(f, "; the journal is not whole ({why}): effects after it may remain")
            }
            None => Ok(()),
        }
    }
}
