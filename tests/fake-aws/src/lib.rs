//! EC2 and Route 53 as they behave, over HTTP on a loopback port, for tests.
//!
//! [`Ec2`] and [`Route53`] hold to what AWS holds to and other stand-ins do not: client tokens, listings that lag behind,
//! states that pass with time, room and quotas that end, pages that are shorter than asked for, batches
//! that are checked against what is there. A [`Desk`] is either of them with what AWS has in front of its services:
//! signatures, permissions, throttling. A [`Script`] has single calls fail; every call is in the desk's log, with what it
//! changed, so that a test can see that nothing foreign was touched. [`serve`] puts it behind HTTP; the simulation of a
//! whole cluster asks it directly.
//!
//! Time is a [`Clock`], real or simulated; chance comes from a seed. [`Proxy`] stands between a client and any of them, or
//! [`Moto`], and breaks calls.

mod api;
mod auth;
mod clock;
pub mod ec2;
mod moto;
pub mod others;
mod proxy;
pub mod route53;
mod script;
mod server;
mod throttle;
mod xml;

pub use api::{ApiError, Call, Done, Params, Service};
pub use clock::{Clock, Simulated, real_clock};
pub use ec2::Ec2;
pub use moto::Moto;
pub use proxy::{Fault, Proxy, Seen};
pub use route53::Route53;
pub use script::{Rule, Script};
pub use server::{Desk, Front, Server, serve};
pub use throttle::Bucket;
