//! What an effect changed, in words.

use crate::host::types::Change;
use std::fmt::{Display, Formatter, Result};

impl Display for Change {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Unchanged => "unchanged",
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Removed => "removed",
            Self::Done => "done",
            Self::Other(other) => other,
        })
    }
}
