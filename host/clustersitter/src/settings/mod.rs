//! How the controller is set up: the command line and the environment ([`Arguments`]) over a file ([`SettingsFile`]) over
//! what is usual, which comes to [`Settings`]. That is pure: nothing is opened or asked here.

mod arguments;
mod error;
mod file;
mod resolve;
mod schema;

pub use arguments::{Arguments, Command, Machine, Serve, Zone};
pub use error::SettingsError;
pub use file::{DnsListen, Network, SettingsFile, Source};
pub use resolve::{Machines, Names, Own, Settings};
pub use schema::schema;
