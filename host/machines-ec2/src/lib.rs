//! Machines at Amazon EC2.
//!
//! A machine is an instance that bears our tags ([`identity`]): nothing else is ever looked at as ours, rebooted or
//! ended. It is made once, whatever happens meanwhile: each attempt is written down before it is made
//! ([`notes`]), and asked for by a client token that follows from it; where there is no room for one type of instance, the
//! next is another attempt ([`launch`]). What a listing does not show is not gone: AWS's lag behind
//! ([`presence`]).
//!
//! All that decides something is here without the SDK. With the feature `aws` there is `Ec2Provider`, which performs it.

pub mod choose;
pub mod identity;
pub mod launch;
pub mod notes;
pub mod policy;
pub mod presence;
mod settings;
pub mod words;
mod zone;

#[cfg(feature = "aws")]
mod sdk;

#[cfg(feature = "aws")]
pub use sdk::{Ec2Config, Ec2Provider, Pace, Speeds, UserData};
pub use settings::{Ec2Settings, SettingsError, ZoneSettings};
pub use zone::{Place, ZoneError};
