//! What a recording consists of.

use cerebro_model::Grants;
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

/// What tells the arguments of one call from those of another.
pub(crate) type Arguments = [u8; 16];

/// What the component was called with, beside what it then asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// The component's digest.
    pub component: String,
    /// The function that was called: `deploy`, `undeploy` or `check`.
    pub function: String,
    /// The job.
    pub job: String,
    /// The instance.
    pub instance: String,
    /// The machine.
    pub machine: String,
    /// The version.
    pub version: String,
    /// When: microseconds since 1970.
    pub at: i64,
    /// What the job granted.
    pub grants: Grants,
    /// Bytes of memory that it could have.
    pub memory: usize,
    /// Core instances that it could consist of.
    pub instances: usize,
    /// Tables that it could hold.
    pub tables: usize,
    /// Milliseconds that it could take.
    pub wall: u64,
    /// What its random numbers come from.
    pub seed: [u8; 32],
}

/// One thing that the component asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Its number, from 1.
    pub n: u32,
    /// The function, such as `files.read`.
    pub function: String,
    /// What it was about, in short.
    pub about: String,
}

/// How the call ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// What it said, or how it broke down; none if it succeeded.
    pub(crate) failure: Option<String>,
    /// Whether its time was up, which no replay can know by itself.
    pub(crate) timed_out: bool,
}

/// An entry of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Entry {
    /// As JSON, since grants say of themselves what they are.
    Begin(String),
    Asked {
        question: Question,
        arguments: Arguments,
    },
    Answered {
        n: u32,
        #[serde(with = "serde_bytes")]
        answer: Vec<u8>,
    },
    /// A clock was read, the wall's or the one that only goes on: nanoseconds.
    Clock {
        is_wall: bool,
        now: u64,
    },
    /// From here on it did something that is not recorded.
    Lost(String),
    Ended(Ended),
}

/// Bytes that most arguments and answers have room in.
pub(super) const USUAL: usize = 512;

/// The digest of arguments.
pub(super) fn digest(arguments: &impl Serialize) -> Arguments {
    // What has no end or no length cannot be an argument.
    digest_of(&postcard::to_extend(arguments, Vec::with_capacity(USUAL)).unwrap_or_default())
}

/// The digest of bytes, by XXH3: it tells one from another, and proves nothing to anybody. Most calls
/// are recorded for nothing, and a hash that proves something takes as long as reading a file.
pub(crate) fn digest_of(bytes: &[u8]) -> Arguments {
    XxHash3_128::oneshot(bytes).to_le_bytes()
}
