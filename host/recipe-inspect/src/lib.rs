//! Reads what a component imports, exports and wants, without running it.
//!
//! [`inspect`] is asked when a component is uploaded and again before it runs; [`check_grants`]
//! before it runs, with the grants of the job. All of it is pure.

mod grants;
mod imports;
mod inspect;
mod interfaces;
mod language;
mod sections;
mod wants;

pub use grants::{NotGranted, check_grants, needs_grant};
pub use inspect::{InspectError, Inspection, inspect};
pub use interfaces::{Effects, Interface, interface_of};
pub use language::Language;
pub use wants::{WANTS, WantsError, embed_wants};
