//! The controller as it is built for Amazon, against EC2 and Route 53 as they behave: what happens inside of instances is done
//! by real agents on this host, by the user data that each instance got. Takes root, for each instance has its own processes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod adopted;
mod check;
mod controlled;
mod heals;
mod insides;
mod killed;
mod moto;
mod world;
