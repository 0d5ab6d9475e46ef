//! Reads what a component imports and exports, without running it.
//!
//! [`inspect`] is asked when a component is uploaded and again before it runs; [`check_grants`]
//! before it runs, with the grants of the job. Both are pure.

mod grants;
mod imports;
mod inspect;

pub use grants::{NotGranted, check_grants, needs_grant};
pub use inspect::{InspectError, Inspection, inspect};
