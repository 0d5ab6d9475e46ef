//! Where names are published.
//!
//! What Cerebro publishes of a job in a zone is one [`Group`]: `<n>.<zone>.<basename>` for each instance that
//! serves, and `<zone>.<basename>` with the addresses of all of them. A group is claimed with a [`Mark`], and changed as
//! a whole, from what is known to be there to what should be: [`DnsProvider`] is the one door. Names above the
//! group, as the `CNAME` at `<basename>`, are the administrator's, and never touched.

mod group;
mod provider;
mod records;

pub use group::{Group, Mark, MarkError};
pub use provider::{DnsError, DnsProvider, Listed};
pub use records::{Change, Kind, RecordSet, Records, Ttl};
