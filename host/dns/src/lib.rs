//! Where names are published.
//!
//! What Cerebro publishes of a job in a zone is one [`Group`]: `<n>.<zone>.<basename>` for each instance that
//! serves, and `<zone>.<basename>` with the addresses of all of them. A group is claimed with a [`Mark`], and changed as
//! a whole, from what is known to be there to what should be: [`DnsProvider`] is the one door. Names above the
//! group, as the `CNAME` at `<basename>`, are the administrator's, and never touched: [`advice`] says what they should
//! be.
//!
//! What follows from what is [`Found`] at a group's names is the same for every provider, and pure. The providers are
//! features: [`embedded`], a DNS server of the controller's own, and [`rfc2136`], for another's. [`testing`] has names in
//! memory, and the tests that every provider has to pass.

pub mod advice;
#[cfg(feature = "embedded")]
pub mod embedded;
mod found;
mod group;
mod provider;
mod records;
#[cfg(feature = "rfc2136")]
pub mod rfc2136;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(any(feature = "embedded", feature = "rfc2136"))]
mod wire;

pub use found::{Claim, Found};
pub use group::{Group, Mark, MarkError};
pub use provider::{DnsError, DnsProvider, Listed};
pub use records::{Change, Kind, RecordSet, Records, Ttl};
