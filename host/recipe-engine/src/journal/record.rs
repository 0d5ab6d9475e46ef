//! What a journal says, a record at a time.

use cerebro_model::Effect;
use serde::{Deserialize, Serialize};

/// What the call is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// What tells the journal from others: part of the names of what it keeps.
    pub id: String,
    /// The component's digest.
    pub component: String,
    /// The component's function.
    pub function: String,
    /// The job.
    pub job: String,
    /// The instance.
    pub instance: String,
    /// The version.
    pub version: String,
    /// When: microseconds since 1970.
    pub at: i64,
    /// The boot of the machine, as the kernel names it.
    pub boot: String,
}

/// When something was last changed: seconds since 1970, and nanoseconds.
pub type Stamp = (i64, i64);

/// What tells that a file is still as it was, without a look at its content: whoever writes to it, or
/// gives it another mode, owner or name, changes that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Its inode.
    pub inode: u64,
    /// When its content was changed last, which anybody can set.
    pub modified: Stamp,
    /// When anything of it was changed last, which nobody can set.
    pub changed: Stamp,
}

/// What the host saw beside the effect itself, for whoever takes it back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// When the directories that it happens in were last changed: seconds since 1970, nanoseconds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<Stamp>,
    /// How the text of a file that was there changes, in the unified form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
    /// The inode of a directory that is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inode: Option<u64>,
    /// The capabilities of a program that gets another owner: the kernel takes them away then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<u8>>,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "record")]
pub enum Record {
    /// The call begins. The first of all.
    Begin(Begin),
    /// An effect is about to take place.
    Intent {
        /// Its number.
        n: u32,
        /// The number of the call that it is part of.
        call: u32,
        /// When: microseconds since 1970.
        at: i64,
        /// What is needed to take it back.
        moment: Moment,
        /// What it is.
        effect: Effect,
    },
    /// An effect took place, or failed.
    Done {
        /// Its number.
        n: u32,
        /// How long it took, in microseconds.
        took: u64,
        /// When its directories were changed then.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        parents: Vec<Stamp>,
        /// The file that it left, if it left one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left: Option<Signature>,
        /// Why it failed, if it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// What came before is on the disk.
    Barrier,
    /// The call ended by itself.
    End {
        /// When: microseconds since 1970.
        at: i64,
        /// Why it failed, if it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// Its effects are about to be taken back.
    Undoing {
        /// When: microseconds since 1970.
        at: i64,
        /// Why.
        why: String,
        /// The boot of the machine in which they are.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        boot: String,
    },
    /// An effect was taken back, or not.
    Undone {
        /// Its number.
        n: u32,
        /// What stands in the way, if it was not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kept: Option<cerebro_model::Kept>,
    },
    /// All were taken back, but those of which the records say otherwise.
    RolledBack {
        /// When: microseconds since 1970.
        at: i64,
    },
}
