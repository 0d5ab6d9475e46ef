//! Names published by Amazon Route 53.
//!
//! A group of names is changed by one batch, which Route 53 does as a whole or not at all ([`batch`]): it takes
//! the group's mark away and puts the same one back, so that whoever has not got it is refused; it takes away exactly what is
//! known to be there, and puts there what should be. A batch that is refused changes nothing, and a listing then says
//! why ([`present`]). No record is touched but those of groups that bear our mark.
//!
//! All that decides something is here without the SDK. With the feature `aws` there is `Route53Dns`, which performs it.

pub mod batch;
pub mod policy;
pub mod present;
mod settings;
pub mod text;

#[cfg(feature = "aws")]
mod sdk;

#[cfg(feature = "aws")]
pub use sdk::{Route53Config, Route53Dns};
pub use settings::{HostedZone, Route53Settings, SettingsError};
