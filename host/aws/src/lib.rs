//! How AWS is called, whichever service it is: not faster than the account allows ([`Lane`]), within a time, each call
//! counted ([`Calls`]), and with errors that are told apart by what follows from them ([`Failure`]).
//!
//! Nothing of this needs the SDK. What does is in the module `sdk`, behind the feature `aws`.

mod bucket;
mod calls;
mod failure;
mod finding;
#[cfg(feature = "aws")]
pub mod sdk;

pub use bucket::{Bucket, Speed};
pub use calls::{Calls, Counts, Lane, Patience};
pub use failure::{Failure, Kind};
pub use finding::{Finding, Verdict};
